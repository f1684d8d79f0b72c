"""Hold the scores of photos for one query, or of the first hits of several."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class PairScores:
    """Scores of n pairs of a photo and a query.

    Attributes:
        ranking_scores: (n,) float32, what sorts hits; on no scale.
        relevance: (n,) float32 in 0..1, the calibrated probability that a person says "this fits".
        pair_features: (n, 7) float32, columns as `PAIR_FEATURES`.
    """

    ranking_scores: np.ndarray
    relevance: np.ndarray
    pair_features: np.ndarray

    def take(self, rows: np.ndarray) -> "PairScores":
        """Return some of the pairs.

        Args:
            rows: (k,) int, their places.
        """
        return PairScores(self.ranking_scores[rows], self.relevance[rows], self.pair_features[rows])
