"""Measure cold starts: fresh processes, and queries of an index whose files are not in the system's cache.

`python -m search.bench.cold_start INDEX TEXT...` prints the seconds of queries, each after the files were dropped from
the cache; `measure_cold_start` runs it.
"""

import json
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.errors import PhotoseekError, last_line_of

# Queries per process whose index was dropped from the cache.
QUERIES = 6
# -P: without the current folder on the module path, which may hold modules of any name.
PYTHON = (sys.executable, "-P")
# Whether the system can be told to drop a file from its cache.
CAN_DROP = hasattr(os, "posix_fadvise")


@dataclass(frozen=True, slots=True)
class ColdStart:
    """Medians in milliseconds; those after a drop are None where the system cannot drop files from its cache.

    Attributes:
        total_ms: A `photoseek search` in a fresh process, from its start to its end.
        runs: How many of these were timed.
        dropped_total_ms: The same after the files of the index were dropped from the cache.
        first_query_ms: In a process that has opened the index and the text encoder, the first answer after a drop. It
            reads the candidate structure.
        query_ms: Later answers of that process, each after a drop.
    """

    total_ms: float
    runs: int
    dropped_total_ms: float | None = None
    first_query_ms: float | None = None
    query_ms: float | None = None

    def as_dict(self) -> dict[str, float]:
        """Return the JSON form, without what was not measured."""
        values = {
            "total_ms": self.total_ms,
            "runs": self.runs,
            "dropped_total_ms": self.dropped_total_ms,
            "first_query_ms": self.first_query_ms,
            "query_ms": self.query_ms,
        }
        return {name: value for name, value in values.items() if value is not None}


def measure_cold_start(folder: Path, texts: Sequence[str], runs: int, on_run: Callable[[int], None]) -> ColdStart:
    """Time searches in fresh processes.

    This process must not have mapped any file of the index, as mapped files are not dropped from the cache.

    Args:
        folder: The index folder.
        texts: Query texts, taken in turn.
        runs: How many processes of each sort are timed.
        on_run: Called with the number of runs that are done.

    Returns:
        The medians.

    Raises:
        PhotoseekError: A process failed.
    """
    _time_process(folder, texts[0])  # the very first may export the text encoder
    warm, dropped, first, later = [], [], [], []
    for run in range(runs):
        text = texts[run % len(texts)]
        warm.append(_time_process(folder, text))
        if CAN_DROP:
            drop(folder)
            dropped.append(_time_process(folder, text))
            times = _time_queries(folder, [texts[(run + i) % len(texts)] for i in range(QUERIES)])
            first.append(times[0])
            later += times[1:]
        on_run(run + 1)
    if not CAN_DROP:
        return ColdStart(_median_ms(warm), runs)
    return ColdStart(_median_ms(warm), runs, _median_ms(dropped), _median_ms(first), _median_ms(later))


def drop(folder: Path) -> None:
    """Drop every file below a folder from the system's cache. It needs POSIX, but no special rights.

    Args:
        folder: The folder.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)  # bytes that wait to be written cannot be dropped
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def read_through(folder: Path) -> None:
    """Read every file below a folder, so that the system caches it as far as memory goes.

    Args:
        folder: The folder.
    """
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb", buffering=0) as file:
                while file.read(1 << 24):
                    pass


def time_dropped_queries(folder: Path, texts: Sequence[str]) -> list[float]:
    """Answer queries in this process, each after the files of the index were dropped from the cache.

    Args:
        folder: The index folder.
        texts: The queries.

    Returns:
        The seconds of each answer.
    """
    from indexer.index import Index
    from indexer.views.lazy_faiss import faiss_module
    from search.searcher import Searcher

    searcher = Searcher(Index.open(folder))
    searcher.encode_queries(texts[:1])
    faiss_module()  # a library is read once per process, whatever index it opens
    view = searcher.view
    mappings = [mapping_of(array) for array in (view.z, view.hubness, view.hidden, view.regions)]
    times = []
    for text in texts:
        for mapping in mappings:
            # Pages that this process has mapped stay in the cache until it lets go of them.
            if mapping is not None:
                mapping.madvise(mmap.MADV_DONTNEED)
        drop(folder)
        begin = time.perf_counter()
        searcher.answer(text)
        times.append(time.perf_counter() - begin)
    return times


def mapping_of(array: np.ndarray | None) -> mmap.mmap | None:
    """Return the mapped file that an array is a view of; None if there is none.

    Args:
        array: The array, or None.
    """
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def _time_process(folder: Path, text: str) -> float:
    """Return the seconds from the start of a `photoseek search` to its end."""
    command = [*PYTHON, "-c", "from cli import main; main()", "search", "-i", str(folder), "--", text]
    begin = time.perf_counter()
    _run(command)
    return time.perf_counter() - begin


def _time_queries(folder: Path, texts: Sequence[str]) -> list[float]:
    """Return what `time_dropped_queries` returns in a fresh process."""
    return [float(value) for value in json.loads(_run([*PYTHON, "-m", "search.bench.cold_start", str(folder), *texts]))]


def _run(command: Sequence[str]) -> str:
    """Return what a process prints. Raises PhotoseekError with the last line of its stderr if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise PhotoseekError(f"a fresh process failed: {last_line_of(done.stderr).removeprefix('photoseek: ')}")
    return done.stdout


def _median_ms(seconds: Sequence[float]) -> float:
    """Return the median of times in milliseconds, rounded to 0.1."""
    return round(float(np.median(seconds)) * 1e3, 1)


if __name__ == "__main__":
    print(json.dumps(time_dropped_queries(Path(sys.argv[1]), sys.argv[2:])))
