"""Benchmark: latency by stage, cold and warm, throughput by batch size, memory, recall against exact search, floors."""

import resource
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from indexer.index import Index
from search.bench.ann_parameters import resident_bytes
from search.bench.baselines import compare
from search.bench.cold_start import measure_cold, read_through
from search.bench.recall import kinds_of, measure_candidates, percentiles
from search.bench.roofline import measure_roofline
from search.searcher import STAGES, Searcher

BATCHES = (1, 10, 100, 1000)
WARM_UP = 50
ROUNDS = 200  # queries of a batch size, at least
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

Timer = Callable[[str, float], None]
Progress = Callable[[str, int, int], None]


def measure(
    open_searcher: Callable[[Timer | None], Searcher],
    index: Path,
    queries: Sequence[str] | None,
    count: int,
    runs: int,
    peers: Sequence[str] = (),
    on_stage: Progress | None = None,
) -> dict[str, Any]:
    """All figures of one index; times in milliseconds. `queries` are taken in turn, `count` times in all.

    Warm figures are of single queries in this process, once the view's files are in the system's cache and fifty
    queries were answered; cold ones of fresh processes. `peers` are names of `baselines.PEERS` to measure beside.
    """
    texts = list(queries or QUERIES)
    report = on_stage or (lambda stage, done, total: None)
    open_searcher(None)  # what cannot be searched is refused before anything is timed
    # First, while this process has read nothing of the mapped files.
    cold = measure_cold(index, texts, runs, lambda done: report("fresh processes", done, runs))
    spent: dict[str, float] = {}

    def collect(stage: str, seconds: float) -> None:
        spent[stage] = spent.get(stage, 0.0) + seconds

    searcher = open_searcher(collect)
    read_through(searcher.view.folder)
    for i in range(WARM_UP):
        searcher.answer(texts[i % len(texts)])
    times: dict[str, list[float]] = {stage: [] for stage in (*STAGES, "total")}
    for i in range(count):
        spent.clear()
        begin = time.perf_counter()
        searcher.answer(texts[i % len(texts)])
        times["total"].append(time.perf_counter() - begin)
        for stage in STAGES:
            times[stage].append(spent.get(stage, 0.0))  # a policy stops some queries before they are encoded
        report("warm queries", i + 1, count)
    stages = {stage: percentiles(values) for stage, values in times.items()}
    # As a searcher does: small products gain nothing from a second BLAS thread.
    with threadpool_limits(1, "blas"):
        throughput = _throughput(searcher, texts, lambda done: report("batches", done, len(BATCHES)))
        memory = _memory(searcher)
        found = measure_candidates(searcher, texts, lambda done, total: report("exact search", done, total))
        floor = measure_roofline(searcher, stages)
        rivals = {}
        if peers:
            asked = searcher.encode_queries(next(iter(kinds_of(searcher, texts).values()))).candidate
            rivals = {"peers": compare(searcher.view, asked, peers, report)}
    return {
        "photos": searcher.index.catalogue.photo_count(),
        "queries": count,
        "reranked": min(searcher.candidates, searcher.view.total_rows),
        "stages": stages,
        "cold": cold,
        "throughput": throughput,
        "memory": memory,
        **found,
        "floor": floor,
        **rivals,
    }


def measure_synthetic(real: Index, photos: int, queries: Sequence[str] | None, on_stage: Progress) -> dict[str, Any]:
    """Make or find the index of so many synthetic photos beside `real`: its `folder`, and how like it is."""
    from search.bench.synthetic_index import compare as likeness
    from search.bench.synthetic_index import synthetic_index

    made = synthetic_index(real, photos, on_stage)
    searcher = Searcher(real)
    texts = next(iter(kinds_of(searcher, list(queries or QUERIES)).values()))
    return {"folder": str(made.folder), **likeness(real, made, searcher.encode_queries(texts).candidate)}


def _throughput(searcher: Searcher, texts: Sequence[str], on_size: Callable[[int], None]) -> dict[str, Any]:
    """Queries a second by how many are asked at once: whole answers, and candidates alone."""
    figures = {}
    mapped = searcher.encode_queries([texts[i % len(texts)] for i in range(max(BATCHES))]).candidate
    for done, size in enumerate(BATCHES, 1):
        asked = [(str(i), texts[i % len(texts)]) for i in range(size)]
        rounds = max(1, ROUNDS // size)
        answers = _rate(partial(searcher.answer_many, asked), rounds)
        candidates = _rate(partial(searcher.view.search, mapped[:size], searcher.candidates, None), rounds)
        figures[str(size)] = {
            "queries_per_s": round(size * answers, 1),
            "candidates_per_s": round(size * candidates, 1),
        }
        on_size(done)
    return figures


def _rate(act: Callable[[], object], rounds: int) -> float:
    """How often a second, over so many rounds."""
    begin = time.perf_counter()
    for _ in range(rounds):
        act()
    return rounds / (time.perf_counter() - begin)


def _memory(searcher: Searcher) -> dict[str, float]:
    """Megabytes of this process, and what the candidate structure holds a photo."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    figures = {"peak_mb": round(peak, 1)}
    status = Path("/proc/self/status")
    if status.exists():
        kilobytes = {line.split(":")[0]: line.split()[1] for line in status.read_text().splitlines() if "kB" in line}
        figures["resident_mb"] = round(int(kilobytes["VmRSS"]) / 1e3, 1)
        figures["mapped_mb"] = round(int(kilobytes["RssFile"]) / 1e3, 1)
    figures["candidate_bytes_per_photo"] = round(resident_bytes(searcher.view) / searcher.view.rows, 1)
    return figures
