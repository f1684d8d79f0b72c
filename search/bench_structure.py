"""What the benchmark knows of a view's candidate structure: its size, what a search reads and computes, its dials.

A structure without a tuning scores every row. With one, it visits so many of its lists, `probes`, as the kind of the
query needs, and scores the `depth` rows that it likes best exactly.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from indexer.candidates import Effort, Tuning
from indexer.views import View

PROBE_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2)
DEPTH_SHARES = (1 / 4, 1 / 2, 1, 2)


def resident_bytes(view: View) -> int:
    """Bytes that the structure keeps in memory."""
    return os.path.getsize(view.folder / "candidates.faiss")


def needs(view: View) -> tuple[float, float]:
    """(bytes, operations) of one search at least, of the first kind of query.

    A byte of a visited list is two operations, for it holds two codes; a coordinate of a centre, or of a row that is
    scored exactly, two as well.
    """
    size = resident_bytes(view)
    k = view.z.shape[1] + 1
    if view.tuning is None:
        return float(size), 2.0 * view.rows * k
    lists, effort = view.tuning.lists, next(iter(view.tuning.kinds.values()))
    codes = size * effort.probes / lists
    exact = effort.depth * k
    return codes + 2.0 * exact, 2.0 * codes + 2.0 * (lists * k + exact)


def dials(view: View) -> list[dict[str, int]]:
    """Settings for a curve of recall against time, the same for every kind of query: the lists that are visited, then
    the rows that are scored exactly; empty where there is nothing to set."""
    if view.tuning is None:
        return []
    effort = max(view.tuning.kinds.values(), key=lambda effort: effort.probes)
    probes = {min(view.tuning.lists, max(1, round(effort.probes * share))) for share in PROBE_SHARES}
    depths = {max(1, round(effort.depth * share)) for share in DEPTH_SHARES} - {effort.depth}
    settings = [{"probes": value, "depth": effort.depth} for value in sorted(probes)]
    return settings + [{"probes": effort.probes, "depth": value} for value in sorted(depths)]


@contextmanager
def dialled(view: View, setting: dict[str, int]) -> Iterator[None]:
    """The view with a setting of `dials`, until the block ends."""
    structure: Any = view._candidates
    before: Tuning = structure.tuning
    structure.tuning = replace(before, kinds={kind: Effort(**setting, recall=0.0) for kind in before.kinds})
    try:
        yield
    finally:
        structure.tuning = before
