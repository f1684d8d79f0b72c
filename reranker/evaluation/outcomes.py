"""What became of each query: ranks -> recall at every k, where queries are lost, which photos crowd the first hits."""

from dataclasses import dataclass

import numpy as np

RESAMPLES = 500
LOST = (
    "found, before reranking too",
    "found by reranking",
    "lost in reranking",
    "among the candidates, ranked behind",
    "lost in candidates",
)


@dataclass(frozen=True, slots=True)
class Curve:
    """Recall at k = 1, 2, ... with its 95 % interval: y, low, high, (k,) float64 each."""

    k: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray


def recall_curve(ranks: np.ndarray, most: int = 100, resamples: int = RESAMPLES, seed: int = 0) -> Curve:
    """Share of queries whose own photo is among the first 1, 2, ... `most`. ranks: (queries,), 0 is first.

    The band is a percentile bootstrap over queries at every k (Efron and Tibshirani 1993).
    """
    k = np.arange(1, most + 1)
    hits = (ranks[:, None] < k).astype(np.float64)
    generator = np.random.default_rng(seed)
    drawn = np.empty((resamples, most))
    for row in range(resamples):
        # How often each query was drawn, so that a draw is one product.
        times = np.bincount(generator.integers(0, len(ranks), len(ranks)), minlength=len(ranks))
        drawn[row] = times @ hits / len(ranks)
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    return Curve(k, hits.mean(axis=0), low, high)


def outcomes_of_queries(before: np.ndarray, after: np.ndarray, k: int, reach: int) -> np.ndarray:
    """What became of each query, as its place in `LOST`: (queries,) int64.

    before, after: (queries,) rank of each query's own photo among the candidates and after reranking, which sees the
    first `reach` candidates alone.
    """
    was, found, seen = before < k, after < k, before < reach
    return np.select([was & found, found, was, seen], [0, 1, 2, 3], 4)


def losses(before: np.ndarray, after: np.ndarray, k: int, reach: int) -> dict[str, float]:
    """Return the share of queries with each outcome of `LOST`; arguments as of `outcomes_of_queries`."""
    fate = outcomes_of_queries(before, after, k, reach)
    return {name: float((fate == place).mean()) for place, name in enumerate(LOST)}


def crowding(order: np.ndarray, k: int = 10) -> np.ndarray:
    """In how many queries' first k each photo is: (photos,) int64. order: (queries, photos), higher is nearer."""
    top = np.argsort(-order, axis=1)[:, :k]
    return np.bincount(top.reshape(-1), minlength=order.shape[1])


def margins(order: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(queries,): how far each query's own photo scores above the best of the others, below 0 where it is not first.

    order: (queries, photos) with two photos or more; own: (queries,).
    """
    others = order.copy()
    rows = np.arange(len(own))
    others[rows, own] = -np.inf
    gaps: np.ndarray = order[rows, own] - others.max(axis=1)
    return gaps


def pick(value: np.ndarray, group: np.ndarray, allowed: np.ndarray, count: int) -> list[int]:
    """Rows of the `count` largest values (n,) above 0 among the allowed (n,) bool, one of each group (n,) at most."""
    chosen: dict[int, int] = {}
    for row in np.argsort(-value, kind="stable").tolist():
        if len(chosen) == count or not value[row] > 0:
            break
        if allowed[row]:
            chosen.setdefault(int(group[row]), row)
    return list(chosen.values())
