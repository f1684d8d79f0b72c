"""Scores of pairs: some of them are taken by their places."""

import numpy as np

from reranker.models.pair_scores import PairScores


def test_pairs_are_taken_by_their_places_in_any_order():
    features = np.arange(21, dtype=np.float32).reshape(3, 7)
    scores = PairScores(np.float32([3, 1, 2]), np.float32([0.5, 0.1, 0.9]), features)
    taken = scores.take(np.array([2, 0]))
    assert taken.ranking_scores.tolist() == [2, 3]
    assert taken.relevance.tolist() == np.float32([0.9, 0.5]).tolist()
    assert taken.pair_features.tolist() == [list(range(14, 21)), list(range(7))]
    none = scores.take(np.zeros(0, np.int64))
    assert (len(none.ranking_scores), none.pair_features.shape) == (0, (0, 7))
