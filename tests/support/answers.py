"""Read what a searcher returns, and the message of what it refuses."""

import os
from collections.abc import Callable

import pytest

from indexer.errors import PhotoseekError
from search.results import SearchResult
from search.searcher import Searcher


def names(result: SearchResult) -> list[str]:
    """Return the file names of the hits, best first."""
    return [os.path.basename(hit.path) for hit in result.hits]


def row_of(searcher: Searcher) -> dict[str, int]:
    """Return the row of every photo of an index, by path."""
    photos = searcher.index.catalogue.all_photos()
    return {os.fsdecode(os.path.join(photo.root, photo.path)): photo.row for photo in photos if photo.row is not None}


def relevance_of(result: SearchResult) -> dict[str, float]:
    """Return the relevance of every hit, by path."""
    return {hit.path: hit.relevance for hit in result.hits}


def score_of(result: SearchResult) -> dict[str, float]:
    """Return the score of every hit, by path."""
    return {hit.path: hit.score for hit in result.hits}


def refusal(call: Callable[[], object]) -> str:
    """Return the message of the PhotoseekError that a call raises."""
    with pytest.raises(PhotoseekError) as caught:
        call()
    return str(caught.value)
