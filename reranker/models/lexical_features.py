"""The lexical part of a text vector: which words of a vocabulary a sentence has, weighed by their rarity."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from reranker.models.linear_map import LinearMap, unit

WORD = re.compile(r"[^\W\d_]+")
STOP_WORDS = frozenset(("the", "a", "of", "and", "is", "in", "an"))
WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class LexicalFeatures:
    """A vocabulary with idf weights, `idf`: (v,) float32. An empty one adds nothing to a vector."""

    words: tuple[str, ...]
    idf: np.ndarray
    _places: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {word: i for i, word in enumerate(self.words)})

    @classmethod
    def fit(cls, sentences: Sequence[str], at_least: int = 5) -> "LexicalFeatures":
        """The words of `at_least` sentences or more, but not of all; idf = log(sentences / sentences with the word)."""
        counts = Counter(word for sentence in sentences for word in words_of(sentence))
        words = tuple(sorted(word for word, count in counts.items() if at_least <= count < len(sentences)))
        idf = np.array([np.log(len(sentences) / counts[word]) for word in words], np.float32)
        return cls(words, idf)

    @classmethod
    def none(cls) -> "LexicalFeatures":
        """An empty vocabulary."""
        return cls((), np.zeros(0, np.float32))

    def extend(self, vectors: np.ndarray, sentences: Iterable[str]) -> np.ndarray:
        """vectors: (n, e) -> (n, e + v) float32, unit rows: the words' idf as a vector of norm 0.5 at the end."""
        extended = np.zeros((len(vectors), vectors.shape[1] + len(self.words)), np.float32)
        extended[:, : vectors.shape[1]] = vectors
        for row, sentence in enumerate(sentences):
            places, weights = self.weights(sentence)
            extended[row, vectors.shape[1] + places] = weights
        return unit(extended)

    def weights(self, sentence: str) -> tuple[np.ndarray, np.ndarray]:
        """The places of a sentence's words in the vocabulary, (p,), and their weights, (p,) float32, of norm 0.5."""
        places = np.array([self._places[word] for word in words_of(sentence) if word in self._places], np.int64)
        idf = self.idf[places]
        return places, WEIGHT * idf / max(np.linalg.norm(idf), np.float32(1e-12))

    def mapped(self, linear: LinearMap, vectors: np.ndarray, sentences: Sequence[str]) -> np.ndarray:
        """What `linear.texts(self.extend(vectors, sentences))` gives, (n, k) float32, unit rows, but multiplies none of
        the thousands of zeros in it."""
        e = vectors.shape[1]
        products, norms = vectors @ linear.B[:e], (vectors * vectors).sum(axis=1)
        for row, sentence in enumerate(sentences):
            places, weights = self.weights(sentence)
            products[row] += weights @ linear.B[e + places]
            norms[row] += weights @ weights
        return unit(products / np.maximum(np.sqrt(norms), 1e-12)[:, None] - linear.b)


def words_of(sentence: str) -> set[str]:
    """The distinct words of a sentence, lower case, without the commonest."""
    return set(WORD.findall(sentence.lower())) - STOP_WORDS
