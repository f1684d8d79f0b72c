"""Ways to look at the answers of a searcher."""

import os

import pytest

from indexer.errors import PhotoseekError
from search.results import SearchResult
from search.searcher import Searcher


def names(answer: SearchResult) -> list[str]:
    return [os.path.basename(hit.path) for hit in answer.hits]


def row_of(searcher: Searcher) -> dict[str, int]:
    """path -> row."""
    photos = searcher.index.catalogue.all_photos()
    return {os.fsdecode(os.path.join(photo.root, photo.path)): photo.row for photo in photos if photo.row is not None}


def relevance_of(answer: SearchResult) -> dict[str, float]:
    return {hit.path: hit.relevance for hit in answer.hits}


def score_of(answer: SearchResult) -> dict[str, float]:
    return {hit.path: hit.score for hit in answer.hits}


def refusal(call) -> str:
    with pytest.raises(PhotoseekError) as caught:
        call()
    return str(caught.value)
