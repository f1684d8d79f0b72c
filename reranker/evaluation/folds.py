"""Score judged pairs by rankers that have not seen them: 5 folds over photos, and a strict split by caption, too."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from reranker.evaluation.data import EvaluationData
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judgments import CrowdRow, ExpertRow, Judgments, photo_of
from reranker.models.joint_space import PAIR_FEATURES
from reranker.ranker import Ranker
from reranker.training import OnStage

FOLDS = 5

# Trains a ranker on photos and judgments.
Train = Callable[[EmbeddedJudgments, Judgments], Ranker]


@dataclass(frozen=True, slots=True)
class PairRelevance:
    """Scores of judged pairs.

    Attributes:
        relevance: (n,) float32 in 0..1.
        pair_features: (n, 7) float32.
    """

    relevance: np.ndarray
    pair_features: np.ndarray


@dataclass(frozen=True, slots=True)
class FoldRelevance:
    """Relevance of every judged pair, by rankers that learned from other photos' judgments.

    Attributes:
        expert: (n,) float64, in the order of the experts' rows.
        crowd: (m,) float64, in the order of the crowd's rows.
        strict: (n,) float64, of the experts' rows, by rankers that saw neither the photo nor the caption's own photo or
            its captions; NaN where photo and caption lie in different folds.
    """

    expert: np.ndarray
    crowd: np.ndarray
    strict: np.ndarray


@dataclass(frozen=True, slots=True)
class _Rows:
    """Judged rows as places: the photo of each, and the photo that its caption was written for, -1 for none."""

    captions: list[str]
    photo: np.ndarray
    owner: np.ndarray


def score_pairs(data: EvaluationData, ranker: Ranker, photo: np.ndarray, captions: Sequence[str]) -> PairRelevance:
    """Score judged photos beside captions.

    Args:
        data: The judged data.
        ranker: The ranker to score with.
        photo: (n,) int64 rows of the judged photos.
        captions: The n caption ids.
    """
    _, embedded = data.judged
    text = np.array([data.caption_rows[caption] for caption in captions], np.int64)
    distinct, which = np.unique(text, return_inverse=True)
    photos = ranker.encode_photos(embedded.x, embedded.regions)
    texts = [embedded.texts[row] for row in distinct]
    queries = ranker.encode_queries(embedded.t[distinct], texts, embedded.tokens.select(distinct))
    relevance = np.empty(len(text), np.float32)
    pair_features = np.empty((len(text), len(PAIR_FEATURES)), np.float32)
    for row in range(len(distinct)):
        asked = np.flatnonzero(which == row)
        scores = ranker.scores(photos.take(photo[asked]), queries, row)
        relevance[asked], pair_features[asked] = scores.relevance, scores.pair_features
    return PairRelevance(relevance, pair_features)


def fold_relevance(data: EvaluationData, train: Train, seed: int, on_stage: OnStage | None = None) -> FoldRelevance:
    """Train on the photos outside each fold, and score the judged pairs inside.

    Args:
        data: The judged data.
        train: Trains a ranker; it must not have learned relevance from these judgments before.
        seed: Draws the folds.
        on_stage: Called with (stage, done, total).
    """
    judgments, embedded = data.judged
    fold_of = np.random.default_rng(seed).permutation(len(embedded.photos)) % FOLDS
    expert, crowd = _rows(judgments.expert, embedded), _rows(judgments.crowd, embedded)
    found = FoldRelevance(*(np.full(len(rows.photo), np.nan) for rows in (expert, crowd, expert)))
    for fold in range(FOLDS):
        if on_stage is not None:
            on_stage(f"folds (seed {seed})", fold, FOLDS)
        seen = np.flatnonzero(fold_of != fold)
        names = {embedded.photos[row] for row in seen}
        restricted = judgments.restrict(names)
        ranker = train(embedded.select(seen), restricted)
        for rows, scores in ((expert, found.expert), (crowd, found.crowd)):
            _fill(scores, data, ranker, rows, fold_of[rows.photo] == fold)
        unseen = [caption for caption in restricted.captions if photo_of(caption) not in names]
        ranker = train(embedded.select(seen), restricted.without_captions(unseen))
        both = (fold_of[expert.photo] == fold) & np.isin(expert.owner, np.flatnonzero(fold_of == fold))
        _fill(found.strict, data, ranker, expert, both)
    return found


def _fill(scores: np.ndarray, data: EvaluationData, ranker: Ranker, rows: _Rows, chosen: np.ndarray) -> None:
    """Put the relevance of the chosen rows, (n,) bool, in their places of `scores`."""
    held = np.flatnonzero(chosen)
    scores[held] = score_pairs(data, ranker, rows.photo[held], [rows.captions[row] for row in held]).relevance


def _rows(judged: Sequence[ExpertRow | CrowdRow], embedded: EmbeddedJudgments) -> _Rows:
    position = {name: row for row, name in enumerate(embedded.photos)}
    captions = [row.caption for row in judged]
    photo = np.array([position[row.photo] for row in judged], np.int64)
    owner = np.array([position.get(photo_of(caption), -1) for caption in captions], np.int64)
    return _Rows(captions, photo, owner)
