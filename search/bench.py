"""Benchmark: latency by stage, cold start, throughput by batch size, memory, recall against exact search."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from search.searcher import STAGES, Searcher

BATCHES = (1, 10, 100, 1000)
WARM_UP = 10
RECALL_AT = 100
# Sentences and bare words: they are not distributed alike, and both are asked.
QUERIES = (
    "a dog runs through shallow water",
    "two children play football on the grass",
    "a man in a red jacket climbs a snowy mountain",
    "people wait for a bus in the rain",
    "a woman rides a bicycle past a shop window",
    "a black and white cat sleeps on a sofa",
    "three people sit around a camp fire at night",
    "a surfer on a big wave",
    "a crowd watches a parade",
    "an old man plays the guitar in the street",
    "a boy jumps into a swimming pool",
    "a plate of food on a wooden table",
    "boats in a harbour at sunset",
    "a skier jumps over a rock",
    "a girl in a pink dress blows bubbles",
    "a horse jumps over a fence",
    "dog",
    "beach",
    "violin",
    "bicycle",
    "snow",
    "a city street at night",
    "a baseball player slides into base",
    "a group of friends laughing",
)

Progress = Callable[[int, int], None]


def measure(
    open_searcher: Callable[[Callable[[str, float], None] | None], Searcher],
    index: Path,
    queries: Sequence[str] | None,
    count: int,
    runs: int,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """All figures of one index; times in milliseconds. `queries` are taken in turn, `count` times in all.

    Warm figures are of single queries in this process after a warm-up; cold ones of fresh processes, from their start
    to the printed result.
    """
    texts = list(queries or QUERIES)
    report = on_progress or (lambda done, total: None)
    spent: dict[str, float] = {}

    def collect(stage: str, seconds: float) -> None:
        spent[stage] = spent.get(stage, 0.0) + seconds

    searcher = open_searcher(collect)
    for i in range(WARM_UP):
        searcher.answer(texts[i % len(texts)])
    steps = count + runs + len(BATCHES) + 1
    times: dict[str, list[float]] = {stage: [] for stage in (*STAGES, "total")}
    for i in range(count):
        spent.clear()
        begin = time.perf_counter()
        searcher.answer(texts[i % len(texts)])
        times["total"].append(time.perf_counter() - begin)
        for stage in STAGES:
            times[stage].append(spent.get(stage, 0.0))  # a policy stops some queries before they are encoded
        report(i + 1, steps)
    throughput = {}
    for number, size in enumerate(BATCHES):
        asked = [(str(i), texts[i % len(texts)]) for i in range(size)]
        rounds = max(1, 200 // size)
        begin = time.perf_counter()
        for _ in range(rounds):
            searcher.answer_many(asked)
        throughput[str(size)] = {"queries_per_s": round(rounds * size / (time.perf_counter() - begin), 1)}
        report(count + number + 1, steps)
    memory = _memory(searcher)
    cold = []
    for run in range(runs):
        cold.append(_fresh_process(index, texts[run % len(texts)]))
        report(count + len(BATCHES) + run + 1, steps)
    return {
        "photos": searcher.index.catalogue.photo_count(),
        "queries": count,
        "stages": {stage: _percentiles(values) for stage, values in times.items()},
        "cold": {"total_ms": round(float(np.median(cold)) * 1e3, 1), "runs": runs},
        "throughput": throughput,
        "memory": memory,
        "candidates": {f"recall@{RECALL_AT}": _candidate_recall(searcher, texts)},
    }


def report(figures: dict[str, Any]) -> str:
    """The figures as a table for people."""
    lines = [
        f"{figures['photos']} photos, {figures['queries']} warm queries",
        "",
        "stage          p50 ms   p95 ms   p99 ms",
    ]
    for stage, values in figures["stages"].items():
        lines.append(f"{stage:<12}{values['p50_ms']:>9.2f}{values['p95_ms']:>9.2f}{values['p99_ms']:>9.2f}")
    cold = figures["cold"]
    lines += ["", f"fresh process, to the printed result: {cold['total_ms']:.0f} ms, median of {cold['runs']}"]
    for size, values in figures["throughput"].items():
        lines.append(f"batches of {size:>4}: {values['queries_per_s']:.0f} queries/s")
    lines.append(
        "memory: " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures["memory"].items())
    )
    lines += [f"candidates, {name} against exact search: {value:.4f}" for name, value in figures["candidates"].items()]
    return "\n".join(lines)


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    p50, p95, p99 = np.percentile(np.array(seconds) * 1e3, [50, 95, 99])
    return {"p50_ms": round(float(p50), 3), "p95_ms": round(float(p95), 3), "p99_ms": round(float(p99), 3)}


def _fresh_process(index: Path, text: str) -> float:
    """Seconds from the start of a `photoseek search` to its end."""
    command = [sys.executable, "-c", "from cli import main; main()", "search", text, "-i", str(index)]
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def _memory(searcher: Searcher) -> dict[str, float]:
    """Megabytes of this process, and what the candidate structure holds a photo."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    figures = {"peak_mb": round(peak, 1)}
    status = Path("/proc/self/status")
    if status.exists():
        kilobytes = {line.split(":")[0]: line.split()[1] for line in status.read_text().splitlines() if "kB" in line}
        figures["resident_mb"] = round(int(kilobytes["VmRSS"]) / 1e3, 1)
        figures["mapped_mb"] = round(int(kilobytes["RssFile"]) / 1e3, 1)
    size = os.path.getsize(searcher.view.folder / "candidates.faiss")
    figures["candidate_bytes_per_photo"] = round(size / searcher.view.rows, 1)
    return figures


def _candidate_recall(searcher: Searcher, texts: Sequence[str]) -> float:
    """Share of the exact first 100 that the candidate stage finds, by NumPy over every row."""
    view = searcher.view
    rows = np.arange(view.total_rows)
    vectors = np.concatenate([view.gather_z(rows), view.gather_hub(rows)[:, None]], axis=1)
    query = searcher.query_side(texts).candidate
    exact = np.argsort(-(query @ vectors.T), axis=1)[:, :RECALL_AT]
    found, _ = view.search(query, RECALL_AT, None)
    return float(np.mean([len(np.intersect1d(a, b)) / len(a) for a, b in zip(exact, found, strict=True)]))
