"""What the benchmark knows of a view's candidate structure: its size, what a search reads and computes, its dials.

A structure without a tuning scores every row. With one, it visits so many of its lists, `probes`, as the kind of the
query needs, looks at the 8-bit codes of the `depth` rows that it likes best, and scores the best of those exactly.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from indexer.views.ann_search import NEAREST, SearchParameters, Tuning, least_nprobe, narrowed
from indexer.views.view import View

PROBE_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2)
DEPTH_SHARES = (1 / 4, 1 / 2, 1, 2)


def resident_bytes(view: View) -> int:
    """Bytes that the structure keeps in memory; its 8-bit codes are mapped, as the vectors are."""
    return os.path.getsize(view.folder / "candidates.faiss")


def needs(view: View) -> tuple[float, float]:
    """(bytes, operations) of one search at least, of the first kind of query.

    A byte of a visited list is two operations, for it holds two codes; a coordinate of a centre, of an 8-bit code, or
    of a row that is scored exactly, two as well.
    """
    size = resident_bytes(view)
    k = view.z.shape[1] + 1
    if view.tuning is None or view.codes is None:
        return float(size), 2.0 * view.rows * k
    lists, effort = view.tuning.lists, next(iter(view.tuning.kinds.values()))
    lists_read = size * effort.probes / lists
    byte_codes = effort.depth * view.codes.codes.shape[1]
    exact = narrowed(NEAREST) * k
    return lists_read + byte_codes + 2.0 * exact, 2.0 * (lists_read + lists * k + byte_codes + exact)


def parameter_grid(view: View) -> list[dict[str, int]]:
    """Settings for a curve of recall against time, the same for every kind of query: some numbers of lists to visit,
    each with some numbers of rows whose 8-bit codes are looked at; empty where there is nothing to set."""
    if view.tuning is None:
        return []
    lists = view.tuning.lists
    effort = max(view.tuning.kinds.values(), key=lambda effort: effort.probes)
    settings = set()
    for depth in {max(1, round(effort.depth * share)) for share in DEPTH_SHARES}:
        # A search visits so many lists in any case: fewer would be measured as these.
        least = max(1, least_nprobe(depth, view.indexed, lists))
        settings |= {(min(lists, max(least, round(effort.probes * share))), depth) for share in PROBE_SHARES}
    return [{"probes": probes, "depth": depth} for probes, depth in sorted(settings)]


@contextmanager
def with_parameters(view: View, setting: dict[str, int]) -> Iterator[None]:
    """The view with a setting of `parameter_grid`, until the block ends."""
    structure: Any = view._candidates
    before: Tuning = structure.tuning
    structure.tuning = replace(before, kinds={kind: SearchParameters(**setting, recall=0.0) for kind in before.kinds})
    try:
        yield
    finally:
        structure.tuning = before
