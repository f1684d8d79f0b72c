"""Train a ranker on judged data: captions teach the joint space and the ranking, people's judgments the relevance."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from indexer.cache_folder import cache_folder
from indexer.encoders import ImageEncoder, TextEncoder
from indexer.errors import PhotoseekError
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import Judgments
from reranker.models.calibration import Calibration
from reranker.models.mlp import MLP
from reranker.models.no_match import NoMatchClassifier
from reranker.ranker import Ranker
from reranker.training import OnStage
from reranker.training.examples.collect_examples import TrainingExamples, collect_examples, validation_photos
from reranker.training.examples.example_lists import ExampleSettings
from reranker.training.examples.phrase_examples import find_phrases
from reranker.training.examples.scored_queries import Scorer
from reranker.training.examples.unanswerable_texts import unanswerable_texts
from reranker.training.fit_calibration import fit_calibration
from reranker.training.fit_mlp import MLPExamples, MLPSettings, fit_mlp, start_mlp
from reranker.training.fit_no_match import fit_no_match
from reranker.training.fit_ranking import FittedRanking, fit_ranking
from reranker.training.joint_space.base_spaces import joint_spaces_of_base
from reranker.training.joint_space.choose_gate import choose_gate
from reranker.training.joint_space.class_name_files import ClassName, with_own_class_names
from reranker.training.joint_space.cross_fit import JointSpaceCache, JointSpaces, fit_joint_spaces
from reranker.training.joint_space.fit_joint_space import JointSpaceSettings
from reranker.training.training_data import TrainingData
from reranker.training.training_summary import TrainingSummary

# Photos with captions of their own that a training needs.
MIN_PHOTOS = 20

# How the relevance MLP starts, in the words of the summary.
ANEW, FROM_BASE = "learned anew", "goes on from the base"


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Settings of a training.

    Attributes:
        joint_space: How the joint spaces are fitted.
        ranking_mlp: How the ranking MLP is trained.
        relevance_mlp: How the relevance MLP is trained.
        examples: What both learn from.
        keep_ranking: With a base: its ranking MLP is kept as it is; else it goes on learning.
        fresh_relevance: With a base: its relevance MLP is ignored; else training may start from it.
        keep_no_match: With a base: its no-match decision is kept, for a training whose relevance alone is looked at.
        seed: Seed of all random numbers.
    """

    joint_space: JointSpaceSettings = field(default_factory=JointSpaceSettings)
    ranking_mlp: MLPSettings = field(default_factory=MLPSettings)
    relevance_mlp: MLPSettings = field(default_factory=MLPSettings)
    examples: ExampleSettings = field(default_factory=ExampleSettings)
    keep_ranking: bool = False
    fresh_relevance: bool = False
    keep_no_match: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class FittedRelevance:
    """The relevance of a training, before its calibration.

    Attributes:
        mlp: The relevance MLP.
        start: How it started, in words.
        losses: Its validation losses.
    """

    mlp: MLP
    start: str
    losses: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TrainedParts:
    """Results of the steps of a training.

    Attributes:
        spaces: The joint spaces, with the name gate that is kept.
        gate: What became of the learned name gate, in words.
        examples: What the MLPs learned from.
        ranking: The ranking.
        relevance: The relevance.
        calibration: Its calibration.
        no_match: The no-match decision.
    """

    spaces: JointSpaces
    gate: str
    examples: TrainingExamples
    ranking: FittedRanking
    relevance: FittedRelevance
    calibration: Calibration
    no_match: NoMatchClassifier


