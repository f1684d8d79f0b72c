"""The options that all queries of a search share."""

import math
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TypedDict

from indexer.argument_checks import check_count, check_kind, is_number, shown
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
    under: str | Path | None = None
    filters: Filters = NO_FILTERS
    show_all: bool = False

    def check(self) -> None:
        """Refuse values that no search can have.

        Raises:
            PhotoseekError: One is of another type, `k` is under 1, or `min_score` is not a number.
        """
        check_count("k", self.k)
        if not is_number(self.min_score) or math.isnan(self.min_score):
            raise PhotoseekError(f"min_score must be a number from 0 to 1, got {shown(self.min_score)}")
        check_kind("under", self.under, (str, Path, NoneType), "a folder, as a str or Path")
        check_kind("filters", self.filters, Filters, "Filters(...)")


class OptionsByName(TypedDict, total=False):
    """Options of one search that may be given by name; all but `k` of `SearchOptions`, which says what they are."""

    min_score: float
    under: str | Path | None
    filters: Filters
    show_all: bool
