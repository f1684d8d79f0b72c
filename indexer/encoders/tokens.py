"""Word pieces of sentences, as late interaction compares them with regions of photos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Words that name nothing a photo could show; below, with the piece for text that the vocabulary cannot spell.
STOP_WORDS = (
    "the a of and is in an on with to at by for his her its it that this are from as while be or their he she they "
    "there s has have was"
)
STOP_PIECES = frozenset([*STOP_WORDS.split(), "[UNK]"])
# Pieces of a sentence that are kept at most.
MAX_CONTENT_PIECES = 16


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """Word pieces of m sentences, side by side.

    Attributes:
        vectors: (p, w) float32, a vector for each piece.
        pieces: (p,) int64, the pieces' numbers in the vocabulary.
        offsets: (m + 1,) int64; sentence i has the pieces offsets[i]:offsets[i + 1].
    """

    vectors: np.ndarray
    pieces: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        """Return how many sentences."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(m,) int64, how many pieces each sentence has."""
        return np.diff(self.offsets)

    def select(self, sentences: np.ndarray) -> "Tokens":
        """Return some of the sentences.

        Args:
            sentences: (k,) row numbers, in the order wanted, or (m,) bool.
        """
        lengths = self.lengths[sentences]
        offsets = offsets_of(lengths)
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][sentences] - offsets[:-1], lengths)
        return Tokens(self.vectors[rows], self.pieces[rows], offsets)

    @classmethod
    def join(cls, parts: Sequence["Tokens"]) -> "Tokens":
        """Return the sentences of one or more parts, in that order."""
        vectors = np.concatenate([part.vectors for part in parts])
        pieces = np.concatenate([part.pieces for part in parts])
        return cls(vectors, pieces, offsets_of(np.concatenate([part.lengths for part in parts])))

    @classmethod
    def none(cls, sentences: int, width: int = 0) -> "Tokens":
        """Return sentences without a piece.

        Args:
            sentences: How many.
            width: Width of the vectors, of which there are none.
        """
        return cls(np.zeros((0, width), np.float32), np.zeros(0, np.int64), np.zeros(sentences + 1, np.int64))


def offsets_of(lengths: np.ndarray | Sequence[int]) -> np.ndarray:
    """Compute where the pieces of each sentence begin.

    Args:
        lengths: (m,) integers.

    Returns:
        (m + 1,) int64, from 0 to their sum.
    """
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def content_positions(pieces: Sequence[str]) -> list[int]:
    """Pick the content pieces of a sentence: all but stop words, punctuation and unknown pieces.

    Args:
        pieces: The sentence's pieces, with its start and its end.

    Returns:
        1 to 16 positions. A sentence without such a piece gives its first one, and a sentence without any piece its
        start, so that none is left empty.
    """
    inner = range(1, len(pieces) - 1)
    positions = [i for i in inner if pieces[i] not in STOP_PIECES and any(map(str.isalnum, pieces[i]))]
    return positions[:MAX_CONTENT_PIECES] or [1 if inner else 0]
