"""What the benchmark knows of a view's candidate structure: its size, what a search reads of it, its dials."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from indexer.views import View


def resident_bytes(view: View) -> int:
    """Bytes that the structure keeps in memory."""
    return os.path.getsize(view.folder / "candidates.faiss")


def read_share(view: View) -> float:
    """Share of the structure that a search reads: the cells it visits of all, 1 where there are none."""
    cells = _cells(view)
    return 1.0 if cells is None else min(1.0, cells.nprobe / cells.nlist)


def dials(view: View) -> list[dict[str, int]]:
    """Settings for a curve of recall against time, cheapest first; empty where a structure has nothing to set."""
    cells = _cells(view)
    if cells is None:
        return []
    probes = {max(1, round(cells.nprobe * share)) for share in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2)}
    return [{"nprobe": probe} for probe in sorted(probes) if probe <= cells.nlist]


@contextmanager
def dialled(view: View, setting: dict[str, int]) -> Iterator[None]:
    """The view with a setting of `dials`, until the block ends."""
    cells = _cells(view)
    before = cells.nprobe
    cells.nprobe = setting["nprobe"]
    try:
        yield
    finally:
        cells.nprobe = before


def _cells(view: View) -> Any:
    """The inverted file of the structure, which has `nlist` cells and visits `nprobe`; None if it has none."""
    import faiss

    found: Any = faiss.try_extract_index_ivf(view._index())
    return found
