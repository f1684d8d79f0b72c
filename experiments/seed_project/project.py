"""Data that the steps of the seed project return and its report shows."""

from dataclasses import dataclass

import numpy as np

from indexer.encoders.minilm import SENTENCE
from reranker.gallery_ranking import GalleryPhotos, GalleryQueries
from reranker.judgments.checks import Finding
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import Judgments
from reranker.metrics.bootstrap import Measured
from reranker.moderation.policy import Policy
from reranker.ranker import Ranker

# The models by their keys in the JSON, in the order of the tables.
TITLES = {
    "chance": "no model: the mean score, a random order",
    "ridge": "Ridge on the concatenated vector",
    "net": "plain net on the concatenated vector",
    "candidates": "photoseek, candidates",
    "photoseek": "photoseek",
}
SHORT_TITLES = {
    "chance": "no model",
    "ridge": "Ridge",
    "net": "plain net",
    "candidates": "candidates",
    "photoseek": "photoseek",
}
# The models that the conclusions compare.
COMPARED = ("ridge", "net", "photoseek")
# A photo is shown for a query if it is among the first 10, the depth of the course's recall@10.
TOP = 10

Result = int | float | Measured
# Results by model and metric; a metric that the data does not define is left out.
Results = dict[str, dict[str, Result]]


@dataclass(frozen=True, slots=True)
class Selection:
    """Photos that the models may learn from.

    Attributes:
        judgments: The whole judged folder.
        judged: Its judged photos, before the policy.
        kept: The judged photos that the policy leaves.
        policy: The policy that leaves out photos.
    """

    judgments: Judgments
    judged: Judgments
    kept: Judgments
    policy: Policy


@dataclass(frozen=True, slots=True)
class Vectors:
    """Image and text vectors of the photos to learn from and of the test.

    Attributes:
        image_title: The image encoder in words.
        features: The kept photos and their captions.
        test_photos: The photos to search in.
        test_queries: The queries to search for.
        own_photos: The row of the test photo that each query was written for, (queries,) int.
    """

    image_title: str
    features: EmbeddedJudgments
    test_photos: GalleryPhotos
    test_queries: GalleryQueries
    own_photos: np.ndarray

    @property
    def sentences(self) -> np.ndarray:
        """Return the part of the captions' vectors that Ridge and the net get, (captions, 384) float32."""
        return self.features.t[:, :SENTENCE]

    @property
    def query_sentences(self) -> np.ndarray:
        """Return the part of the queries' vectors that Ridge and the net get, (queries, 384) float32."""
        return self.test_queries.t[:, :SENTENCE]


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """Pairs of a photo and a caption with their generalised score, split by photo.

    Attributes:
        names: The photo and the caption id of each pair.
        photo_rows: The row of the photo in the features, (pairs,) int.
        text_rows: The row of the caption in the features, (pairs,) int.
        scores: The generalised score from 0 to 1, (pairs,) float64.
        train: The rows of the pairs to learn from, (train pairs,) int.
        held_out: The rows of the pairs to test on, (held-out pairs,) int.
    """

    names: tuple[tuple[str, str], ...]
    photo_rows: np.ndarray
    text_rows: np.ndarray
    scores: np.ndarray
    train: np.ndarray
    held_out: np.ndarray

    @property
    def train_photos(self) -> set[str]:
        """Return the names of the photos that the models learn from."""
        return {self.names[row][0] for row in self.train}

    @property
    def held_out_photos(self) -> list[str]:
        """Return the name of each held-out pair's photo."""
        return [self.names[row][0] for row in self.held_out]

    @property
    def held_out_scores(self) -> np.ndarray:
        """Return the generalised score of each held-out pair, (held-out pairs,) float64."""
        return self.scores[self.held_out]


@dataclass(frozen=True, slots=True)
class Check:
    """One condition that must hold before anything is learned.

    Attributes:
        condition: The condition in words.
        passed: Whether it holds.
        numbers: The numbers that it was decided on.
    """

    condition: str
    passed: bool
    numbers: str


@dataclass(frozen=True, slots=True)
class ModelScores:
    """Scores that one model gives.

    Attributes:
        pair_scores: The score of each held-out pair, (held-out pairs,) float.
        search_scores: The score of each test photo for each query, (queries, photos) float; the largest comes first.
        from_0_to_1: Whether `pair_scores` lie on the scale of the generalised score, so that RMSE and MAE are defined.
        seconds: The time that training took; None where the model learns nothing or is a part of another.
    """

    pair_scores: np.ndarray
    search_scores: np.ndarray
    from_0_to_1: bool
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class SeedProject:
    """Everything that the seed project computed.

    Attributes:
        selection: The photos to learn from.
        vectors: The image and text vectors.
        pairs: The scored pairs and their split.
        checks: The checks before training.
        findings: The findings of `photoseek check` about the judged folder's tables.
        models: The scores of each model of `TITLES`.
        ranker: photoseek's ranker, trained on the same photos.
        results: The results of each model.
    """

    selection: Selection
    vectors: Vectors
    pairs: ScoredPairs
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]
    models: dict[str, ModelScores]
    ranker: Ranker
    results: Results


def value_of(result: Result) -> float:
    """Return a result without its interval."""
    return float(result.value if isinstance(result, Measured) else result)
