"""Map photos and texts linearly into one space, where a photo and its sentence point the same way."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class LinearMap:
    """Both sides of a map: `z = unit(x @ A - a)` for photos, `q = unit(t @ B - b)` for texts; a pair scores `z . q`.

    Attributes:
        A: (d, k) float32.
        a: (k,) float32.
        B: (e, k) float32.
        b: (k,) float32.
    """

    A: np.ndarray
    a: np.ndarray
    B: np.ndarray
    b: np.ndarray

    @property
    def k(self) -> int:
        """The width of the space."""
        return int(self.A.shape[1])

    def images(self, x: np.ndarray) -> np.ndarray:
        """Map image embeddings (n, d) float: (n, k) float32, unit rows."""
        return unit(x.astype(np.float32, copy=False) @ self.A - self.a)

    def texts(self, t: np.ndarray) -> np.ndarray:
        """Map text vectors (n, e) float32: (n, k) float32, unit rows."""
        return unit(t @ self.B - self.b)


def unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows (n, k) to length 1, as float32; zero rows stay zero."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.maximum(norms, 1e-12)).astype(np.float32)
