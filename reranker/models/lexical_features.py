"""Add lexical features to a text vector: which words of a vocabulary a sentence has, weighted by their rarity."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from reranker.models.linear_map import LinearMap, unit

WORD = re.compile(r"[^\W\d_]+")
STOP_WORDS = frozenset(("the", "a", "of", "and", "is", "in", "an"))


@dataclass(frozen=True, slots=True)
class LexicalFeatures:
    """A vocabulary with weights; an empty one adds nothing to a vector.

    Attributes:
        words: The v words.
        idf: (v,) float32, inverse document frequencies.
        weight: Norm of a sentence's lexical part, beside the text encoder's unit vector.
    """

    words: tuple[str, ...]
    idf: np.ndarray
    weight: float
    _places: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {word: i for i, word in enumerate(self.words)})

    @classmethod
    def none(cls) -> "LexicalFeatures":
        """Return an empty vocabulary."""
        return cls((), np.zeros(0, np.float32), 0.0)

    def extend(self, vectors: np.ndarray, sentences: Iterable[str]) -> np.ndarray:
        """Append the lexical part to text vectors.

        Args:
            vectors: (n, e) float32 text vectors.
            sentences: The n texts.

        Returns:
            (n, e + v) float32, unit rows.
        """
        extended = np.zeros((len(vectors), vectors.shape[1] + len(self.words)), np.float32)
        extended[:, : vectors.shape[1]] = vectors
        for row, sentence in enumerate(sentences):
            places, weights = self.weights(sentence)
            extended[row, vectors.shape[1] + places] = weights
        return unit(extended)

    def weights(self, sentence: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of a sentence's words, (p,) int64, and their weights, (p,) float32 of norm `weight`."""
        places = np.array([self._places[word] for word in words_of(sentence) if word in self._places], np.int64)
        idf = self.idf[places]
        return places, self.weight * idf / max(np.linalg.norm(idf), np.float32(1e-12))

    def mapped(self, linear: LinearMap, vectors: np.ndarray, sentences: Sequence[str]) -> np.ndarray:
        """Return `linear.texts(self.extend(vectors, sentences))` without multiplying the thousands of zeros in it.

        Args:
            linear: A map of texts with e + v inputs.
            vectors: (n, e) float32 text vectors.
            sentences: The n texts.

        Returns:
            (n, k) float32, unit rows.
        """
        e = vectors.shape[1]
        products, norms = vectors @ linear.B[:e], (vectors * vectors).sum(axis=1)
        for row, sentence in enumerate(sentences):
            places, weights = self.weights(sentence)
            products[row] += weights @ linear.B[e + places]
            norms[row] += weights @ weights
        return unit(products / np.maximum(np.sqrt(norms), 1e-12)[:, None] - linear.b)


def words_of(sentence: str) -> list[str]:
    """Return the distinct words of a sentence, lower case, sorted, without stop words."""
    # In the order of a set, which differs from process to process, sums would differ in their last digit.
    return sorted(set(WORD.findall(sentence.lower())) - STOP_WORDS)
