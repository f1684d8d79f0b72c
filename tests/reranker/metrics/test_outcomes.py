"""Outcomes of queries: recall curves, shares, k-occurrences, examples, each against counting by hand."""

import numpy as np
import pytest

from reranker.metrics.bootstrap import percentile_interval, resample
from reranker.metrics.outcomes import (
    OUTCOMES,
    k_occurrences,
    margins,
    outcome_shares,
    outcomes_of_queries,
    pick_examples,
    recall_curve,
)
from reranker.metrics.recall import ranks_of_own, recall_at


def test_a_curve_is_recall_at_every_k_with_its_bootstrap_band() -> None:
    ranks = np.array([0, 0, 1, 3, 9, 40, 200])
    curve = recall_curve(ranks, 50)
    assert curve.k.tolist() == list(range(1, 51))
    for k in (1, 2, 4, 10, 41, 50):
        assert curve.recall[k - 1] == recall_at(ranks, k)
        # The same draws as the bootstrap of one figure.
        low, high = percentile_interval(resample(7, lambda rows, k=k: recall_at(ranks[rows], k), resamples=500))
        assert (curve.low[k - 1], curve.high[k - 1]) == pytest.approx((low, high))


def test_every_query_has_one_outcome() -> None:
    #                  kept  gained  reranked away  behind  not a candidate  moved beyond the reach
    before = np.array([0, 15, 2, 30, 99, 12])
    after = np.array([3, 0, 10, 10, 99, 300])
    assert outcomes_of_queries(before, after, 10, 20).tolist() == [0, 1, 2, 4, 4, 3]
    shares = outcome_shares(before, after, 10, 50)
    assert list(shares) == list(OUTCOMES)
    assert list(shares.values()) == pytest.approx([1 / 6, 1 / 6, 1 / 6, 2 / 6, 1 / 6])
    assert sum(shares.values()) == pytest.approx(1)


def test_k_occurrences_count_the_queries_that_have_a_photo_in_their_first() -> None:
    order = np.array([[3.0, 2, 1, 0], [3, 1, 2, 0], [0, 1, 2, 3]])
    assert k_occurrences(order, 2).tolist() == [2, 1, 2, 1]
    assert k_occurrences(order, 10).tolist() == [3, 3, 3, 3]


def test_a_margin_is_to_the_best_of_the_others() -> None:
    order = np.array([[3.0, 2, 1], [3, 2.5, 0], [1, 1, 0]])
    own = np.array([0, 1, 0])
    assert margins(order, own).tolist() == [1.0, -0.5, 0.0]
    assert ranks_of_own(order, own).tolist() == [0, 1, 1]
    assert order[0].tolist() == [3, 2, 1]


def test_picked_rows_are_the_largest_of_different_groups() -> None:
    value = np.array([5.0, 9, 8, 7, 0, -1])
    group = np.array([0, 1, 1, 2, 3, 4])
    everything = np.ones(6, bool)
    assert pick_examples(value, group, everything, 2) == [1, 3]
    assert pick_examples(value, group, everything, 9) == [1, 3, 0]
    assert pick_examples(value, group, np.array([True, False, True, False, True, True]), 9) == [2, 0]
