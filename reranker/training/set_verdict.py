"""Compare two rankings on the validation photos of every set."""

from collections.abc import Sequence

import numpy as np

from reranker.metrics.bootstrap import mean_interval
from reranker.metrics.recall import hits_at_cutoffs


def worse_sets(new: np.ndarray, old: np.ndarray, sets: np.ndarray, names: Sequence[str]) -> list[str]:
    """Return the names of the sets on which a ranking finds less than another, by more than chance.

    Args:
        new: (q,) int, ranks of the right photos by the one, 0 is the first.
        old: (q,) int, ranks by the other.
        sets: (q,) int, the place of each query's set in `names`.
        names: Names of the sets.

    Returns:
        The sets whose paired 95 % interval of the difference of recall@1 + 5 + 10 is all below 0.
    """
    gain = hits_at_cutoffs(new) - hits_at_cutoffs(old)
    return [names[place] for place in np.unique(sets) if mean_interval(gain[sets == place]).high < 0]
