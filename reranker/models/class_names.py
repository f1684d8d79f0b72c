"""Recognise names of things, such as "violin" or "a photo of a dog", by a head of its own with a gate.

A vocabulary maps the text vector of each name to where photos of that thing are. A query takes the place of the names
it is nearest to. The name gate says how far this place may be trusted beside the map. What a query's words are decides
which of two gates is asked: where training captions say all of them, the map may know better, and the gate has learned
whether it does; where one is never said, the gate tells names from sentences.
"""

from dataclasses import dataclass

import numpy as np

from reranker.models.linear_map import unit
from reranker.models.query_words import CAPTIONED, QUERY_WORDS
from reranker.models.ranking_settings import ClassNameSettings

# Inputs of the name gate behind the text vector.
GATE_FEATURES = ("mean_of_nearest", "bias", "nearest", "margin", *QUERY_WORDS[: CAPTIONED + 1])


@dataclass(frozen=True, slots=True)
class ClassNameHead:
    """The class-name head; without names k is 0 and the gate is always shut.

    Attributes:
        A: (d, k) float32, photos into the head's space.
        a: (k,) float32, taken off.
        keys: (v, e) float32, unit rows, the text vectors of the names.
        values: (v, k) float32, unit rows, where photos of what they name lie.
        gate: (e + 7,) float32, weights of `gate_features` for queries with a word that captions never say.
        said_gate: (e + 7,) float32, weights for queries all of whose words captions say.
    """

    A: np.ndarray
    a: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    gate: np.ndarray
    said_gate: np.ndarray

    @classmethod
    def none(cls, d: int, e: int) -> "ClassNameHead":
        """Return a head without names, for (n, d) embeddings and (n, e) text vectors."""
        gate = (e + len(GATE_FEATURES),)
        shapes = ((d, 0), (0,), (0, e), (0, 0), gate, gate)
        return cls(*(np.zeros(shape, np.float32) for shape in shapes))

    @property
    def k(self) -> int:
        """The width of the head's space."""
        return int(self.A.shape[1])

    def images(self, x: np.ndarray) -> np.ndarray:
        """Map image embeddings (n, d) float: (n, k) float32, unit rows."""
        return unit(x.astype(np.float32, copy=False) @ self.A - self.a)

    def texts(self, t: np.ndarray, words: np.ndarray, settings: ClassNameSettings) -> tuple[np.ndarray, np.ndarray]:
        """Return where the things lie that texts name, and the name gate.

        Args:
            t: (n, e) float32 text vectors, unit rows.
            words: (n, 4) float32, what `query_words` says of the texts.
            settings: How names are compared.

        Returns:
            (n, k) float32, unit rows, and (n,) float32 in 0..1.
        """
        if not self.k:
            return np.zeros((len(t), 0), np.float32), np.zeros(len(t), np.float32)
        similarity = t @ self.keys.T
        features = gate_features(t, similarity, words, settings)
        logits = np.where(words[:, CAPTIONED] >= 1, features @ self.said_gate, features @ self.gate)
        return self.places(similarity, settings), np.exp(-np.logaddexp(0, -logits)).astype(np.float32)

    def places(self, similarity: np.ndarray, settings: ClassNameSettings) -> np.ndarray:
        """Return where the things lie that texts name: (n, k) float32, unit rows.

        Args:
            similarity: (n, v) float32 cosines of the texts with the names.
            settings: How names are weighted.
        """
        shares = similarity / settings.temperature
        shares = np.exp(shares - shares.max(axis=1, keepdims=True))
        return unit(shares @ self.values / shares.sum(axis=1, keepdims=True))


def gate_features(t: np.ndarray, similarity: np.ndarray, words: np.ndarray, settings: ClassNameSettings) -> np.ndarray:
    """Return what the name gate looks at: (n, e + 7) float.

    The columns are the text vector and `GATE_FEATURES`: the scaled mean of its largest cosines with names, 1, the
    scaled largest cosine, how far it is above the second, and the words of the query.

    Args:
        t: (n, e) float32 text vectors, unit rows.
        similarity: (n, v) float32 cosines with the names.
        words: (n, 4) float32, what `query_words` says of the texts.
        settings: How many names are looked at, and the scale.
    """
    nearest = min(max(settings.nearest, 2), similarity.shape[1])
    best = np.sort(np.partition(similarity, -nearest, axis=1)[:, -nearest:], axis=1)
    mean = best[:, -min(settings.nearest, nearest) :].mean(axis=1, keepdims=True)
    margin = best[:, -1:] - best[:, -min(2, nearest)][:, None]
    scale, said = settings.gate_scale, words[:, : CAPTIONED + 1]
    return np.concatenate([t, scale * mean, np.ones_like(mean), scale * best[:, -1:], scale * margin, said], axis=1)
