"""Collect everything that the MLPs of a training learn from and are validated on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indexer.encoders import TextEncoder
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import Judgments, grouped_split
from reranker.models.linear_map import unit
from reranker.training import OnStage
from reranker.training.cross_fit import JointSpaces
from reranker.training.examples.caption_examples import caption_examples
from reranker.training.examples.example_lists import ExampleLists, ExampleSettings, with_own_photo_only
from reranker.training.examples.galleries import Gallery, fold_galleries
from reranker.training.examples.judged_examples import JudgedExamples, judged_examples
from reranker.training.examples.word_examples import WordQueries, word_examples, word_queries

# Pairs of a kind that a calibration needs.
MIN_CALIBRATION_PAIRS = 50


@dataclass(frozen=True, slots=True)
class TrainingExamples:
    """Examples that the MLPs learn from and are validated on.

    Attributes:
        ranking_train: Captions with their own photo first, the only one that fits.
        ranking_validation: Those of validation photos.
        relevance_train: Pairs of captions, words and judgments, as lists of one photo.
        relevance_validation: Those of validation photos.
        calibration: Validation pairs of the one kind that the relevance is calibrated on.
        galleries: Validation photos.
        words: Frequent words of the captions.
        text_vectors: (m + w, e) float32 unit rows, the text vectors of the captions and behind them of the words.
        validation_photos: How many photos validate.
    """

    ranking_train: ExampleLists
    ranking_validation: ExampleLists
    relevance_train: ExampleLists
    relevance_validation: ExampleLists
    calibration: ExampleLists
    galleries: tuple[Gallery, ...]
    words: WordQueries
    text_vectors: np.ndarray
    validation_photos: int


@dataclass(frozen=True, slots=True)
class _GalleryExamples:
    """Examples of one gallery: captions as lists and as pairs, words if there are any, and judged pairs."""

    gallery: Gallery
    captions: ExampleLists
    caption_pairs: list[ExampleLists]
    words: list[ExampleLists]
    judged: JudgedExamples

    def relevance_pairs(self) -> list[ExampleLists]:
        """Return all pairs that teach relevance."""
        return [*self.caption_pairs, *self.words, self.judged.pairs]


def collect_examples(
    embedded: EmbeddedJudgments,
    judgments: Judgments,
    encoder: TextEncoder,
    spaces: JointSpaces,
    settings: ExampleSettings,
    seed: int,
    on_stage: OnStage,
) -> TrainingExamples:
    """Collect the examples of a training.

    Args:
        embedded: The judged data of n photos as arrays.
        judgments: The judged data with what people said.
        encoder: The text encoder that made its text vectors.
        spaces: The joint spaces of the training.
        settings: See `ExampleSettings`.
        seed: Draws validation photos and negatives.
        on_stage: Called with ("pairs", done, total).

    Returns:
        The examples, of training and of validation photos.
    """
    held_out = _validation_photos(embedded, settings.validation_share, seed)
    generator = np.random.default_rng(seed)
    words = word_queries(embedded, encoder, settings)
    found: tuple[list[_GalleryExamples], list[_GalleryExamples]] = ([], [])
    total = len(np.unique(np.stack([spaces.fold_of, held_out]), axis=1).T)
    sides = fold_galleries(embedded, spaces.fold_of, held_out, spaces.fold_spaces)
    for number, (held, gallery) in enumerate(sides, 1):
        captions = caption_examples(embedded, gallery, settings, generator)
        shown = slice(0, settings.relevance_photos)
        caption_pairs = [captions.as_pairs(shown), captions.as_pairs(slice(-1, None))]
        of_words = []
        if len(words.texts):
            of_words.append(word_examples(words, gallery, settings, generator, len(embedded.t)))
        judged = judged_examples(embedded, judgments, gallery, settings)
        found[int(held)].append(_GalleryExamples(gallery, captions, caption_pairs, of_words, judged))
        on_stage("pairs", number, total)
    rankings = [with_own_photo_only(ExampleLists.join([one.captions for one in side])) for side in found]
    relevances = [ExampleLists.join([pairs for one in side for pairs in one.relevance_pairs()]) for side in found]
    return TrainingExamples(
        ranking_train=rankings[0],
        ranking_validation=rankings[1],
        relevance_train=relevances[0],
        relevance_validation=relevances[1],
        calibration=_calibration_pairs(found[1]),
        galleries=tuple(one.gallery for one in found[1]),
        words=words,
        text_vectors=np.concatenate([unit(embedded.t), unit(words.t)]),
        validation_photos=int(held_out.sum()),
    )


def _validation_photos(embedded: EmbeddedJudgments, share: float, seed: int) -> np.ndarray:
    """Draw a share of the photos that have captions: (n,) bool."""
    described = np.unique(embedded.owner[embedded.owner >= 0])
    _, places = grouped_split(described, share, seed)
    return np.isin(np.arange(len(embedded.photos)), described[places])


def _calibration_pairs(validation: Sequence[_GalleryExamples]) -> ExampleLists:
    """Take the pairs that a crowd judged, else those that experts graded, else captions; whichever are enough first.

    Relevance is the probability that a person says "this fits", and that is what a crowd was asked.
    """
    crowd = [one.judged.pairs.take(np.flatnonzero(~one.judged.by_experts)) for one in validation]
    expert = [one.judged.pairs.take(np.flatnonzero(one.judged.by_experts)) for one in validation]
    captions = ExampleLists.join([pairs for one in validation for pairs in one.caption_pairs])
    for pairs in (ExampleLists.join(crowd), ExampleLists.join(expert)):
        if len(pairs) >= MIN_CALIBRATION_PAIRS:
            return pairs
    return captions
