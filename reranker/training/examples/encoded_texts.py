"""Hold texts with the vectors that a text encoder gives them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indexer.encoders import TextEncoder, Tokens
from reranker.judgments.embedded import embed_with_tokens
from reranker.models.joint_space import EncodedQueries, JointSpace


@dataclass(frozen=True, slots=True)
class EncodedTexts:
    """Texts that a training asks as queries, beside the captions.

    Attributes:
        texts: The q texts.
        t: (q, e) float32 text vectors.
        tokens: Their word pieces.
    """

    texts: tuple[str, ...]
    t: np.ndarray
    tokens: Tokens

    @classmethod
    def of(cls, texts: Sequence[str], encoder: TextEncoder) -> "EncodedTexts":
        """Encode texts, or read them from the cache.

        Args:
            texts: The texts.
            encoder: The text encoder of the training.
        """
        return cls(tuple(texts), *embed_with_tokens(texts, encoder))

    def __len__(self) -> int:
        """Return how many texts these are."""
        return len(self.texts)

    def take(self, rows: np.ndarray) -> "EncodedTexts":
        """Return some of the texts.

        Args:
            rows: (k,) int, their places.
        """
        return EncodedTexts(tuple(self.texts[row] for row in rows), self.t[rows], self.tokens.select(rows))

    def encode(self, joint_space: JointSpace) -> EncodedQueries:
        """Return the texts as queries of a joint space.

        Args:
            joint_space: The space.
        """
        return joint_space.encode_queries(self.t, self.texts, self.tokens)
