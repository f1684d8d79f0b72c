"""The lexical part of a text vector: which words of a vocabulary a sentence has, weighed by their rarity."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from reranker.linear_map import unit

WORD = re.compile(r"[^\W\d_]+")
STOP_WORDS = frozenset(("the", "a", "of", "and", "is", "in", "an"))
WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Lexicon:
    """A vocabulary with idf weights, `idf`: (v,) float32. An empty one adds nothing to a vector."""

    words: tuple[str, ...]
    idf: np.ndarray

    @classmethod
    def fit(cls, sentences: Sequence[str], at_least: int = 5) -> "Lexicon":
        """The words of `at_least` sentences or more, but not of all; idf = log(sentences / sentences with the word)."""
        counts = Counter(word for sentence in sentences for word in words_of(sentence))
        words = tuple(sorted(word for word, count in counts.items() if at_least <= count < len(sentences)))
        idf = np.array([np.log(len(sentences) / counts[word]) for word in words], np.float32)
        return cls(words, idf)

    @classmethod
    def none(cls) -> "Lexicon":
        """An empty vocabulary."""
        return cls((), np.zeros(0, np.float32))

    def extend(self, vectors: np.ndarray, sentences: Iterable[str]) -> np.ndarray:
        """vectors: (n, e) -> (n, e + v) float32, unit rows: the words' idf as a vector of norm 0.5 at the end."""
        positions = {word: i for i, word in enumerate(self.words)}
        extended = np.zeros((len(vectors), vectors.shape[1] + len(self.words)), np.float32)
        extended[:, : vectors.shape[1]] = vectors
        for row, sentence in enumerate(sentences):
            present = [positions[word] for word in words_of(sentence) if word in positions]
            if present:
                idf = self.idf[present]
                extended[row, [vectors.shape[1] + i for i in present]] = WEIGHT * idf / np.linalg.norm(idf)
        return unit(extended)


def words_of(sentence: str) -> set[str]:
    """The distinct words of a sentence, lower case, without the commonest."""
    return set(WORD.findall(sentence.lower())) - STOP_WORDS