def train(
    embedded: EmbeddedJudgments,
    judgments: Judgments,
    encoders: tuple[ImageEncoder, TextEncoder],
    settings: TrainSettings | None = None,
    *,
    base: Ranker | None = None,
    class_names: Sequence[ClassName] | None = None,
    on_stage: OnStage | None = None,
) -> Ranker:
    """Train a ranker on judged data.

    An interrupted training goes on with the joint spaces that it had fitted, which are kept in the user's cache.

    Args:
        embedded: The judged data as arrays, of one set or of several.
        judgments: The judged data with what people said.
        encoders: The image and the text encoder that made `embedded`.
        settings: See `TrainSettings`.
        base: A ranker to fine-tune. Its joint space is kept as it is, so it must not have seen these photos, and its
            MLPs are the start.
        class_names: A vocabulary beside the image encoder's own classes.
        on_stage: Called with (stage, done, total).

    Returns:
        The ranker, with its id.

    Raises:
        PhotoseekError: There is too little to learn from, or `base` belongs to other encoders.
    """
    settings = settings or TrainSettings()
    on_stage = on_stage or (lambda stage, done, total: None)
    _check(embedded, encoders, base)
    cache = JointSpaceCache(cache_folder() / "training", embedded)
    phrases = find_phrases(embedded, encoders[1], settings.examples.min_phrase_photos)
    data = TrainingData(embedded, judgments, encoders, tuple(class_names or ()), phrases)
    held_out = validation_photos(embedded, settings.examples.validation_share, settings.seed)
    if base is None:
        spaces = fit_joint_spaces(data, settings.joint_space, settings.seed, cache, on_stage)
        gate, verdict = choose_gate(data, spaces, held_out, settings.joint_space.gate, settings.seed)
        spaces = spaces.with_gate(gate)
    else:
        spaces, verdict = joint_spaces_of_base(embedded, encoders, base, data.class_names), "that of the base"
    examples = collect_examples(data, spaces, held_out, settings.examples, settings.seed, on_stage)
    if base is not None and settings.keep_ranking:
        ranking = FittedRanking(base.ranking_mlp, "that of the base", None, {})
    else:
        before = None if base is None else base.ranking_mlp
        heads = spaces.joint_space.settings.heads
        ranking = fit_ranking(embedded, examples, before, settings.ranking_mlp, heads, settings.seed, on_stage)
    relevance = fit_relevance(embedded, examples, settings, base, on_stage)
    calibration = calibrate(embedded, examples, relevance.mlp)
    if base is not None and settings.keep_no_match:
        no_match = base.no_match
    else:
        no_match = decide_no_match(data, examples, Scorer(ranking.mlp, relevance.mlp, calibration), settings.seed)
    parts = TrainedParts(spaces, verdict, examples, ranking, relevance, calibration, no_match)
    ranker = assemble(parts, encoders, summarise(parts, embedded, judgments, settings, base))
    cache.clear()
    return ranker


def fit_relevance(
    embedded: EmbeddedJudgments,
    examples: TrainingExamples,
    settings: TrainSettings,
    base: Ranker | None,
    on_stage: OnStage,
) -> FittedRelevance:
    """Train the relevance MLP from a new start and from the base's, and keep the one with the least validation loss.

    A base that learned from captions alone may be a worse start than a new one, so validation photos decide.

    Args:
        embedded: The judged data.
        examples: What the MLP learns from.
        settings: See `TrainSettings`.
        base: The ranker that is fine-tuned, if one is.
        on_stage: Called with ("relevance", done, total).

    Returns:
        The relevance MLP, with how it started.
    """
    x, t = embedded.x, examples.text_vectors
    starts = {ANEW: start_mlp(x.shape[1], t.shape[1], examples.relevance_train, settings.seed)}
    if base is not None and not settings.fresh_relevance:
        starts[FROM_BASE] = base.relevance_mlp
    fitted = {
        name: fit_mlp(
            start,
            MLPExamples(x, t, examples.relevance_train, examples.relevance_validation),
            settings.relevance_mlp,
            listwise=False,
            seed=settings.seed,
            on_progress=lambda done, total: on_stage("relevance", done, total),
        )
        for name, start in starts.items()
    }
    best = min(fitted, key=lambda name: min(fitted[name].losses))
    return FittedRelevance(fitted[best].mlp, best, fitted[best].losses)


def calibrate(embedded: EmbeddedJudgments, examples: TrainingExamples, relevance_mlp: MLP) -> Calibration:
    """Fit the calibration of a relevance MLP to validation pairs, the pairs of a caption in one fold.

    Args:
        embedded: The judged data.
        examples: Its `calibration` pairs are used.
        relevance_mlp: The MLP.

    Returns:
        The calibration.
    """
    pairs = examples.calibration
    x, t = embedded.x[pairs.photo_rows[:, 0]], examples.text_vectors[pairs.text_rows]
    logits = relevance_mlp.plain(x, t, pairs.pair_features[:, 0])
    return fit_calibration(logits, pairs.targets[:, 0], pairs.weights, groups=pairs.text_rows)


