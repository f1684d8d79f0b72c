"""Measure how candidates get better with the number of training photos, on held-out photos of every set.

    python -m experiments.learning_curve JUDGED[:PHOTOS]...

Photos of all sets are drawn together, each larger training has the photos of the smaller ones. What is measured is the
joint space alone, without class names and without reranking. Test photos are not looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import click
import numpy as np

from indexer.encoders import load_image_encoder, load_text_encoder
from indexer.errors import PhotoseekError
from indexer.index import DEFAULT_ENCODER
from photoseek.options.judged_sets import JUDGED_SET, JudgedSet, set_names
from reranker.judgments.embedded import EmbeddedJudgments, embed_judgments
from reranker.judgments.judged_folder import load_judgments
from reranker.judgments.training_sets import TrainingSet, join_sets
from reranker.metrics.recall import CUTOFFS, ranks_of_own, recall_at
from reranker.models.joint_space import JointSpace, candidate_scores
from reranker.models.query_words import KnownWords
from reranker.training.examples.collect_examples import validation_photos
from reranker.training.examples.example_lists import ExampleSettings
from reranker.training.examples.galleries import Gallery
from reranker.training.examples.phrase_examples import Phrases, find_phrases
from reranker.training.joint_space.fit_joint_space import (
    JointSpaceSettings,
    TextWords,
    fit_joint_space,
    fit_lexical_features,
)
from reranker.training.train_ranker import DEFAULT_TEXT_ENCODER, training_photos

COUNTS = (500, 1000, 2000, 4000, 8000)
# Share of the photos of every set that is measured on, and never trained on.
HELD_OUT = 0.15


@dataclass(frozen=True, slots=True)
class Point:
    """Recall@1, 5 and 10 of one set's held-out captions after a training on so many photos."""

    photos: int
    name: str
    recalls: tuple[float, ...]


@click.command()
@click.argument("judged", nargs=-1, required=True, type=JUDGED_SET)
@click.option("--image-encoder", default=DEFAULT_ENCODER, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(judged: tuple[JudgedSet, ...], image_encoder: str, seed: int) -> None:
    """Print recall@1, 5 and 10 of the candidates by number of training photos and set."""
    image, text = load_image_encoder(image_encoder), load_text_encoder(DEFAULT_TEXT_ENCODER)
    try:
        sets = [_training_set(name, one) for name, one in zip(set_names(judged), judged, strict=True)]
        joined, photo_sets = join_sets(sets)
        embedded = replace(embed_judgments(joined, image, text), photo_sets=photo_sets)
    except PhotoseekError as error:
        raise click.ClickException(str(error)) from None
    phrases = find_phrases(embedded, text, ExampleSettings().min_phrase_photos)
    click.echo(f"{'photos':>7}  {'set':<16}{'recall@1':>9}{'@5':>7}{'@10':>7}")
    for point in learning_curve(embedded, phrases, seed):
        click.echo(f"{point.photos:>7}  {point.name:<16}{'  '.join(f'{value:.3f}' for value in point.recalls):>23}")


def learning_curve(embedded: EmbeddedJudgments, phrases: Phrases, seed: int) -> Iterator[Point]:
    """Measure the candidates after trainings on more and more photos.

    Args:
        embedded: Judged data of one or more sets.
        phrases: Words and short phrases of its captions.
        seed: Draws the photos and everything random in a fit.

    Yields:
        A point per number of photos and set.
    """
    sets = embedded.sets
    held = validation_photos(embedded, HELD_OUT, seed)
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(~held))
    for count in sorted({min(count, len(drawn)) for count in COUNTS}):
        space = _fit(embedded, np.sort(drawn[:count]), phrases, seed)
        for place, name in enumerate(sets.names):
            yield Point(count, name, _recalls(embedded, space, np.flatnonzero(held & (sets.set_of == place))))


def _training_set(name: str, one: JudgedSet) -> TrainingSet:
    judgments = load_judgments(one.folder)
    return TrainingSet(name, judgments.restrict(training_photos(judgments, one.photos)), one.weight)


def _fit(embedded: EmbeddedJudgments, photos: np.ndarray, phrases: Phrases, seed: int) -> JointSpace:
    """Fit a joint space without late interaction and class names to some photos, (n,) sorted rows."""
    settings = replace(JointSpaceSettings(), late_interaction=None)
    captions = [embedded.texts[row] for row in np.flatnonzero(np.isin(embedded.owner, photos))]
    lexical = fit_lexical_features(captions, settings.ranking.lexical_weight)
    words = TextWords(lexical, KnownWords(), phrases if len(phrases) else None)
    return fit_joint_space(embedded, photos, words, settings, seed, lambda _stage, _done, _total: None)


def _recalls(embedded: EmbeddedJudgments, space: JointSpace, photos: np.ndarray) -> tuple[float, ...]:
    """Compute recall of the captions of some photos among those photos, (n,) sorted rows."""
    gallery = Gallery.of(embedded, photos, space)
    rows, own = gallery.captions(embedded)
    ranks = ranks_of_own(candidate_scores(gallery.encoded_photos, gallery.encode_captions(embedded, rows)), own)
    return tuple(recall_at(ranks, k) for k in CUTOFFS)


if __name__ == "__main__":
    main()
