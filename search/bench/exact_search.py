"""Exact nearest rows, block by block; and what they say of a set: intrinsic dimension, similarity quantiles."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from indexer.views.view import View

BLOCK_ROWS = 16_384
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# TwoNN leaves out the largest ratios, which are the noisiest (Facco et al. 2017).
KEPT_RATIOS = 0.9


def view_blocks(view: View) -> Iterator[np.ndarray]:
    """`[z ; hubness]` of every row of a view, tail included: blocks of (n, k + 1) float32."""
    for start in range(0, view.total_rows, BLOCK_ROWS):
        rows = np.arange(start, min(start + BLOCK_ROWS, view.total_rows))
        yield np.concatenate([view.gather_z(rows), view.gather_hubness(rows)[:, None]], axis=1)


def best_rows(
    blocks: Iterable[np.ndarray], queries: np.ndarray, count: int, allowed: Sequence[np.ndarray | None] = (None,)
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The `count` best rows a query by inner product, for every filter of `allowed` in one pass over the vectors.

    blocks: (n, d) float32, the rows in order; queries: (b, d) float32; allowed: sorted rows, or None for all. Returns
    rows (b, c) int64 and scores (b, c) float32 a filter, best first, ties by row, with c <= count. Which of the rows
    that tie for the last place are kept is left open.
    """
    none = (np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32))
    found = [none for _ in allowed]
    start = 0
    for block in blocks:
        scores = queries @ block.T
        for place, rows in enumerate(allowed):
            if rows is None:
                some = np.arange(len(block))
            else:
                some = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(block))] - start
            part = scores if rows is None else scores[:, some]
            before = found[place]
            found[place] = _largest(
                np.concatenate([before[0], np.broadcast_to(some + start, part.shape)], axis=1),
                np.concatenate([before[1], part], axis=1),
                count,
            )
        start += len(block)
    return [_sorted(rows, scores) for rows, scores in found]


def recall(found: Sequence[np.ndarray], exact: np.ndarray) -> float:
    """Mean share of the exact rows of each query that were found: b times (c,) and (b, c) row numbers."""
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, exact, strict=True)]))


def neighbours(x: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` nearest other rows of every row of x (n, d), unit rows: rows (n, count) and cosines (n, count)."""
    rows, cosines = np.empty((len(x), count), np.int64), np.empty((len(x), count), np.float32)
    for start in range(0, len(x), 1_024):
        ((near, values),) = best_rows([x], x[start : start + 1_024], count + 1)
        # A row is its own nearest; among exact copies it may be listed later, and any one of them may go.
        own = near == np.arange(start, start + len(near))[:, None]
        own[~own.any(axis=1), 0] = True
        rows[start : start + len(near)] = near[~own].reshape(-1, count)
        cosines[start : start + len(near)] = values[~own].reshape(-1, count)
    return rows, cosines


def intrinsic_dimension(cosines: np.ndarray) -> float:
    """TwoNN (Facco et al. 2017, "Estimating the intrinsic dimension of datasets by a minimal neighborhood information",
    Scientific Reports 7).

    cosines: (n, 2 or more) to the nearest rows, nearest first. The ratio of the second distance to the first follows a
    Pareto law whose exponent is the dimension; it is fitted through the origin. Rows with an exact copy say nothing.
    """
    distances = np.sqrt(np.maximum(2 - 2 * cosines[:, :2].astype(np.float64), 0))
    distances = distances[distances[:, 0] > 1e-3]
    ratios = np.sort(np.log(distances[:, 1] / distances[:, 0]))
    kept = int(KEPT_RATIOS * len(ratios))
    share = np.arange(1, kept + 1) / len(ratios)
    return float(ratios[:kept] @ -np.log(1 - share) / (ratios[:kept] @ ratios[:kept]))


def quantiles(similarities: np.ndarray) -> dict[str, float]:
    """The quantiles of all values, by percent."""
    values = np.quantile(similarities, QUANTILES)
    return {f"{100 * q:g}%": round(float(value), 4) for q, value in zip(QUANTILES, values, strict=True)}


def _largest(rows: np.ndarray, scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    if scores.shape[1] <= count:
        return rows, scores
    best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    return np.take_along_axis(rows, best, axis=1), np.take_along_axis(scores, best, axis=1)


def _sorted(rows: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((rows, -scores), axis=1)
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)
