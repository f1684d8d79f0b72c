"""Make the ranker of a joint encoder without training: its photos and texts are in one space already.

The map is the identity, candidates are corrected for hubness against captions of everyday photos, and the relevance is
the encoder's own. It is not calibrated on judgments; `train` does that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.callbacks import Progress
from indexer.encoders import ImageEncoder, TextEncoder
from indexer.encoders.text_encoder import PairLogits
from reranker.models.calibration import Calibration
from reranker.models.class_names import ClassNameHead
from reranker.models.hubness import Hubness
from reranker.models.joint_space import PAIR_FEATURES, JointSpace
from reranker.models.lexical_features import LexicalFeatures
from reranker.models.linear_map import LinearMap
from reranker.models.mlp import MLP
from reranker.models.no_match import FEATURE_NAMES, NoMatchClassifier
from reranker.models.ranking_settings import HeadWeights, RankingSettings
from reranker.ranker import NOT_CALIBRATED, Ranker

CAPTION_FILE = Path(__file__).parent / "everyday_captions.txt"
# Captions that are encoded between two reports of progress.
BLOCK = 100
# Share of a photo's hubness that is subtracted from its cosine, as in CSLS (Conneau et al. 2018).
HUB_SHARE = 0.5
# A best relevance below this is "no good match". It is low and not measured: a wrong refusal is worse than a needless
# answer, and the relevance that joint encoders give single words is low.
LEAST_RELEVANCE = 0.001


@dataclass(frozen=True, slots=True)
class RelevanceRule:
    """A relevance as a logistic function of pair features: `sigmoid(features . weights + bias)`.

    Attributes:
        weights: By name of the pair feature; those that are not named weigh nothing.
        bias: What is added.
    """

    weights: dict[str, float]
    bias: float


def are_sides_of_one(image_encoder: ImageEncoder, text_encoder: TextEncoder) -> bool:
    """Return whether two encoders are the two sides of one joint encoder."""
    return image_encoder.name == text_encoder.name and text_encoder.pair_logits is not None


def make_joint_ranker(image_encoder: str, text_encoder: TextEncoder, on_progress: Progress | None = None) -> Ranker:
    """Make the ranker of a joint encoder.

    Args:
        image_encoder: Fingerprint of its image side.
        text_encoder: Its text side, with `pair_logits`.
        on_progress: Called with (done, total) captions encoded.

    Returns:
        The ranker, with its id.
    """
    logits = text_encoder.pair_logits
    assert logits is not None
    settings, captions, d = RankingSettings(heads=HeadWeights(hubness=HUB_SHARE)), everyday_captions(), text_encoder.dim
    bank = _encode(captions, text_encoder, on_progress)
    relevance = relevance_rule(logits, settings)
    ranking = {"cosine": logits.scale, "hub": -logits.scale * settings.heads.hubness}
    return Ranker(
        image_encoder=image_encoder,
        image_encoder_name=text_encoder.name,
        text_encoder=text_encoder.fingerprint,
        text_encoder_name=text_encoder.name,
        joint_space=_identity_space(bank, settings),
        ranking_mlp=MLP.of_pair_features(d, d, _pair_weights(ranking)),
        relevance_mlp=MLP.of_pair_features(d, d, _pair_weights(relevance.weights), relevance.bias),
        calibration=Calibration(),
        no_match=_no_match(relevance),
        training={
            "calibration": NOT_CALIBRATED,
            "relevance": "softmax among near captions" if logits.bias is None else "sigmoid of the pair's logit",
            "logit_scale": logits.scale,
            "logit_bias": logits.bias,
            "captions": len(captions),
        },
    ).finished()


def relevance_rule(logits: PairLogits, settings: RankingSettings) -> RelevanceRule:
    """Return the encoder's own relevance.

    With a bias it is what the encoder was trained for, `sigmoid(scale * cosine + bias)` (SigLIP, Zhai et al. 2023).
    Without one it is the softmax of the query's logit among those of other texts (CLIP, Radford et al. 2021): the n
    everyday captions that are nearest to the photo, each with their mean logit,
    `exp(l) / (exp(l) + n exp(mean)) = sigmoid(scale * (cosine - hubness) - ln n)`.

    Args:
        logits: How the encoder scores pairs.
        settings: How many captions are nearest.
    """
    if logits.bias is not None:
        return RelevanceRule({"cosine": logits.scale}, logits.bias)
    return RelevanceRule({"cosine": logits.scale, "hub": -logits.scale}, -float(np.log(settings.hubness.captions)))


def everyday_captions() -> list[str]:
    """Read the captions that the hubness of photos is taken over."""
    lines = CAPTION_FILE.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def _encode(captions: list[str], text_encoder: TextEncoder, on_progress: Progress | None) -> np.ndarray:
    """Encode captions block by block: (c, d) float32."""
    blocks = []
    for start in range(0, len(captions), BLOCK):
        blocks.append(text_encoder.encode(captions[start : start + BLOCK]))
        if on_progress is not None:
            on_progress(min(start + BLOCK, len(captions)), len(captions))
    return np.concatenate(blocks)


def _identity_space(captions: np.ndarray, settings: RankingSettings) -> JointSpace:
    """Make a joint space of one head that leaves vectors as they are, with (n, d) captions for the hubness."""
    d = captions.shape[1]
    identity, zero = np.eye(d, dtype=np.float32), np.zeros(d, np.float32)
    nothing, none = np.zeros((d, 0), np.float32), np.zeros(0, np.float32)
    return JointSpace(
        map=LinearMap(identity, zero, identity, zero),
        meaning=LinearMap(nothing, none, nothing, none),
        class_names=ClassNameHead.none(d, d),
        lexical=LexicalFeatures.none(),
        late_interaction=None,
        # No photos are known, so a photo of zeros stands for them: the hubness of every query is 0.
        hubness=Hubness(identity, captions, np.zeros((1, d), np.float32)),
        late_imputation=np.zeros((4, 2), np.float32),
        settings=settings,
    )


def _pair_weights(weights: Mapping[str, float]) -> np.ndarray:
    """Return weights by name in the order of the pair features: (7,) float32."""
    return np.array([weights.get(name, 0.0) for name in PAIR_FEATURES], np.float32)


def _no_match(relevance: RelevanceRule) -> NoMatchClassifier:
    """Make the no-match decision whose probability is the relevance of the first hit."""
    weights = {f"sentence.{name}": weight for name, weight in relevance.weights.items()}
    known = tuple(weights.get(name, 0.0) for name in FEATURE_NAMES)
    return NoMatchClassifier(known, relevance.bias, LEAST_RELEVANCE)
