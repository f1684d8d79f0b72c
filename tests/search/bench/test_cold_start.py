"""search.bench.cold_start: fresh processes take longer than warm queries, and files leave the cache."""

import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from search.bench.cold_start import ColdStart, drop, mapping_of, read_through
from search.searcher import Searcher


def cached_share(path: Path, samples: int = 64) -> float:
    """Estimate which share of a file is in the system's cache, by asking for bytes that must not be waited for."""
    size, found, byte = path.stat().st_size, 0, bytearray(1)
    with open(path, "rb", buffering=0) as file:
        for place in np.linspace(0, size - 1, samples).astype(int):
            with suppress(BlockingIOError):
                found += os.preadv(file.fileno(), [byte], int(place), os.RWF_NOWAIT) == 1
    return found / samples


def test_cold_figures_are_above_warm_ones(values: dict[str, Any]) -> None:
    cold = values["cold"]
    assert cold["runs"] == 1
    # A process cannot start faster than a query is answered by one that runs.
    assert min(cold["total_ms"], cold["dropped_total_ms"]) > values["stages"]["total"]["p50_ms"]
    assert min(cold["first_query_ms"], cold["query_ms"]) > 0


def test_what_was_not_measured_is_left_out() -> None:
    assert ColdStart(400.0, 5).as_dict() == {"total_ms": 400.0, "runs": 5}


def test_dropped_files_leave_the_cache(tmp_path: Path) -> None:
    path = tmp_path / "views" / "z.f16"
    path.parent.mkdir()
    path.write_bytes(os.urandom(1 << 20))
    assert cached_share(path) == 1.0
    drop(tmp_path)
    # Pages that another process is just writing back may stay.
    assert cached_share(path) < 0.1
    read_through(tmp_path)
    assert cached_share(path) == 1.0


def test_the_mapped_file_of_an_array_is_found(searcher: Searcher, tmp_path: Path) -> None:
    np.arange(8, dtype=np.float32).tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", np.float32, "r").reshape(2, 4)
    assert isinstance(mapping_of(mapped), mmap.mmap)
    assert isinstance(mapping_of(np.asarray(mapped)[1:]), mmap.mmap)
    assert mapping_of(np.zeros(3)) is None
    assert mapping_of(None) is None
    # A view maps all of its arrays.
    for array in (searcher.view.z, searcher.view.hubness, searcher.view.hidden):
        assert isinstance(mapping_of(array), mmap.mmap)
