"""Search an index: from a query to hits. See README.md."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.results import Hit, SearchResult
    from search.searcher import Searcher

__all__ = ["Hit", "SearchResult", "Searcher"]


def __getattr__(name: str) -> Any:
    # Imported when it is first used, as the help of a command needs none of it.
    homes = {"SearchResult": "search.results", "Hit": "search.results", "Searcher": "search.searcher"}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(homes[name]), name)
