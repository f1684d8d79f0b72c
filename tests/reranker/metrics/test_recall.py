import numpy as np

from reranker.metrics.recall import ranks_of_own, recall_at


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
