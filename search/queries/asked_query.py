"""Hold a query as the ranking reads it: texts that are parsed, photos that are encoded."""

from dataclasses import dataclass

import numpy as np

from search.queries.query import Text
from search.queries.query_text import ParsedQuery


@dataclass(frozen=True, slots=True, eq=False)
class AskedPhoto:
    """A photo of a query.

    Attributes:
        embedding: (d,) float32, its embedding, of norm 1.
        z: (K,) float32, the photo in the joint space.
        weight: How much it counts.
    """

    embedding: np.ndarray
    z: np.ndarray
    weight: float


@dataclass(frozen=True, slots=True, eq=False)
class AskedQuery:
    """A query with its id, ready to be ranked.

    Attributes:
        id: Its id.
        text: The text as it was typed, or the parts in words.
        parsed: What the text asks for; its text is empty if the query has none.
        text_weight: How much the text counts.
        unwanted: Texts that hits should not fit, with their weights: those of the typed text, and those beside it.
        like: Photos that hits should look like.
        unlike: Photos that hits should not look like.
        blocked: The disclaimer, if the policy blocks the query.
    """

    id: str
    text: str
    parsed: ParsedQuery
    text_weight: float = 1.0
    unwanted: tuple[Text, ...] = ()
    like: tuple[AskedPhoto, ...] = ()
    unlike: tuple[AskedPhoto, ...] = ()
    blocked: str | None = None

    @property
    def is_one_photo(self) -> bool:
        """Whether the query is one photo and nothing else."""
        return len(self.like) == 1 and not (self.parsed.text or self.unwanted or self.unlike)

    @property
    def asks_no_text(self) -> bool:
        """Whether photos are asked for and no text, so that there is no decision whether anything fits."""
        return bool(self.like) and not self.parsed.text
