"""Operating points of a policy's photo rule: what they hold back, and which one to write into the policy.

    python -m experiments.policy_operating_points JUDGED [--policy NAME] \
        [--ranker RANKER | --held-out N --image-encoder NAME]

Captions say what is right: a photo is under the policy if any of its own is blocked. A ranker knows the photos it was
trained on too well to choose a point on them. So `--held-out N` trains one as the shipped ones are, without N photos of
`train_224`, and shows the points on those; without it, RANKER is measured on the photos of `train_images`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from indexer.encoders import ImageEncoder, TextEncoder, load_image_encoder, load_text_encoder
from indexer.errors import PhotoseekError
from indexer.index import DEFAULT_ENCODER
from photoseek.commands.console import stages
from reranker.judgments.embedded import EmbeddedJudgments, embed_judgments
from reranker.judgments.judged_folder import Judgments, load_judgments
from reranker.metrics.metrics import auroc
from reranker.moderation.photo_rule import photo_scores
from reranker.moderation.policy import Policy
from reranker.ranker import Ranker
from reranker.ranker_encoders import encoders_of
from reranker.training.train import Stage, TrainSettings, train
from reranker.training.vocabulary import read_class_names

TRAINED, JUDGED_SET, CLASS_NAMES = "train_224", "train_images", "imagenet_classes.tsv"
# Of the photos under the policy, the shares for which points are shown.
RECALLS = (0.8, 0.9, 0.95)


@dataclass(frozen=True, slots=True)
class Held:
    """How a point does: of the photos held back the share that is under the policy, of those under it the share that
    is held back, and the share of all photos that is held back."""

    point: float
    precision: float
    recall: float
    share: float

    @classmethod
    def of(cls, scores: np.ndarray, under: np.ndarray, point: float) -> "Held":
        """scores: (n,); under: (n,) bool, some of them True. Precision is 1 where nothing is held back."""
        held = scores >= point
        right = (held & under).sum()
        precision = right / held.sum() if held.any() else 1.0
        return cls(point, float(precision), float(right / under.sum()), float(held.mean()))


def point_of(scores: np.ndarray, under: np.ndarray, recall: float) -> float:
    """The highest score that holds back this share, or more, of the photos under the policy.

    scores: (n,); under: (n,) bool, some of them True.
    """
    own = np.sort(scores[under])[::-1]
    return float(own[int(np.ceil(recall * len(own))) - 1])


@click.command()
@click.argument("judged", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--policy", "policy_name", default="minors", show_default=True)
@click.option("--ranker", type=click.Path(path_type=Path), help="The ranker to measure.  [default: the shipped one]")
@click.option("--held-out", type=click.IntRange(min=1), help="Train one without so many photos, and choose on those.")
@click.option("--image-encoder", default=DEFAULT_ENCODER, show_default=True, help="The encoder of --held-out.")
def main(judged: Path, policy_name: str, ranker: Path | None, held_out: int | None, image_encoder: str) -> None:
    """Print, with regions and without, the AUROC of the rule, and precision and recall at points."""
    try:
        policy, judgments = Policy.load(policy_name), load_judgments(judged)
        chosen = None if held_out else Ranker.default() if ranker is None else Ranker.load(ranker)
        if chosen is None:
            image, text = load_image_encoder(image_encoder), load_text_encoder("minilm")
        else:
            image, text = encoders_of(chosen)
        photos = judgments.restrict(judgments.sets[JUDGED_SET if chosen else TRAINED])
        features = embed_judgments(photos, image, text)
        if chosen is None:
            count = len(features.photos)
            rows = np.sort(np.random.default_rng(0).permutation(count)[:held_out])
            with stages(False) as on_stage:
                chosen = _train_without(rows, features, photos, judgments, (image, text), on_stage)
            features = features.select(rows)
        lines = table(policy, chosen, features, text)
    except PhotoseekError as error:
        raise click.ClickException(str(error)) from None
    except KeyError as error:
        raise click.ClickException(f"judged data {judged} has no photo folder {error}") from None
    click.echo("\n".join(lines))


def table(policy: Policy, ranker: Ranker, features: EmbeddedJudgments, text: TextEncoder) -> list[str]:
    """The figures of a policy's photo rule on photos with captions, as lines.

    Raises PhotoseekError if the policy has no photo rule, or if it is true of none of the photos or of all.
    """
    if policy.photos is None:
        raise PhotoseekError(f"policy {policy.name} has no [photos]")
    owned = [(features.photos[i], caption) for i, caption in zip(features.owner, features.texts, strict=True) if i >= 0]
    blocked = {photo for photo, caption in owned if policy.blocks(caption)}
    under = np.array([photo in blocked for photo in features.photos])
    if under.all() or not under.any():
        raise PhotoseekError(
            f"policy {policy.name}: of {len(under)} photos, {under.sum()} are under it; nothing to tell"
        )
    texts = policy.photos.texts
    vectors, tokens = text.encode_with_tokens(texts)
    query = ranker.encode_queries(vectors, texts, tokens)
    lines = [f"{len(under)} photos, {under.mean():.3f} of them under policy {policy.name}", ""]
    for regions, name in ((features.regions, "with regions"), (None, "without regions")):
        if regions is None and name == "with regions":
            continue
        scores, _ = photo_scores(policy.photos, ranker, ranker.encode_photos(features.x, regions), query)
        lines.append(f"{name}: AUROC {auroc(scores[under], scores[~under]):.3f}")
        points = [policy.photos.point, *(point_of(scores, under, recall) for recall in RECALLS)]
        for held, why in zip((Held.of(scores, under, point) for point in points), ("policy", *RECALLS), strict=True):
            lines.append(
                f"  point {held.point:.4f} ({why}): precision {held.precision:.3f}, recall {held.recall:.3f}, "
                f"{held.share:.3f} of all photos held back"
            )
    return lines


def _train_without(
    rows: np.ndarray,
    features: EmbeddedJudgments,
    photos: Judgments,
    judgments: Judgments,
    encoders: tuple[ImageEncoder, TextEncoder],
    on_stage: Stage,
) -> Ranker:
    """A ranker of the shipped ones' recipe (`make default-ranker`) that has not seen some of the photos."""
    seen = np.setdiff1d(np.arange(len(features.photos)), rows)
    names = [features.photos[row] for row in seen]
    things = read_class_names(judgments.folder.resolve().parent / CLASS_NAMES)
    base = train(features.select(seen), photos.restrict(names), encoders, things=things, on_stage=on_stage)
    judged = judgments.restrict(judgments.sets[JUDGED_SET])
    settings = TrainSettings(keep_order=True)
    return train(embed_judgments(judged, *encoders), judged, encoders, settings, base=base, on_stage=on_stage)


if __name__ == "__main__":
    sys.exit(main())
