"""Recognise names of things, such as "violin" or "a photo of a dog", by a head of its own with a gate.

A vocabulary maps the text vector of each name to where photos of that thing are. A query takes the place of the names
it is nearest to. The name gate says how much the query looks like a name rather than a sentence.
"""

from dataclasses import dataclass

import numpy as np

from reranker.models.linear_map import unit
from reranker.models.ranking_settings import ClassNameSettings


@dataclass(frozen=True, slots=True)
class ClassNameHead:
    """The class-name head; without names k is 0 and the gate is always shut.

    Attributes:
        A: (d, k) float32, photos into the head's space.
        a: (k,) float32, taken off.
        keys: (v, e) float32, unit rows, the text vectors of the names.
        values: (v, k) float32, unit rows, where photos of what they name lie.
        gate: (e + 2,) float32, weights of `gate_features`.
    """

    A: np.ndarray
    a: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    gate: np.ndarray

    @classmethod
    def none(cls, d: int, e: int) -> "ClassNameHead":
        """Return a head without names, for (n, d) embeddings and (n, e) text vectors."""
        shapes = ((d, 0), (0,), (0, e), (0, 0), (e + 2,))
        return cls(*(np.zeros(shape, np.float32) for shape in shapes))

    @property
    def k(self) -> int:
        """The width of the head's space."""
        return int(self.A.shape[1])

    def images(self, x: np.ndarray) -> np.ndarray:
        """Map image embeddings (n, d) float: (n, k) float32, unit rows."""
        return unit(x.astype(np.float32, copy=False) @ self.A - self.a)

    def texts(self, t: np.ndarray, settings: ClassNameSettings) -> tuple[np.ndarray, np.ndarray]:
        """Return where the things lie that texts name, and the name gate.

        Args:
            t: (n, e) float32 text vectors, unit rows.
            settings: How names are compared.

        Returns:
            (n, k) float32, unit rows, and (n,) float32 in 0..1.
        """
        if not self.k:
            return np.zeros((len(t), 0), np.float32), np.zeros(len(t), np.float32)
        similarity = t @ self.keys.T
        shares = similarity / settings.temperature
        shares = np.exp(shares - shares.max(axis=1, keepdims=True))
        places = unit(shares @ self.values / shares.sum(axis=1, keepdims=True))
        logits = gate_features(t, similarity, settings) @ self.gate
        return places, np.exp(-np.logaddexp(0, -logits)).astype(np.float32)


def gate_features(t: np.ndarray, similarity: np.ndarray, settings: ClassNameSettings) -> np.ndarray:
    """Return what the name gate looks at: (n, e + 2) float.

    The columns are the text vector, the scaled mean of its largest cosines with names, and 1.

    Args:
        t: (n, e) float32 text vectors, unit rows.
        similarity: (n, v) float32 cosines with the names.
        settings: How many names are looked at, and the scale.
    """
    nearest = min(settings.nearest, similarity.shape[1])
    best = np.partition(similarity, -nearest, axis=1)[:, -nearest:].mean(axis=1, keepdims=True)
    return np.concatenate([t, settings.gate_scale * best, np.ones_like(best)], axis=1)
