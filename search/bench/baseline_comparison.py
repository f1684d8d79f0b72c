"""Measure baselines on the vectors and queries of a view, in turns with the view itself."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from indexer.views.view import View
from search.bench.baselines import BASELINES, MODULES, Baseline, check_names
from search.bench.exact_search import best_rows, recall, view_blocks
from search.bench.timing import RECALL_AT, Latency, MeasuredSearch, latency_of, time_searches

# Queries that the baseline answers before the view gets its turn with the same ones.
TURN = 10
# A baseline is timed until so many seconds are over, but for `FEWEST` queries at least.
SECONDS = 20.0
FEWEST = 10
# autofaiss's default limit for a query, in milliseconds.
AUTOFAISS_MS = 10.0
INSTALL = "pip install 'photoseek[bench]'"

OnStage = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class EffortPoint:
    """Recall and latency of a baseline at one effort."""

    effort: int
    search: MeasuredSearch

    def as_dict(self) -> dict[str, float]:
        """Return the JSON form."""
        return {"effort": self.effort, **self.search.as_dict()}


@dataclass(frozen=True, slots=True)
class BaselineFigures:
    """The figures of one baseline.

    Attributes:
        description: The baseline in words.
        search: Its recall and latency.
        bytes_per_photo: What it keeps in memory, per photo.
        build_seconds: How long it took to build, on all cores.
        queries: How many queries were timed.
        view: The latency of the view for the same queries.
        times_slower: The ratio of the two medians; above 1 the baseline is slower.
        curve: The efforts that were tried; the last one is the one in use. Empty if the baseline is exact.
    """

    description: str
    search: MeasuredSearch
    bytes_per_photo: float
    build_seconds: float
    queries: int
    view: Latency
    times_slower: float
    curve: tuple[EffortPoint, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        values: dict[str, Any] = {
            "what": self.description,
            "stages": {"candidates": self.search.latency.as_dict()},
            "candidates": {f"recall@{RECALL_AT}": self.search.recall},
            "memory": {"candidate_bytes_per_photo": self.bytes_per_photo},
            "build_s": self.build_seconds,
            "queries": self.queries,
            "view": self.view.as_dict(),
            "times_slower": self.times_slower,
        }
        if self.curve:
            values |= {"effort": self.curve[-1].effort, "curve": [point.as_dict() for point in self.curve]}
        return values


@dataclass(frozen=True, slots=True)
class MissingBaseline:
    """A baseline that cannot be measured here, and the reason."""

    reason: str

    def as_dict(self) -> dict[str, str]:
        """Return the JSON form."""
        return {"missing": self.reason}


def compare_baselines(
    view: View, queries: np.ndarray, names: Sequence[str] = tuple(BASELINES), on_stage: OnStage | None = None
) -> dict[str, BaselineFigures | MissingBaseline]:
    """Measure baselines beside a view, one after the other.

    Each baseline is built from the same float32 vectors on all cores. Then ten of its queries and ten of the view's
    alternate, on one thread each. A baseline with efforts gets the least one that finds what the view finds; autofaiss
    gets the highest one that stays within 10 ms, which is its own rule. One baseline is in memory at a time.

    Args:
        view: The view.
        queries: Mapped queries, (b, k + 1) float32.
        names: Names in `BASELINES`.
        on_stage: Called with (stage, done, total).

    Returns:
        The figures by name. A baseline whose package or memory is missing says so.

    Raises:
        PhotoseekError: A name is unknown.
    """
    report = on_stage or (lambda stage, done, total: None)
    check_names(names)
    queries = np.ascontiguousarray(queries, np.float32)
    figures: dict[str, BaselineFigures | MissingBaseline] = {}
    with tempfile.TemporaryDirectory(prefix="photoseek-bench-") as scratch:
        gallery = _write_gallery(view, queries, Path(scratch) / "vectors.f32")
        for name in names:
            reason = _why_missing(name, gallery)
            figures[name] = _measure(name, gallery, report) if reason is None else MissingBaseline(reason)
    return figures


@dataclass(frozen=True, slots=True)
class _Gallery:
    """Everything that all baselines are measured with.

    `vectors`: (n, k + 1) float32, mapped from `path`; `queries`: (b, k + 1) float32; `exact`: their nearest rows,
    (b, c); `wanted`: the recall of the view.
    """

    view: View
    path: Path
    vectors: np.ndarray
    queries: np.ndarray
    exact: np.ndarray
    wanted: float


def _write_gallery(view: View, queries: np.ndarray, path: Path) -> _Gallery:
    """Write the vectors of a view to a file, and search it exactly and by the view."""
    with open(path, "wb") as file:
        for block in view_blocks(view):
            file.write(np.ascontiguousarray(block, np.float32).tobytes())
    vectors = np.memmap(path, np.float32, "r").reshape(view.total_rows, -1)
    ((exact, _),) = best_rows(view_blocks(view), queries, RECALL_AT)
    wanted = recall(time_searches(view, queries)[0], exact)
    return _Gallery(view, path, vectors, queries, exact, wanted)


def _why_missing(name: str, gallery: _Gallery) -> str | None:
    """Return why a baseline cannot be measured here; None if it can."""
    module = MODULES.get(name)
    if module is not None and find_spec(module) is None:
        return f"{module} is not installed; {INSTALL}"
    # The vectors, and a structure that copies them.
    need, free = 2 * gallery.vectors.nbytes, _free_memory()
    if need > free:
        return f"needs about {need / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free"
    return None


def _measure(name: str, gallery: _Gallery, report: OnStage) -> BaselineFigures:
    """Build a baseline, choose its effort, and time it in turns with the view."""
    baseline, count = BASELINES[name](), len(gallery.vectors)
    begin = time.perf_counter()
    baseline.build(gallery.vectors, gallery.path, lambda done: report(f"{name}: build", done, count))
    build = time.perf_counter() - begin
    curve = _choose_effort(baseline, gallery, AUTOFAISS_MS if name == "autofaiss" else None)
    rows, theirs, ours = _alternate(
        baseline, gallery, lambda done: report(f"{name}: queries", done, len(gallery.queries))
    )
    return BaselineFigures(
        description=baseline.description,
        search=MeasuredSearch(round(recall(rows, gallery.exact[: len(rows)]), 5), latency_of(theirs)),
        bytes_per_photo=round(baseline.resident_bytes(gallery.path.parent) / count, 1),
        build_seconds=round(build, 1),
        queries=len(rows),
        view=latency_of(ours),
        times_slower=round(float(np.median(theirs) / np.median(ours)), 2),
        curve=curve,
    )


def _choose_effort(baseline: Baseline, gallery: _Gallery, limit_ms: float | None) -> tuple[EffortPoint, ...]:
    """Set the least effort that finds what the view finds; with a limit, the highest one within it.

    Returns the efforts that were tried, up to the one that was set.
    """
    curve: list[EffortPoint] = []
    for effort in baseline.efforts:
        baseline.set_effort(effort)
        rows, seconds = _time_baseline(baseline, gallery.queries, gallery.exact.shape[1])
        search = MeasuredSearch(round(recall(rows, gallery.exact), 5), latency_of(seconds))
        if limit_ms is not None and curve and search.latency.p50_ms > limit_ms:
            baseline.set_effort(curve[-1].effort)
            break
        curve.append(EffortPoint(effort, search))
        if limit_ms is None and search.recall >= gallery.wanted:
            break
    return tuple(curve)


def _alternate(
    baseline: Baseline, gallery: _Gallery, on_progress: Callable[[int], None]
) -> tuple[list[np.ndarray], list[float], list[float]]:
    """Return the rows that a baseline finds, and the seconds of its searches and of the view's, in turns of `TURN`."""
    rows: list[np.ndarray] = []
    theirs: list[float] = []
    ours: list[float] = []
    begin = time.perf_counter()
    for start in range(0, len(gallery.queries), TURN):
        turn = gallery.queries[start : start + TURN]
        found, seconds = _time_baseline(baseline, turn, gallery.exact.shape[1])
        rows += found
        theirs += seconds
        ours += time_searches(gallery.view, turn)[1]
        on_progress(len(rows))
        if time.perf_counter() - begin > SECONDS and len(rows) >= FEWEST:
            break
    return rows, theirs, ours


def _time_baseline(baseline: Baseline, queries: np.ndarray, count: int) -> tuple[list[np.ndarray], list[float]]:
    """Search a baseline query by query, after one search untimed; return the rows (count,) and the seconds of each."""
    found, seconds = [], []
    baseline.search(queries[:1], count)
    for i in range(len(queries)):
        begin = time.perf_counter()
        rows = baseline.search(queries[i : i + 1], count)
        seconds.append(time.perf_counter() - begin)
        found.append(rows)
    return found, seconds


def _free_memory() -> float:
    """Return the bytes of memory that are free; infinity where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("MemAvailable"))) * 1e3
    except (OSError, StopIteration):
        return float("inf")
