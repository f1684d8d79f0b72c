"""Outcome of each query: recall at every k, where its photo is lost, which photos are hubs, and examples to show."""

from dataclasses import dataclass

import numpy as np

from reranker.metrics.recall import hits_at

# Draws of the band of a recall curve.
RESAMPLES = 500
OUTCOMES = (
    "found, before reranking too",
    "found by reranking",
    "lost in reranking",
    "among the candidates, ranked behind",
    "lost in candidates",
)
FOUND_BEFORE, FOUND_BY_RERANKING, LOST_IN_RERANKING, RANKED_BEHIND, LOST_IN_CANDIDATES = OUTCOMES


@dataclass(frozen=True, slots=True)
class RecallCurve:
    """Recall at k = 1, 2, ... with its 95 % interval.

    Attributes:
        k: (n,) int64.
        recall: (n,) float64, recall at each k.
        low: (n,) float64, lower end of the interval at each k.
        high: (n,) float64, upper end of the interval at each k.
    """

    k: np.ndarray
    recall: np.ndarray
    low: np.ndarray
    high: np.ndarray


def recall_curve(ranks: np.ndarray, largest_k: int = 100, resamples: int = RESAMPLES, seed: int = 0) -> RecallCurve:
    """Compute recall at k = 1, 2, ... up to `largest_k`, each with a percentile bootstrap interval over queries.

    Args:
        ranks: (queries,) rank of each query's own photo, 0 is the first.
        largest_k: The curve has as many points.
        resamples: How many draws.
        seed: Seed of the draws.

    Returns:
        The curve.

    References:
        B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman and Hall (1993).
    """
    k = np.arange(1, largest_k + 1)
    hits = np.stack([hits_at(ranks, int(place)) for place in k], axis=1).astype(np.float64)
    generator = np.random.default_rng(seed)
    drawn = np.empty((resamples, largest_k))
    for row in range(resamples):
        # How often each query was drawn, so that the recall of a draw is one matrix product.
        times = np.bincount(generator.integers(0, len(ranks), len(ranks)), minlength=len(ranks))
        drawn[row] = times @ hits / len(ranks)
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return RecallCurve(k, hits.mean(axis=0), low, high)


def outcomes_of_queries(before: np.ndarray, after: np.ndarray, k: int, reranked: int) -> np.ndarray:
    """Classify every query by what happened to its own photo.

    Args:
        before: (queries,) rank of each query's own photo among the candidates, 0 is the first.
        after: (queries,) its rank after reranking.
        k: A photo is found if it is among the first k.
        reranked: How many first candidates the reranker sees.

    Returns:
        (queries,) int64, the place of each outcome in `OUTCOMES`.
    """
    found_before, found_after, candidate = before < k, after < k, before < reranked
    return np.select([found_before & found_after, found_after, found_before, candidate], [0, 1, 2, 3], 4)


def outcome_shares(before: np.ndarray, after: np.ndarray, k: int, reranked: int) -> dict[str, float]:
    """Return the share of queries with each outcome of `OUTCOMES`.

    Args:
        before: (queries,) rank of each query's own photo among the candidates, 0 is the first.
        after: (queries,) its rank after reranking.
        k: A photo is found if it is among the first k.
        reranked: How many first candidates the reranker sees.

    Returns:
        Outcome -> share in 0..1, in the order of `OUTCOMES`; they sum to 1.
    """
    outcome = outcomes_of_queries(before, after, k, reranked)
    return {name: float((outcome == place).mean()) for place, name in enumerate(OUTCOMES)}


def k_occurrences(scores: np.ndarray, k: int = 10) -> np.ndarray:
    """Count for every photo how many queries have it among their first k hits.

    Args:
        scores: (queries, photos) float, higher is better.
        k: How many first hits count.

    Returns:
        (photos,) int64.

    References:
        M. Radovanović, A. Nanopoulos and M. Ivanović, "Hubs in space: popular nearest neighbors in high-dimensional
        data", Journal of Machine Learning Research 11 (2010).
    """
    top = np.argsort(-scores, axis=1)[:, :k]
    return np.bincount(top.reshape(-1), minlength=scores.shape[1])


def margins(scores: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Compute how far the own photo of each query scores above the best other photo.

    Args:
        scores: (queries, photos) float, higher is better, of two photos or more.
        own: (queries,) int, the column of each query's own photo.

    Returns:
        (queries,) float, below 0 where the own photo is not the first.
    """
    others = scores.copy()
    rows = np.arange(len(own))
    others[rows, own] = -np.inf
    gaps: np.ndarray = scores[rows, own] - others.max(axis=1)
    return gaps


def pick_examples(value: np.ndarray, group: np.ndarray, allowed: np.ndarray, count: int) -> list[int]:
    """Pick the rows of the largest values, at most one row per group.

    Args:
        value: (n,) float; only rows above 0 are picked.
        group: (n,) int, such as the own photo of each query.
        allowed: (n,) bool, rows that may be picked.
        count: How many rows to pick, at most.

    Returns:
        The rows, that of the largest value first.
    """
    chosen: dict[int, int] = {}
    for row in np.argsort(-value, kind="stable").tolist():
        if len(chosen) == count or not value[row] > 0:
            break
        if allowed[row]:
            chosen.setdefault(int(group[row]), row)
    return list(chosen.values())
