r"""Show what a policy's photo rule holds back at several operating points, to choose the point for the policy file.

python -m experiments.policy_operating_points JUDGED [--policy NAME] [--ranker RANKER | --held-out N]

Captions are the ground truth: a photo is protected if the policy blocks any of its own captions. A ranker has learned
the photos it was trained on, so a point must be chosen on other photos. `--held-out N` trains a ranker as the shipped
ones are trained, but without N photos of `train_224`, and shows the points on those N photos. Without it, the ranker
is measured on the photos of `train_images`.
"""

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from indexer.encoders import ImageEncoder, TextEncoder, load_image_encoder, load_text_encoder
from indexer.errors import PhotoseekError
from indexer.index import DEFAULT_ENCODER
from photoseek.options.standard_options import judged_argument, ranker_option
from photoseek.progress.console import progress_bars
from reranker.judgments.captions_table import CAPTIONS_TABLE, read_captions, read_captions_table
from reranker.judgments.embedded import EmbeddedJudgments, embed_judgments
from reranker.judgments.judged_folder import load_judgments
from reranker.judgments.judgments import Judgments
from reranker.judgments.training_sets import TrainingSet
from reranker.metrics.separation import auroc
from reranker.moderation.photo_rule import PhotoRule, photo_scores
from reranker.moderation.policy import Policy
from reranker.ranker import Ranker
from reranker.ranker_encoders import encoders_of
from reranker.training import OnStage
from reranker.training.joint_space.class_name_files import read_class_names
from reranker.training.train_ranker import train_ranker, training_photos, without_lookalikes

# The sets of photos that the shipped rankers learn from: first to rank, then to judge relevance.
RANKING_SET, RELEVANCE_SET = "train_224", "train_images"
# What else they learn from, beside the judged folder: other sets, captions without photos, class names.
OTHER_SETS = ("coco", "scenes", "web")
OTHER_CAPTIONS = "elsewhere/captions_only/flickr30k.tsv"
CLASS_NAMES = "imagenet_classes.tsv"
# Recalls of protected photos for which points are shown.
RECALLS = (0.8, 0.9, 0.95)

