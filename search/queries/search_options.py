"""The options that all queries of a search share."""

import math
from dataclasses import dataclass
from typing import TypedDict

from indexer.errors import PhotoseekError
from search.filters import NO_FILTERS, Filters


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Options of one search.

    Attributes:
        k: How many hits are wanted per query, 1 or more.
        min_score: Hits of lower relevance are left out.
        under: A folder that hits must lie below, named from the current folder or else from a root of the index; None
            for every photo.
        filters: Conditions that hits must meet: when, where and with what they were taken, and their kind.
        show_all: Whether photos that belong together, and exact copies, are a hit each; otherwise the best of them is
            one for all.
    """

    k: int = 10
    min_score: float = 0.0
    under: str | None = None
    filters: Filters = NO_FILTERS
    show_all: bool = False

    def check(self) -> None:
        """Refuse values that no search can have.

        Raises:
            PhotoseekError: `k` is under 1, or `min_score` is not a number.
        """
        if self.k < 1:
            raise PhotoseekError(f"k must be 1 or more, got {self.k}")
        if math.isnan(self.min_score):
            raise PhotoseekError("min_score must be a number from 0 to 1, got nan")


class OptionsByName(TypedDict, total=False):
    """Options of one search that may be given by name; all but `k` of `SearchOptions`, which says what they are."""

    min_score: float
    under: str | None
    filters: Filters
    show_all: bool
