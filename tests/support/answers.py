"""Read what a searcher returns, the relevance that it shows, and the message of what it refuses."""

import os
from collections.abc import Callable

import numpy as np
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


def spread(relevance: np.ndarray, regression: np.ndarray, photo_of: np.ndarray | None = None) -> np.ndarray:
    """Spread the hits of every pool around its mean, clear of a third of the way to its neighbours; copies stay alike.

    Args:
        relevance: (n,) float, in the order of the hits.
        regression: (n,) float64, the nearest values that never rise.
        photo_of: (n,) the photo that each hit is a copy of; by default all are different.
    """
    photo_of = np.arange(len(relevance)) if photo_of is None else photo_of
    pools = np.split(np.arange(len(regression)), np.flatnonzero(np.diff(regression) < -1e-6) + 1)
    means = [regression[pool].mean() for pool in pools]
    shown = regression.copy()
    for pool, higher, mean, lower in zip(pools, [np.inf, *means[:-1]], means, [*means[1:], -np.inf], strict=True):
        own = np.sort(relevance[pool])[::-1] - mean
        own = np.array([own[photo_of[pool] == photo].mean() for photo in photo_of[pool]])
        if own.max() > 1e-9:  # a pool of copies alone has the same value already
            shown[pool] += own * min(1, (higher - mean) / 3 / own.max(), (mean - lower) / 3 / -own.min())
    return shown
