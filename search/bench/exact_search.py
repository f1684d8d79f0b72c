"""Find exact nearest rows, block by block, as the truth that approximate searches are compared with."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from indexer.views.view import View

# Rows of a view gathered at a time: 55 MB of 833 float32.
BLOCK_ROWS = 16_384
# Rows whose neighbours are searched at a time.
QUERY_ROWS = 1_024


def view_blocks(view: View) -> Iterator[np.ndarray]:
    """Yield `[z ; hubness]` of every row of a view, its tail included.

    Args:
        view: The view.

    Yields:
        Blocks of (n, k + 1) float32, the rows in order.
    """
    for start in range(0, view.total_rows, BLOCK_ROWS):
        rows = np.arange(start, min(start + BLOCK_ROWS, view.total_rows))
        yield np.concatenate([view.gather_z(rows), view.gather_hubness(rows)[:, None]], axis=1)


def best_rows(
    blocks: Iterable[np.ndarray], queries: np.ndarray, count: int, allowed: Sequence[np.ndarray | None] = (None,)
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Find the rows with the largest inner products, for several filters in one pass over the vectors.

    Args:
        blocks: The vectors in the order of the rows, blocks of (n, d) float32.
        queries: (b, d) float32.
        count: How many rows are wanted per query.
        allowed: The filters, each sorted rows or None for all.

    Returns:
        Per filter the rows, (b, c) int64 with c <= count, and their products, (b, c) float32, best first, ties by row.
        Which of the rows that tie for the last place are kept is undefined.
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
    """Compute the mean share of the exact rows of each query that were found.

    Args:
        found: The rows that a search found per query, b arrays of (c,).
        exact: The exact nearest rows, (b, c).

    Returns:
        The recall, 0 to 1.
    """
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, exact, strict=True)]))


def neighbours(x: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest other rows of every row.

    Args:
        x: (n, d) float32 unit rows.
        count: How many neighbours per row.

    Returns:
        The neighbours, (n, count) int64, nearest first, and their cosines, (n, count) float32.
    """
    rows, cosines = np.empty((len(x), count), np.int64), np.empty((len(x), count), np.float32)
    for start in range(0, len(x), QUERY_ROWS):
        ((near, values),) = best_rows([x], x[start : start + QUERY_ROWS], count + 1)
        # A row is its own nearest. Among exact copies it may be listed later or not at all; then any copy is dropped.
        own = near == np.arange(start, start + len(near))[:, None]
        own[~own.any(axis=1), 0] = True
        rows[start : start + len(near)] = near[~own].reshape(-1, count)
        cosines[start : start + len(near)] = values[~own].reshape(-1, count)
    return rows, cosines


def _largest(rows: np.ndarray, scores: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep the `count` largest scores per line, in any order, with their rows."""
    if scores.shape[1] <= count:
        return rows, scores
    best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    return np.take_along_axis(rows, best, axis=1), np.take_along_axis(scores, best, axis=1)


def _sorted(rows: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort each line by descending score, ties by row."""
    order = np.lexsort((rows, -scores), axis=1)
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)
