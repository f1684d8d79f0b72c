import numpy as np
import pytest

from reranker.metrics.hubs import has_most_shown, largest_share, mean_overlap


def test_the_largest_share_is_that_of_the_photo_that_most_queries_have():
    # Photo 3 is in the top of three of four queries.
    assert largest_share(np.array([[3, 1], [3, 2], [0, 3], [1, 2]])) == 0.75


def test_the_most_shown_photo_is_the_same_one_whatever_queries_are_drawn():
    # Photo 2 is in two tops, 0, 1 and 3 in one each.
    top = np.array([[0, 2], [2, 1], [3, 4]])
    assert has_most_shown(top).tolist() == [True, True, False]
    assert has_most_shown(top).mean() == largest_share(top)


def test_the_mean_overlap_is_that_of_every_pair_of_queries():
    # {0, 1} and {1, 2} share 1 of 3, {0, 1} and {1, 0} all, {1, 2} and {1, 0} 1 of 3.
    assert mean_overlap(np.array([[0, 1], [1, 2], [1, 0]])) == pytest.approx((1 / 3 + 1 + 1 / 3) / 3)
    assert mean_overlap(np.array([[0, 1], [2, 3]])) == 0
