"""Pack what is precomputed per photo beside its candidate vector into the `hidden` columns of a view."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class PhotoParts:
    """The parts of n photos that reranking needs and that depend on no query.

    Attributes:
        late_hubness: (n,) float32, hubness by late interaction; 0 without region vectors.
        ranking: (n, m) float32, the photos' share of the ranking MLP's first layer.
        relevance: (n, r) float32, their share of the relevance MLP's first layer.
    """

    late_hubness: np.ndarray
    ranking: np.ndarray
    relevance: np.ndarray

    def pack(self) -> np.ndarray:
        """Return the parts side by side: (n, 1 + m + r) float32."""
        return np.concatenate([self.late_hubness[:, None], self.ranking, self.relevance], axis=1)

    @classmethod
    def unpack(cls, hidden: np.ndarray, ranking_width: int) -> "PhotoParts":
        """Return the parts of packed columns, as views of them.

        Args:
            hidden: (n, 1 + m + r) float32, what `pack` gave.
            ranking_width: m, the width of the ranking MLP's first layer.
        """
        end = 1 + ranking_width
        return cls(hidden[:, 0], hidden[:, 1:end], hidden[:, end:])
