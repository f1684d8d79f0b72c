"""Draw filters by date and by folder that keep the same shares of an index, and time how their rows are chosen."""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from indexer.storage.catalogue import Catalogue
from search.filters import Filters
from search.searcher import Searcher

# Shares of the photos, and their names.
FILTER_SHARES = {"10%": 0.1, "1%": 0.01, "0.1%": 0.001}
# A filter that keeps fewer photos than this is not measured.
FEWEST_KEPT = 5
# How often the choice of a filter's rows is timed.
TIMED_CHOICES = 5


@dataclass(frozen=True, slots=True, eq=False)
class ChosenRows:
    """Rows that a filter keeps, (n,) int64 sorted, and the median milliseconds of choosing them."""

    rows: np.ndarray
    choose_ms: float


def date_filters(searcher: Searcher) -> dict[str, ChosenRows]:
    """Choose the photos of a time in the middle of all, once per share.

    Args:
        searcher: The searcher.

    Returns:
        What each filter keeps, by name: `date 10%` and so on; empty if the index knows no times.
    """
    table = searcher.index.catalogue.metadata
    times = table.times()
    chosen = {}
    for name, share in FILTER_SHARES.items():
        count = int(share * len(times))
        first = (len(times) - count) // 2
        if FEWEST_KEPT <= count < len(times):
            after, before = times[[first, first + count]].tolist()
            filters = Filters(after=after, before=before)
            chosen[f"date {name}"] = _timed(partial(filters.rows, table))
    return chosen


def folder_filters(searcher: Searcher) -> dict[str, ChosenRows]:
    """Choose the photos of folders that hold the same shares, where the photo in the middle lies in such folders.

    Args:
        searcher: The searcher.

    Returns:
        What each filter keeps, by name: `under 10%` and so on.
    """
    catalogue, total = searcher.index.catalogue, searcher.view.total_rows
    chosen = {}
    for photo in catalogue.photos_of_rows([total // 2])[total // 2][:1]:
        folder = os.path.dirname(photo.path)
        while folder:
            path = os.path.join(photo.root, folder)
            kept = _timed(partial(_rows_under, catalogue, path))
            for name, share in FILTER_SHARES.items():
                if FEWEST_KEPT <= len(kept.rows) == int(share * total):
                    chosen[f"under {name}"] = kept
            folder = os.path.dirname(folder)
    return chosen


def _rows_under(catalogue: Catalogue, folder: bytes) -> np.ndarray:
    """Choose rows as a search with `under` does."""
    return np.array(catalogue.rows_under(folder), np.int64)


def _timed(choose: Callable[[], np.ndarray]) -> ChosenRows:
    """Choose rows several times."""
    seconds = []
    for _ in range(TIMED_CHOICES):
        begin = time.perf_counter()
        rows = choose()
        seconds.append(time.perf_counter() - begin)
    return ChosenRows(rows, round(1e3 * statistics.median(seconds), 3))
