"""Collect everything that the MLPs of a training learn from and are validated on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import grouped_split
from reranker.models.linear_map import unit
from reranker.training import OnStage
from reranker.training.examples.caption_examples import caption_examples
from reranker.training.examples.example_lists import ExampleLists, ExampleSettings, with_own_photo_only
from reranker.training.examples.galleries import Gallery, fold_galleries
from reranker.training.examples.judged_examples import JudgedExamples, judged_examples
from reranker.training.examples.phrase_examples import phrase_pairs
from reranker.training.joint_space.cross_fit import JointSpaces
from reranker.training.training_data import TrainingData

# Pairs of a kind that a calibration needs.
MIN_CALIBRATION_PAIRS = 50


@dataclass(frozen=True, slots=True)
class TrainingExamples:
    """Examples that the MLPs learn from and are validated on.

    Attributes:
        ranking_train: Captions with their own photo first, the only one that counts.
        ranking_validation: Those of validation photos.
        relevance_train: Pairs of captions, phrases and judgments, as lists of one photo.
        relevance_validation: Those of validation photos.
        calibration: Validation pairs that the relevance is calibrated on.
        galleries: Validation photos that teach the ranking.
        relevance_galleries: Validation photos, also those that teach the relevance alone.
        text_vectors: (m + p, e) float32 unit rows, the text vectors of the captions and behind them of the phrases.
        validation_count: How many photos validate.
    """

    ranking_train: ExampleLists
    ranking_validation: ExampleLists
    relevance_train: ExampleLists
    relevance_validation: ExampleLists
    calibration: ExampleLists
    galleries: tuple[Gallery, ...]
    relevance_galleries: tuple[Gallery, ...]
    text_vectors: np.ndarray
    validation_count: int


@dataclass(frozen=True, slots=True)
class _GalleryExamples:
    """Examples of one gallery.

    ranking: lists of captions; none where the gallery teaches the relevance alone; caption_pairs, phrases: pairs that
    teach relevance; judged: pairs that people judged.
    """

    gallery: Gallery
    teaches_ranking: bool
    ranking: list[ExampleLists]
    caption_pairs: list[ExampleLists]
    phrases: list[ExampleLists]
    judged: JudgedExamples

    def relevance_pairs(self) -> list[ExampleLists]:
        """Return all pairs that teach relevance."""
        return [*self.caption_pairs, *self.phrases, self.judged.pairs]


def collect_examples(
    data: TrainingData,
    spaces: JointSpaces,
    held_out: np.ndarray,
    settings: ExampleSettings,
    seed: int,
    on_stage: OnStage,
) -> TrainingExamples:
    """Collect the examples of a training.

    Args:
        data: What the training learns from, n photos.
        spaces: The joint spaces of the training.
        held_out: (n,) bool, the photos that it is validated on.
        settings: See `ExampleSettings`.
        seed: Draws negatives.
        on_stage: Called with ("pairs", done, total).

    Returns:
        The examples, of training and of validation photos.
    """
    embedded = data.embedded
    generator = np.random.default_rng(seed)
    found: tuple[list[_GalleryExamples], list[_GalleryExamples]] = ([], [])
    total = len(np.unique(np.stack([spaces.fold_of, held_out]), axis=1).T)
    sides = fold_galleries(embedded, spaces.fold_of, held_out, spaces.fold_spaces)
    for number, (held, gallery) in enumerate(sides, 1):
        found[int(held)].append(_examples_of(data, gallery, settings, generator))
        on_stage("pairs", number, total)
    rankings = [
        with_own_photo_only(ExampleLists.join([lists for one in side for lists in one.ranking])) for side in found
    ]
    relevances = [ExampleLists.join([pairs for one in side for pairs in one.relevance_pairs()]) for side in found]
    return TrainingExamples(
        ranking_train=rankings[0],
        ranking_validation=rankings[1],
        relevance_train=relevances[0],
        relevance_validation=relevances[1],
        calibration=_calibration_pairs(embedded, found[1]),
        galleries=tuple(one.gallery for one in found[1] if one.teaches_ranking),
        relevance_galleries=tuple(one.gallery for one in found[1]),
        text_vectors=np.concatenate([unit(embedded.t), unit(data.phrases.texts.t)]),
        validation_count=int(held_out.sum()),
    )


def validation_photos(embedded: EmbeddedJudgments, share: float, seed: int) -> np.ndarray:
    """Draw a share of the photos of every set that have captions: (n,) bool.

    Args:
        embedded: The judged data of n photos.
        share: The share.
        seed: Draws them.
    """
    described = np.unique(embedded.owner[embedded.owner >= 0])
    held_out = np.zeros(len(embedded.photos), bool)
    for place in range(len(embedded.sets.names)):
        own = described[embedded.sets.set_of[described] == place]
        if len(own) > 1:
            held_out[own[grouped_split(own, share, seed)[1]]] = True
    return held_out


def _examples_of(
    data: TrainingData, gallery: Gallery, settings: ExampleSettings, generator: np.random.Generator
) -> _GalleryExamples:
    """Collect the examples of one gallery."""
    embedded = data.embedded
    teaches_ranking = bool(embedded.sets.teach_space[gallery.photos].all())
    captions = caption_examples(embedded, gallery, settings, generator)
    shown = slice(0, settings.relevance_photos)
    of_phrases = []
    if len(data.phrases):
        first_row = len(embedded.t)
        of_phrases.append(phrase_pairs(data.phrases, gallery, settings, generator, first_row))
    return _GalleryExamples(
        gallery=gallery,
        teaches_ranking=teaches_ranking,
        ranking=[captions] if teaches_ranking else [],
        caption_pairs=[captions.as_pairs(shown), captions.as_pairs(slice(-1, None))],
        phrases=of_phrases,
        judged=judged_examples(embedded, data.judgments, gallery, settings),
    )


def _calibration_pairs(embedded: EmbeddedJudgments, validation: Sequence[_GalleryExamples]) -> ExampleLists:
    """Take, for each set, the pairs that a crowd judged, else those that experts graded, else captions.

    The first that are enough are taken. Relevance is the probability that a person says "this fits", and that is what a
    crowd was asked. Every set counts alike, however many pairs it has.
    """
    crowd = ExampleLists.join([one.judged.pairs.take(np.flatnonzero(~one.judged.by_experts)) for one in validation])
    expert = ExampleLists.join([one.judged.pairs.take(np.flatnonzero(one.judged.by_experts)) for one in validation])
    captions = ExampleLists.join([pairs for one in validation for pairs in one.caption_pairs])
    chosen = []
    for place in range(len(embedded.sets.names)):
        for pairs in (crowd, expert, captions):
            own = pairs.take(np.flatnonzero(embedded.sets.set_of[pairs.photo_rows[:, 0]] == place))
            if len(own) >= MIN_CALIBRATION_PAIRS:
                chosen.append(replace(own, weights=own.weights / own.weights.mean()))
                break
    if not chosen:
        return captions
    largest = max(map(len, chosen))
    return ExampleLists.join([replace(own, weights=own.weights * np.float32(largest / len(own))) for own in chosen])
