"""photoseek: find photos by what is in them.

The names below are the public API; everything else may change. Each is imported when it is first used, so that a help
page or a check of the version loads no library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from photoseek.rooms import check_rooms, claim_rooms

if TYPE_CHECKING:
    from indexer.callbacks import BuildCallbacks
    from indexer.errors import PhotoseekError
    from indexer.index import Index
    from indexer.photos.rules.patterns import Patterns, PhotoFolders
    from photoseek.attach import attach_ranker
    from reranker.judgments.judged_folder import load_judgments
    from reranker.ranker import Ranker
    from reranker.training.train_ranker import train_ranker
    from search.filters import Circle, Filters
    from search.queries.query import Photo, Query, Text
    from search.results import Hit, SearchResult
    from search.searcher import Searcher

__all__ = [
    "BuildCallbacks",
    "Circle",
    "Filters",
    "Hit",
    "Index",
    "Patterns",
    "Photo",
    "PhotoFolders",
    "PhotoseekError",
    "Query",
    "Ranker",
    "SearchResult",
    "Searcher",
    "Text",
    "attach_ranker",
    "load_judgments",
    "train_ranker",
]

_HOMES = {
    "BuildCallbacks": "indexer.callbacks",
    "Circle": "search.filters",
    "Filters": "search.filters",
    "Hit": "search.results",
    "Index": "indexer.index",
    "Patterns": "indexer.photos.rules.patterns",
    "Photo": "search.queries.query",
    "PhotoFolders": "indexer.photos.rules.patterns",
    "PhotoseekError": "indexer.errors",
    "Query": "search.queries.query",
    "Ranker": "reranker.ranker",
    "SearchResult": "search.results",
    "Searcher": "search.searcher",
    "Text": "search.queries.query",
    "attach_ranker": "photoseek.attach",
    "load_judgments": "reranker.judgments.judged_folder",
    "train_ranker": "reranker.training.train_ranker",
}


claim_rooms()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    check_rooms()
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
