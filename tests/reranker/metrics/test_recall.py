import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reranker.metrics.recall import CUTOFFS, hits_at_cutoffs, ranks_of_own, recall_at


def test_the_rank_of_a_photo_is_how_many_score_above_it_or_tie():
    scores = np.array(
        [
            [0.9, 0.5, 0.1],  # own photo 0: the first
            [0.9, 0.5, 0.1],  # own photo 2: two above
            [0.5, 0.5, 0.1],  # own photo 1: one tie counts against it
            [0.7, 0.7, 0.7],  # own photo 0: two ties
            [0.9, 0.5, 0.5],  # own photo 2: one above, one tie
        ]
    )
    assert ranks_of_own(scores, np.array([0, 2, 1, 0, 2])).tolist() == [0, 2, 1, 2, 2]


def test_recall_is_the_share_of_ranks_below_k():
    ranks = np.array([0, 2, 0.5, 1, 1.5])
    assert recall_at(ranks, 1) == 2 / 5
    assert recall_at(ranks, 2) == 4 / 5
    assert recall_at(ranks, 3) == 1.0


def test_a_rank_is_found_at_the_cutoffs_that_it_is_within():
    assert CUTOFFS == (1, 5, 10)
    # The first rank is 0.
    assert hits_at_cutoffs(np.array([0, 1, 4, 5, 9, 10, 900])).tolist() == [3, 2, 2, 1, 1, 0, 0]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_the_mean_of_what_is_found_is_the_sum_of_recalls(ranks: list[int]):
    given_ranks = np.array(ranks)
    expected = sum(recall_at(given_ranks, k) for k in (1, 5, 10))
    assert abs(hits_at_cutoffs(given_ranks).mean() - expected) < 1e-9
