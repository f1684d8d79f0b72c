"""Hold a ranker under evaluation: its rankings of the data and the rankers trained for it, each computed once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from reranker.evaluation.data import EvaluationData, MarkedTest
from reranker.evaluation.folds import FoldRelevance, fold_relevance
from reranker.gallery_ranking import GalleryPhotos, GalleryRanking, rank_gallery
from reranker.judgments.aggregate import Aggregation, majority
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import Judgments
from reranker.ranker import Ranker
from reranker.training import OnStage
from reranker.training.examples.example_lists import ExampleSettings
from reranker.training.train import TrainSettings, train

Kept = TypeVar("Kept")


@dataclass(eq=False)
class Evaluation:
    """A ranker and the data to measure it on. The rankings of protocols are kept for reports and run files.

    Attributes:
        data: The data, which several rankers of the same encoders may share.
        ranker: The ranker under evaluation.
        seeds: How often each protocol that trains is repeated; its results are means.
        aggregate: Aggregates several people's judgments into one number in trainings.
        on_stage: Called with (stage, done, total).
    """

    data: EvaluationData
    ranker: Ranker
    seeds: int = 1
    aggregate: Aggregation = majority
    on_stage: OnStage | None = None
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def judgments(self) -> Judgments:
        """The judged data."""
        return self.data.judgments

    def once(self, name: str, compute: Callable[[], Kept]) -> Kept:
        """Compute a value once.

        Args:
            name: Name under which the value is kept.
            compute: Computes it; called only when this name is first asked for.

        Returns:
            The value.
        """
        if name not in self._kept:
            self._kept[name] = compute()
        kept: Kept = self._kept[name]
        return kept

    def official(self) -> tuple[GalleryRanking, np.ndarray]:
        """Rank the judged photos for all their captions.

        Returns:
            The ranking, and (captions,) int64, each caption's own photo.
        """
        _, embedded = self.data.judged
        photos = GalleryPhotos(embedded.x, embedded.regions)
        ranking = self.once("official", lambda: rank_gallery(self.ranker, photos, self.data.captions))
        return ranking, embedded.owner[embedded.owner >= 0]

    def without_regions(self) -> GalleryRanking:
        """Rank the judged photos for all their captions, as if their index had no regions."""
        photos = GalleryPhotos(self.data.judged[1].x, None)
        return self.once("without regions", lambda: rank_gallery(self.ranker, photos, self.data.captions))

    def course_default(self) -> tuple[GalleryRanking, np.ndarray]:
        """Rank the course's test photos for its queries.

        Returns:
            The ranking, and (queries,) int64, each query's own photo.
        """
        course = self.data.course
        ranking = self.once("course_default", lambda: rank_gallery(self.ranker, course.photos, course.queries))
        return ranking, course.own

    def course_trained(self, seed: int) -> tuple[GalleryRanking, np.ndarray]:
        """Rank the course's test by a ranker that learned from the judged photos alone.

        Args:
            seed: Seed of the training.

        Returns:
            The ranking, and (queries,) int64, each query's own photo.
        """
        course = self.data.course

        def train_and_rank() -> GalleryRanking:
            judgments, embedded = self.data.judged
            return rank_gallery(self.train(embedded, judgments, seed), course.photos, course.queries)

        return self.once(f"course {seed}", train_and_rank), course.own

    def foreign_gallery(self) -> GalleryRanking | None:
        """Rank the named photos for the judged photos' captions, which fit none of them; None without named photos."""
        photos = self.data.named_photos.photos
        if not len(photos.x):
            return None
        return self.once("foreign gallery", lambda: rank_gallery(self.ranker, photos, self.data.captions))

    def elsewhere(self, name: str) -> GalleryRanking:
        """Rank the test photos of a set of other photos for their captions."""
        test = self.data.elsewhere_sets[name]
        return self.once(f"elsewhere {name}", lambda: rank_gallery(self.ranker, test.photos, test.queries))

    def everyday(self, test: MarkedTest) -> GalleryRanking:
        """Rank the test photos of all sets of other photos for the everyday queries."""
        return self.once("everyday", lambda: rank_gallery(self.ranker, test.photos, test.queries))

    def folds(self, seed: int) -> FoldRelevance:
        """Score every judged pair by rankers that learned from other photos' judgments.

        The joint space and the ranking MLP are the given ranker's, which has seen neither these photos nor their
        captions. Its relevance may have, so in each fold it is trained from a new start.
        """
        train_fold = partial(self.train_relevance, seed=seed)
        return self.once(f"folds {seed}", lambda: fold_relevance(self.data, train_fold, seed, self.on_stage))

    def train(self, embedded: EmbeddedJudgments, judgments: Judgments, seed: int) -> Ranker:
        """Train a ranker on the given data alone."""
        settings = TrainSettings(seed=seed, examples=ExampleSettings(aggregate=self.aggregate))
        return train(embedded, judgments, self.data.encoders, settings, on_stage=self.on_stage)

    def train_relevance(self, embedded: EmbeddedJudgments, judgments: Judgments, seed: int) -> Ranker:
        """Train the relevance of the ranker under evaluation from a new start, on the given data alone."""
        settings = TrainSettings(
            seed=seed,
            keep_ranking=True,
            fresh_relevance=True,
            keep_no_match=True,
            examples=ExampleSettings(aggregate=self.aggregate),
        )
        return train(embedded, judgments, self.data.encoders, settings, base=self.ranker, on_stage=self.on_stage)


def described_photos(evaluation: Evaluation) -> int:
    """Return how many judged photos have captions of their own."""
    if not evaluation.data.has_judged:
        return 0
    owner = evaluation.data.judged[1].owner
    return len(np.unique(owner[owner >= 0]))
