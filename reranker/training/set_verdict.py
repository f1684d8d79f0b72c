"""Compare two rankings on the validation photos of every set."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from reranker.metrics.bootstrap import bootstrap_interval
from reranker.metrics.recall import hits_at

# Recall at these cutoffs is added up to compare rankings, and reported.
CUTOFFS = (1, 5, 10)


def found_at(ranks: np.ndarray) -> np.ndarray:
    """Return at how many of the cutoffs each query has found its photo: (q,) float64 in 0..3, of ranks (q,)."""
    return np.stack([hits_at(ranks, k) for k in CUTOFFS]).sum(axis=0).astype(np.float64)


def worse_sets(new: np.ndarray, old: np.ndarray, sets: np.ndarray, names: Sequence[str]) -> list[str]:
    """Return the names of the sets on which a ranking finds less than another, by more than chance.

    Args:
        new: (q,) int, ranks of the right photos by the one.
        old: (q,) int, by the other.
        sets: (q,) int, the place of each query's set in `names`.
        names: Names of the sets.

    Returns:
        The sets whose paired 95 % interval of the difference of recall@1 + 5 + 10 is all below 0.
    """
    gain = found_at(new) - found_at(old)
    worse = []
    for place in np.unique(sets):
        own = gain[sets == place]
        if bootstrap_interval(range(len(own)), partial(_mean_of, own)).high < 0:
            worse.append(names[place])
    return worse


def _mean_of(values: np.ndarray, rows: np.ndarray) -> float:
    return float(values[rows].mean())
