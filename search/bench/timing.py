"""Time single searches, and summarise the times and the recall of a way to search."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from indexer.views.view import View

# Recall is measured over so many nearest photos, and every timed search asks for so many.
RECALL_AT = 100


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of the times of single operations, in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float

    def as_dict(self) -> dict[str, float]:
        """Return the JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class MeasuredSearch:
    """Recall and latency of one way to search.

    Attributes:
        recall: Mean share of the `RECALL_AT` exact nearest photos that are found, 0 to 1.
        latency: The time of single searches.
    """

    recall: float
    latency: Latency

    def as_dict(self) -> dict[str, float]:
        """Return the JSON form."""
        return {f"recall@{RECALL_AT}": self.recall, **self.latency.as_dict()}


def latency_of(seconds: Sequence[float]) -> Latency:
    """Compute the percentiles of times.

    Args:
        seconds: The times, in seconds.

    Returns:
        Their percentiles in milliseconds, rounded to a microsecond.
    """
    p50, p95, p99 = np.percentile(np.array(seconds) * 1e3, [50, 95, 99])
    return Latency(round(float(p50), 3), round(float(p95), 3), round(float(p99), 3))


def time_searches(
    view: View, queries: np.ndarray, allowed: np.ndarray | None = None
) -> tuple[list[np.ndarray], list[float]]:
    """Search the candidates of every query, one query at a time, and time each search.

    Each query is searched once before, untimed, so that what it reads is in memory, as in a process that has run for
    long.

    Args:
        view: The view to search.
        queries: Mapped queries, (b, k + 1) float32.
        allowed: Sorted rows to choose from, (n,) int64; None for all.

    Returns:
        The rows of each query, b arrays of (c,) int64 with c <= `RECALL_AT`, and the seconds that each search took.
    """
    found, seconds = [], []
    for i in range(len(queries)):
        view.search(queries[i : i + 1], RECALL_AT, allowed)
    for i in range(len(queries)):
        begin = time.perf_counter()
        rows, _ = view.search(queries[i : i + 1], RECALL_AT, allowed)
        seconds.append(time.perf_counter() - begin)
        found.append(rows[0])
    return found, seconds
