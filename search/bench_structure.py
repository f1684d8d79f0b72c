"""What the benchmark knows of a view's candidate structure: its size, what a search reads and computes, its dials.

A structure without a tuning scores every row. With one, it visits `probes` of its `lists` and scores the `depth` rows
that it likes best exactly.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from indexer.views import View

PROBE_SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2)
DEPTH_SHARES = (1 / 4, 1 / 2, 1, 2)


def tuning_of(view: View) -> Any:
    """`lists`, `probes` and `depth` of the structure, or None where every row is scored."""
    return getattr(view, "tuning", None)


def resident_bytes(view: View) -> int:
    """Bytes that the structure keeps in memory."""
    return os.path.getsize(view.folder / "candidates.faiss")


def needs(view: View) -> tuple[float, float]:
    """(bytes, operations) of one search at least. A byte of a visited list is two operations, for it holds two codes;
    a coordinate of a centre, or of a row that is scored exactly, two as well."""
    tuning, size = tuning_of(view), resident_bytes(view)
    k = view.z.shape[1] + 1
    if tuning is None:
        return float(size), 2.0 * view.rows * k
    codes = size * tuning.probes / tuning.lists
    exact = tuning.depth * k
    return codes + 2.0 * exact, 2.0 * codes + 2.0 * (tuning.lists * k + exact)


def dials(view: View) -> list[dict[str, int]]:
    """Settings for a curve of recall against time: the lists that are visited, then the rows that are scored exactly;
    empty where there is nothing to set."""
    tuning = tuning_of(view)
    if tuning is None:
        return []
    probes = {min(tuning.lists, max(1, round(tuning.probes * share))) for share in PROBE_SHARES}
    depths = {max(1, round(tuning.depth * share)) for share in DEPTH_SHARES} - {tuning.depth}
    settings = [{"probes": value, "depth": tuning.depth} for value in sorted(probes)]
    return settings + [{"probes": tuning.probes, "depth": value} for value in sorted(depths)]


@contextmanager
def dialled(view: View, setting: dict[str, int]) -> Iterator[None]:
    """The view with a setting of `dials`, until the block ends."""
    structure: Any = view._candidates
    before = structure.tuning
    structure.tuning = replace(before, **setting)
    try:
        yield
    finally:
        structure.tuning = before
