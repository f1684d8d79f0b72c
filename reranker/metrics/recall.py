"""Rank of each query's own photo, and recall@k."""

import numpy as np

# The cutoffs that recall is reported at; rankings are compared by the sum of the three.
CUTOFFS = (1, 5, 10)


def ranks_of_own(scores: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Rank each query's own photo, the one that the query was written for.

    Ties count against the own photo: photos of an equal score stand before it.

    Args:
        scores: (queries, photos) float, higher is better.
        own: (queries,) int, the column of each query's own photo.

    Returns:
        (queries,) int64, 0 for the first rank.
    """
    own_scores = scores[np.arange(len(own)), own][:, None]
    return (scores >= own_scores).sum(axis=1) - 1


def hits_at(ranks: np.ndarray, k: int) -> np.ndarray:
    """Tell of each query whether its own photo is among the first k.

    Args:
        ranks: Ranks of any shape, 0 is the first, as `ranks_of_own` gives them.
        k: How many first hits count.

    Returns:
        bool, of the shape of `ranks`.
    """
    return ranks < k


def recall_at(ranks: np.ndarray, k: int) -> float:
    """Return the share of queries whose own photo is among the first k.

    Args:
        ranks: Ranks of any shape, 0 is the first, as `ranks_of_own` gives them.
        k: How many first hits count.

    Returns:
        Recall at k, in 0..1; with one relevant photo per query it equals the success rate at k.
    """
    return float(hits_at(ranks, k).mean())


def hits_at_cutoffs(ranks: np.ndarray) -> np.ndarray:
    """Count at how many of the cutoffs 1, 5 and 10 each query's own photo is found; the mean is recall@1 + 5 + 10.

    Args:
        ranks: (queries,) int, 0 is the first, as `ranks_of_own` gives them.

    Returns:
        (queries,) float64 in 0..3.
    """
    return np.stack([hits_at(ranks, k) for k in CUTOFFS]).sum(axis=0).astype(np.float64)
