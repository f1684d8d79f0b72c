"""Hubs: photos that are among the first hits of many queries."""

import numpy as np


def largest_share(top: np.ndarray) -> float:
    """Return the largest share of queries that have the same photo among their first k hits.

    Args:
        top: (queries, k) int, the photos among the first k hits of each query, no photo twice in a row.

    Returns:
        The share, in 0..1.
    """
    return float(np.bincount(top.reshape(-1)).max() / len(top))


def has_most_shown(top: np.ndarray) -> np.ndarray:
    """Tell which queries have the most frequent photo among their first k hits.

    The mean of the result is `largest_share`. Bootstrap draws are taken of these values, with the photo fixed: the
    maximum over photos would be larger in a draw than in the data.

    Args:
        top: (queries, k) int, the photos among the first k hits of each query, no photo twice in a row.

    Returns:
        (queries,) bool.
    """
    found: np.ndarray = (top == np.bincount(top.reshape(-1)).argmax()).any(axis=1)
    return found


def mean_overlap(top: np.ndarray) -> float:
    """Return the mean Jaccard overlap of the first k hits of two queries, over all pairs of queries.

    Args:
        top: (queries, k) int, the photos among the first k hits of each query, no photo twice in a row.

    Returns:
        The overlap: 1 where all queries have the same photos, 0 where no two share any.
    """
    count, k = top.shape
    shown = np.zeros((count, top.max() + 1), np.float32)
    np.put_along_axis(shown, top, 1, axis=1)
    shared = shown @ shown.T
    overlap = shared / (2 * k - shared)
    return float((overlap.sum() - count) / (count * (count - 1)))
