"""Cold figures: fresh processes, and first queries of an index whose files the system has dropped from its cache.

`python -m search.bench.cold_start INDEX TEXT...` prints the latter as JSON; `measure_cold` runs it.
"""

import json
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from indexer.encoders.network import last_line
from indexer.errors import PhotoseekError

FIRST_QUERIES = 6
# Without the current folder, which may hold modules of any name.
PYTHON = (sys.executable, "-P")
CAN_DROP = hasattr(os, "posix_fadvise")


def measure_cold(folder: Path, texts: Sequence[str], runs: int, on_run: Callable[[int], None]) -> dict[str, Any]:
    """Medians in milliseconds. Nothing of the index may be mapped by this process: what is mapped is not dropped.

    `total_ms`: a `photoseek search` from its start to the printed result. `dropped_total_ms`: the same after the
    index's files were dropped. `first_query_ms`: in a process that has the index and the text encoder open, the first
    answer after the drop, which reads the candidate structure; `query_ms`: later answers, after a drop each.
    """
    _search(folder, texts[0])  # the very first may export the text encoder
    warm, dropped, first, later = [], [], [], []
    for run in range(runs):
        text = texts[run % len(texts)]
        warm.append(_search(folder, text))
        if CAN_DROP:
            drop(folder)
            dropped.append(_search(folder, text))
            times = _first_queries(folder, [texts[(run + i) % len(texts)] for i in range(FIRST_QUERIES)])
            first.append(times[0])
            later += times[1:]
        on_run(run + 1)
    figures: dict[str, Any] = {"total_ms": _median_ms(warm), "runs": runs}
    if CAN_DROP:
        figures |= {
            "dropped_total_ms": _median_ms(dropped),
            "first_query_ms": _median_ms(first),
            "query_ms": _median_ms(later),
        }
    return figures


def drop(folder: Path) -> None:
    """Have the system forget the cached bytes of every file below `folder`; needs no rights, but POSIX."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)  # bytes that wait to be written cannot be dropped
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def read_through(folder: Path) -> None:
    """Have the system cache every file below `folder`, as far as memory goes."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb", buffering=0) as file:
                while file.read(1 << 24):
                    pass


def cached_share(path: Path, samples: int = 64) -> float | None:
    """Share of a file that is in the system's cache, at evenly spread places; None where the system does not tell."""
    if not hasattr(os, "RWF_NOWAIT"):
        return None
    size, found, byte = path.stat().st_size, 0, bytearray(1)
    with open(path, "rb", buffering=0) as file:
        for place in np.linspace(0, max(size - 1, 0), samples).astype(int):
            try:
                found += os.preadv(file.fileno(), [byte], int(place), os.RWF_NOWAIT) == 1
            except BlockingIOError:
                continue
            except OSError:
                return None
    return found / samples


def _search(folder: Path, text: str) -> float:
    """Seconds from the start of a `photoseek search` to its end."""
    command = [*PYTHON, "-c", "from cli import main; main()", "search", "-i", str(folder), "--", text]
    begin = time.perf_counter()
    _run(command)
    return time.perf_counter() - begin


def _first_queries(folder: Path, texts: Sequence[str]) -> list[float]:
    return [float(value) for value in json.loads(_run([*PYTHON, "-m", "search.bench.cold_start", str(folder), *texts]))]


def _run(command: Sequence[str]) -> str:
    """What a process prints. Raises PhotoseekError with what it says instead if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise PhotoseekError(f"a fresh process failed: {last_line(done.stderr).removeprefix('photoseek: ')}")
    return done.stdout


def _median_ms(seconds: Sequence[float]) -> float:
    return round(float(np.median(seconds)) * 1e3, 1)


def main(folder: Path, texts: Sequence[str]) -> None:
    from indexer.index import Index
    from indexer.views.lazy_faiss import faiss_module
    from search.searcher import Searcher

    searcher = Searcher(Index.open(folder))
    searcher.encode_queries(texts[:1])
    faiss_module()  # a library is read once a process, whatever index it opens
    mapped = [getattr(searcher.view, name, None) for name in ("z", "hubness", "hidden", "regions")]
    times = []
    for text in texts:
        for array in mapped:
            # Pages that this process has mapped stay cached until it lets go of them.
            pages = getattr(array, "_mmap", None)
            if pages is not None:
                pages.madvise(mmap.MADV_DONTNEED)
        drop(folder)
        begin = time.perf_counter()
        searcher.answer(text)
        times.append(time.perf_counter() - begin)
    print(json.dumps(times))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