def decide_no_match(data: TrainingData, examples: TrainingExamples, scorer: Scorer, seed: int) -> NoMatchClassifier:
    """Fit the no-match decision to validation photos.

    Args:
        data: What the training learns from.
        examples: Its `relevance_galleries` are searched.
        scorer: What ranks photos and gives their relevance.
        seed: Draws texts that nothing fits.

    Returns:
        The decision, with its operating point.
    """
    every_name = with_own_class_names(data.encoders[0], data.class_names)
    nothing = unanswerable_texts(data.embedded, every_name, data.encoders[1], seed)
    return fit_no_match(data.embedded, data.phrases, nothing, examples.relevance_galleries, scorer)


def summarise(
    parts: TrainedParts,
    embedded: EmbeddedJudgments,
    judgments: Judgments,
    settings: TrainSettings,
    base: Ranker | None,
) -> TrainingSummary:
    """Summarise a training.

    Args:
        parts: What its steps gave.
        embedded: The judged data as arrays.
        judgments: The judged data with what people said.
        settings: See `TrainSettings`.
        base: The ranker that was fine-tuned, if one was.

    Returns:
        The summary.
    """
    spaces, calibration = parts.spaces, parts.calibration
    return TrainingSummary(
        photos=len(embedded.photos),
        captions=int((embedded.owner >= 0).sum()),
        expert_rows=len(judgments.expert),
        crowd_rows=len(judgments.crowd),
        score=settings.examples.aggregate.__name__,
        seed=settings.seed,
        base=None if base is None else base.id,
        before=None if base is None else {key: value for key, value in base.training.items() if key != "before"},
        names=None if spaces.vocabulary is None else len(spaces.joint_space.class_names.keys),
        names_without_example=None if spaces.vocabulary is None else spaces.vocabulary.without_example,
        shrinkage=spaces.shrinkage,
        sets=_described_sets(embedded),
        gate=parts.gate,
        order_loss=parts.ranking.losses,
        order=parts.ranking.verdict,
        relevance=parts.relevance.start,
        relevance_loss=parts.relevance.losses,
        calibration=calibration.method,
        calibration_pairs=len(parts.examples.calibration),
        calibration_log_loss=calibration.losses,
    )


def assemble(parts: TrainedParts, encoders: tuple[ImageEncoder, TextEncoder], summary: TrainingSummary) -> Ranker:
    """Put a ranker together.

    Args:
        parts: What the steps of its training gave.
        encoders: The image and the text encoder that it was trained with.
        summary: What it was trained on.

    Returns:
        The ranker, with its id.
    """
    return Ranker(
        image_encoder=encoders[0].fingerprint,
        text_encoder=encoders[1].fingerprint,
        text_encoder_name=encoders[1].name,
        image_encoder_name=encoders[0].name,
        joint_space=parts.spaces.joint_space,
        ranking_mlp=parts.ranking.mlp,
        relevance_mlp=parts.relevance.mlp,
        calibration=parts.calibration,
        no_match=parts.no_match,
        training=summary.as_dict(),
        results={"validation_photos": float(parts.examples.validation_count), **parts.ranking.recalls},
    ).finished()


def _described_sets(embedded: EmbeddedJudgments) -> tuple[str, ...] | None:
    """Describe the sets of a training, a line each; None where there is one."""
    sets = embedded.sets
    if len(sets.names) == 1:
        return None
    counts = np.bincount(sets.set_of, minlength=len(sets.names))
    return tuple(
        f"{name}: {count} photos, weight {weight:g}{', relevance only' if relevance_only else ''}"
        for name, count, weight, relevance_only in zip(
            sets.names, counts.tolist(), sets.weights.tolist(), sets.relevance_only, strict=True
        )
    )


def _check(embedded: EmbeddedJudgments, encoders: tuple[ImageEncoder, TextEncoder], base: Ranker | None) -> None:
    """Refuse a base of other encoders, and too few photos with captions that teach more than the relevance."""
    if base is not None and (base.image_encoder, base.text_encoder) != tuple(e.fingerprint for e in encoders):
        raise PhotoseekError(
            f"ranker {base.id} was trained with {base.image_encoder} and {base.text_encoder}; --from needs the same "
            "encoders"
        )
    owned = embedded.owner[embedded.owner >= 0]
    owned = owned[embedded.sets.teach_space[owned]]
    described = len(np.unique(owned))
    if described < MIN_PHOTOS:
        raise PhotoseekError(
            f"{described} photos with {len(owned)} captions of their own are too few to train on; {MIN_PHOTOS} is the "
            "least"
        )
