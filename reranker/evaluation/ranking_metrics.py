"""Metrics of rankings with graded relevance, query by query, equal to trec_eval's to the last digit it keeps.

Every metric takes `ranked`, (queries, n) float64: the relevance of each query's photos in the order of their rank, all
of its relevant photos among them, as `in_rank_order` gives it. 0 is not relevant; a relevance below 0 is taken as 0,
as trec_eval does. The result is (queries,) float64, 0 for a query without a relevant photo; its mean is the figure.
"""

from collections.abc import Sequence

import numpy as np


def rank_order(scores: np.ndarray, photo_ids: Sequence[str]) -> np.ndarray:
    """Columns of `scores` (queries, n) in the order of rank, (queries, n) int64, by trec_eval's rule: score descending,
    compared as float32, and equal scores by photo id, descending, code point by code point.

    The rule knows nothing of which photo is right, so ties neither help nor harm on purpose; `metrics.ranks_of_own` in
    contrast counts every tie against the right photo. Raises ValueError where ids repeat or do not fit the columns.
    """
    if len(photo_ids) != scores.shape[1] or len(set(photo_ids)) != len(photo_ids):
        raise ValueError(f"{len(set(photo_ids))} distinct photo ids for {scores.shape[1]} columns of scores")
    by_id = np.array(sorted(range(len(photo_ids)), key=lambda place: photo_ids[place], reverse=True), np.int64)
    # Adding 0 makes -0 and 0 one score.
    order = np.argsort(-(scores.astype(np.float32)[:, by_id] + np.float32(0)), axis=1, kind="stable")
    return by_id[order]


def in_rank_order(scores: np.ndarray, relevance: np.ndarray, photo_ids: Sequence[str]) -> np.ndarray:
    """`relevance` (queries, n) sorted as `rank_order` sorts the scores: (queries, n) float64."""
    return np.take_along_axis(relevance.astype(np.float64), rank_order(scores, photo_ids), axis=1)


def ndcg_at(ranked: np.ndarray, k: int | None = None) -> np.ndarray:
    """Normalised discounted cumulative gain of the first k, or of all: sum of relevance / log2(rank + 1), divided by
    that of the best order (Järvelin and Kekäläinen 2002, with the discount of Burges et al. 2005)."""
    gains = np.maximum(ranked, 0)
    best = -np.sort(-gains, axis=1)
    discount = 1 / np.log2(np.arange(2, gains.shape[1] + 2))
    return _ratio(gains[:, :k] @ discount[:k], best[:, :k] @ discount[:k])


def average_precision(ranked: np.ndarray) -> np.ndarray:
    """Mean over the relevant photos of the precision at their rank (Buckley and Voorhees 2000); its mean is MAP."""
    relevant = ranked > 0
    precision = relevant.cumsum(axis=1) / np.arange(1, ranked.shape[1] + 1)
    return _ratio((precision * relevant).sum(axis=1), relevant.sum(axis=1))


def reciprocal_rank(ranked: np.ndarray) -> np.ndarray:
    """1 / rank of the first relevant photo (Voorhees 1999); its mean is MRR."""
    relevant = ranked > 0
    return np.where(relevant.any(axis=1), 1 / (relevant.argmax(axis=1) + 1), 0.0)


def recall_of(ranked: np.ndarray, k: int) -> np.ndarray:
    """Share of the relevant photos that are among the first k."""
    relevant = ranked > 0
    return _ratio(relevant[:, :k].sum(axis=1), relevant.sum(axis=1))


def precision_of(ranked: np.ndarray, k: int) -> np.ndarray:
    """Share of the first k places that a relevant photo has; places without a photo count as wrong."""
    return (ranked[:, :k] > 0).sum(axis=1) / k


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