Encoders = tuple[ImageEncoder, TextEncoder]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Photos that a rule holds back at one threshold.

    Attributes:
        threshold: A photo is held back if its score is this or more.
        precision: The share of the photos held back that is protected; 1 where none is held back.
        recall: The share of the protected photos that is held back.
        held_back: The share of all photos that is held back.
    """

    threshold: float
    precision: float
    recall: float
    held_back: float


@click.command()
@judged_argument
@click.option("--policy", "policy_name", default="minors", show_default=True)
@ranker_option("The ranker to measure.  [default: the shipped one]")
@click.option("--held-out", type=click.IntRange(min=1), help="Train one without so many photos, and choose on those.")
@click.option("--image-encoder", default=DEFAULT_ENCODER, show_default=True, help="The encoder of --held-out.")
def main(judged: Path, policy_name: str, ranker: Path | None, held_out: int | None, image_encoder: str) -> None:
    """Print, with regions and without, the AUROC of the rule, and precision and recall at points."""
    try:
        policy, judgments = Policy.load(policy_name), load_judgments(judged)
        if held_out:
            encoders = (load_image_encoder(image_encoder), load_text_encoder("minilm"))
            with progress_bars(False) as on_stage:
                measured, features = train_without(held_out, judgments, encoders, on_stage)
        else:
            measured = Ranker.default() if ranker is None else Ranker.load(ranker)
            encoders = encoders_of(measured)
            features = embed_judgments(judgments.restrict(judgments.sets[RELEVANCE_SET]), *encoders)
        lines = operating_point_lines(policy, measured, features, encoders[1])
    except PhotoseekError as error:
        raise click.ClickException(str(error)) from None
    except KeyError as error:
        raise click.ClickException(f"judged data {judged} has no photo folder {error}") from None
    click.echo("\n".join(lines))


def train_without(
    count: int, judgments: Judgments, encoders: Encoders, on_stage: OnStage
) -> tuple[Ranker, EmbeddedJudgments]:
    """Train a ranker as the shipped ones are trained (`make default-ranker`), without some photos of `train_224`.

    Args:
        count: How many photos are held out.
        judgments: The judged folder.
        encoders: The image encoder and the text encoder.
        on_stage: Called with the name of a stage, the units done and their total.

    Returns:
        The ranker, and the held-out photos.

    Raises:
        KeyError: The folder has no `train_224` or `train_images`.
        PhotoseekError: There is too little to learn from, or the other sets are not beside the folder.
    """
    chosen = without_lookalikes(judgments, judgments.sets[RANKING_SET], encoders[0])
    order = np.random.default_rng(0).permutation(len(chosen))
    held_out, seen = ([chosen[place] for place in np.sort(part)] for part in (order[:count], order[count:]))
    beside = judgments.folder.resolve().parent
    sets = [TrainingSet("flickr8k", judgments.restrict(seen))]
    for name in OTHER_SETS:
        other = read_captions_table(beside / "elsewhere" / name / CAPTIONS_TABLE)
        photos = without_lookalikes(other, training_photos(other, None), encoders[0])
        sets.append(TrainingSet(name, other.restrict(photos)))
    sets.append(TrainingSet("judged", judgments.restrict(judgments.sets[RELEVANCE_SET]), relevance_only=True))
    captions = read_captions(beside / OTHER_CAPTIONS)
    names = read_class_names(beside / CLASS_NAMES)
    ranker = train_ranker(sets, encoders, class_names=names, captions=captions, on_stage=on_stage)
    return ranker, embed_judgments(judgments.restrict(held_out), *encoders)


def operating_point_lines(
    policy: Policy, ranker: Ranker, features: EmbeddedJudgments, text_encoder: TextEncoder
) -> list[str]:
    """Measure a policy's photo rule on photos with captions.

    Args:
        policy: The policy.
        ranker: The ranker that the rule asks for relevances.
        features: The photos and their captions.
        text_encoder: The ranker's text encoder.

    Returns:
        The lines to print: with regions, where the photos have them, and without.

    Raises:
        PhotoseekError: The policy has no photo rule, or protects none of the photos or all of them.
    """
    rule = policy.photos
    if rule is None:
        raise PhotoseekError(f"policy {policy.name} has no [photos]")
    protected = protected_photos(policy, features)
    if protected.all() or not protected.any():
        raise PhotoseekError(
            f"policy {policy.name}: of {len(protected)} photos, {protected.sum()} are under it; nothing to tell"
        )
    vectors, tokens = text_encoder.encode_with_tokens(rule.texts)
    queries = ranker.encode_queries(vectors, rule.texts, tokens)
    lines = [f"{len(protected)} photos, {protected.mean():.3f} of them under policy {policy.name}", ""]
    inputs = {"with regions": features.regions, "without regions": None}
    if features.regions is None:
        del inputs["with regions"]
    for name, regions in inputs.items():
        scores, _ = photo_scores(rule, ranker, ranker.encode_photos(features.x, regions), queries)
        lines.append(f"{name}: AUROC {auroc(scores[protected], scores[~protected]):.3f}")
        lines += _point_lines(rule, scores, protected)
    return lines


def protected_photos(policy: Policy, features: EmbeddedJudgments) -> np.ndarray:
    """Find the photos that a policy protects by their own captions.

    Args:
        policy: The policy.
        features: The photos and their captions.

    Returns:
        Whether each photo is protected, (photos,) bool.
    """
    blocked = {
        owner
        for owner, caption in zip(features.owner.tolist(), features.texts, strict=True)
        if owner >= 0 and policy.blocks(caption)
    }
    return np.isin(np.arange(len(features.photos)), list(blocked))


def threshold_at(recall: float, scores: np.ndarray, protected: np.ndarray) -> float:
    """Find the highest threshold that holds back enough of the protected photos.

    Args:
        recall: The least share of the protected photos to hold back, above 0.
        scores: The rule's score of each photo, (photos,).
        protected: Whether each photo is protected, (photos,) bool, some of them True.

    Returns:
        The threshold, a score of one of the photos.
    """
    falling = np.sort(scores[protected])[::-1]
    return float(falling[int(np.ceil(recall * len(falling))) - 1])


def measure_point(threshold: float, scores: np.ndarray, protected: np.ndarray) -> OperatingPoint:
    """Measure the photos that a threshold holds back.

    Args:
        threshold: A photo is held back if its score is this or more.
        scores: The rule's score of each photo, (photos,).
        protected: Whether each photo is protected, (photos,) bool, some of them True.

    Returns:
        The operating point.
    """
    held_back = scores >= threshold
    right = (held_back & protected).sum()
    precision = right / held_back.sum() if held_back.any() else 1.0
    return OperatingPoint(threshold, float(precision), float(right / protected.sum()), float(held_back.mean()))


def _point_lines(rule: PhotoRule, scores: np.ndarray, protected: np.ndarray) -> list[str]:
    """Return a line about the policy's own point, and one per recall."""
    thresholds = {"policy": rule.point, **{str(recall): threshold_at(recall, scores, protected) for recall in RECALLS}}
    lines = []
    for name, threshold in thresholds.items():
        point = measure_point(threshold, scores, protected)
        lines.append(
            f"  point {point.threshold:.4f} ({name}): precision {point.precision:.3f}, recall {point.recall:.3f}, "
            f"{point.held_back:.3f} of all photos held back"
        )
    return lines


if __name__ == "__main__":
    main()
