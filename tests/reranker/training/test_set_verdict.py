"""Two rankings compared on every set: where one finds less by more than chance."""

import numpy as np

from reranker.metrics.recall import hits_at_cutoffs
from reranker.training.set_verdict import worse_sets


def test_a_set_is_worse_if_its_whole_interval_is_below_0():
    # 40 queries per set: all worse, all better, and as many better as worse.
    # A rank of 0 is found at three cutoffs, 3 at two, 7 at one.
    old = np.repeat([0, 10, 3], 40)
    new = np.concatenate([np.full(40, 7), np.full(40, 0), np.tile([0, 7], 20)])
    sets = np.repeat([0, 1, 2], 40)
    names = ("worse", "better", "mixed")
    assert worse_sets(new, old, sets, names) == ["worse"]
    assert worse_sets(old, new, sets, names) == ["better"]
    assert worse_sets(old, old, sets, names) == []


def test_a_few_queries_that_are_worse_by_chance_make_no_set_worse():
    # 2 of 40 find less, one finds more: the mean is below 0, the interval is not.
    old, new = np.full(40, 3), np.full(40, 3)
    new[:2], new[2] = 7, 0
    assert hits_at_cutoffs(new).mean() < hits_at_cutoffs(old).mean()
    assert worse_sets(new, old, np.zeros(40, int), ("one",)) == []
    # 20 of 40 do.
    new[:20] = 7
    assert worse_sets(new, old, np.zeros(40, int), ("one",)) == ["one"]


def test_sets_without_queries_are_passed_over():
    assert worse_sets(np.full(9, 20), np.zeros(9, int), np.full(9, 2), ("a", "b", "c")) == ["c"]
