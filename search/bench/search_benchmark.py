"""Measure searches: latency by stage, cold and warm, throughput, memory, recall, the machine's limits, baselines."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from indexer.index import Index
from search.bench.ann_parameters import resident_bytes
from search.bench.baseline_comparison import BaselineFigures, MissingBaseline, compare_baselines
from search.bench.candidates import CandidateFigures, measure_candidates, queries_by_kind
from search.bench.cold_start import ColdStart, measure_cold_start, read_through
from search.bench.memory import ProcessMemory, process_memory
from search.bench.roofline import Roofline, measure_roofline
from search.bench.synthetic.index import synthetic_index
from search.bench.synthetic.likeness import Likeness, measure_likeness
from search.bench.timing import Latency, latency_of
from search.searcher import STAGES, Searcher

# Queries asked at once.
BATCHES = (1, 10, 100, 1000)
# Queries answered before any is timed.
WARM_UP = 50
# Queries timed per batch size at least.
BATCH_QUERIES = 200
# Captions and single words, as their vectors are distributed differently.
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
OnStage = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Throughput:
    """Queries per second of one batch size: whole answers, and the candidate stage alone."""

    queries_per_s: float
    candidates_per_s: float

    def as_dict(self) -> dict[str, float]:
        """Return the JSON form."""
        return {"queries_per_s": self.queries_per_s, "candidates_per_s": self.candidates_per_s}


@dataclass(frozen=True, slots=True)
class SearchBenchmark:
    """All figures of the searches of one index.

    Attributes:
        photos: How many photos the index has.
        queries: How many warm queries were timed.
        reranked: How many photos are reranked per query.
        latency: The latency of warm queries by stage, and in `total`.
        cold: The times of fresh processes.
        throughput: Queries per second by batch size.
        memory: The memory of this process.
        candidate_bytes_per_photo: Bytes per photo that the candidate structure keeps in memory.
        candidates: The figures of the candidate stage.
        roofline: The stages beside the limits of the machine.
        baselines: Other ways to search beside the view, by name; empty if none was asked for.
    """

    photos: int
    queries: int
    reranked: int
    latency: dict[str, Latency]
    cold: ColdStart
    throughput: dict[int, Throughput]
    memory: ProcessMemory
    candidate_bytes_per_photo: float
    candidates: CandidateFigures
    roofline: Roofline
    baselines: dict[str, BaselineFigures | MissingBaseline]

    def memory_dict(self) -> dict[str, float]:
        """Return the JSON form of the memory."""
        return {**self.memory.as_dict(), "candidate_bytes_per_photo": self.candidate_bytes_per_photo}

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        values: dict[str, Any] = {
            "photos": self.photos,
            "queries": self.queries,
            "reranked": self.reranked,
            "stages": {stage: latency.as_dict() for stage, latency in self.latency.items()},
            "cold": self.cold.as_dict(),
            "throughput": {str(size): figures.as_dict() for size, figures in self.throughput.items()},
            "memory": self.memory_dict(),
            **self.candidates.as_dict(),
            "floor": self.roofline.as_dict(),
        }
        if self.baselines:
            values["peers"] = {name: figures.as_dict() for name, figures in self.baselines.items()}
        return values


def measure_searches(
    open_searcher: Callable[[Timer | None], Searcher],
    index: Path,
    queries: Sequence[str] | None,
    count: int,
    runs: int,
    baselines: Sequence[str] = (),
    on_stage: OnStage | None = None,
) -> SearchBenchmark:
    """Measure the searches of an index.

    Warm queries are asked one at a time in this process, after the files of the view were read and fifty queries were
    answered. Cold ones are asked in fresh processes.

    Args:
        open_searcher: Opens the index with a timer for the stages, or with None.
        index: The index folder.
        queries: Query texts, taken in turn; None for the built-in ones.
        count: How many warm queries are timed.
        runs: How many fresh processes are timed.
        baselines: Names in `baselines.BASELINES` to measure beside.
        on_stage: Called with (stage, done, total).

    Returns:
        The figures.

    Raises:
        PhotoseekError: The index cannot be searched.
    """
    texts = list(queries or QUERIES)
    report = on_stage or (lambda stage, done, total: None)
    open_searcher(None)  # an index that cannot be searched is refused before anything is timed
    # First, while this process has mapped no file of the index.
    cold = measure_cold_start(index, texts, runs, lambda done: report("fresh processes", done, runs))
    stopwatch = _Stopwatch()
    searcher = open_searcher(stopwatch.add)
    read_through(searcher.view.folder)
    latency = _measure_latency(searcher, stopwatch, texts, count, lambda done: report("warm queries", done, count))
    # As a searcher does it: products this small gain nothing from a second BLAS thread.
    with threadpool_limits(1, "blas"):
        return SearchBenchmark(
            photos=searcher.index.catalogue.photo_count(),
            queries=count,
            reranked=min(searcher.candidates, searcher.view.total_rows),
            latency=latency,
            cold=cold,
            throughput=_measure_throughput(searcher, texts, lambda done: report("batches", done, len(BATCHES))),
            memory=process_memory(),
            candidate_bytes_per_photo=round(resident_bytes(searcher.view) / searcher.view.rows, 1),
            candidates=measure_candidates(searcher, texts, partial(report, "exact search")),
            roofline=measure_roofline(searcher, latency),
            baselines=_measure_baselines(searcher, texts, baselines, report),
        )


def make_synthetic(real: Index, photos: int, queries: Sequence[str] | None, on_stage: OnStage) -> Likeness:
    """Make an index of synthetic photos beside a real one, unless it is there already, and compare the two.

    Args:
        real: The real index, with a ranker.
        photos: How many synthetic photos.
        queries: Query texts for the comparison; None for the built-in ones.
        on_stage: Called with (stage, done, total).

    Returns:
        How like the photos are; its `folder` is the index.

    Raises:
        PhotoseekError: The real index has no ranker or too few photos, or the folder holds something else.
    """
    made = synthetic_index(real, photos, on_stage)
    searcher = Searcher(real)
    texts = next(iter(queries_by_kind(searcher, list(queries or QUERIES)).values()))
    return measure_likeness(real, made, searcher.encode_queries(texts).candidate)


class _Stopwatch:
    """Sum up the seconds of each stage of a query."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, stage: str, seconds: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds


def _measure_latency(
    searcher: Searcher, stopwatch: _Stopwatch, texts: Sequence[str], count: int, on_query: Callable[[int], None]
) -> dict[str, Latency]:
    """Time single queries after a warm-up; return the latency by stage, and in `total`."""
    for i in range(WARM_UP):
        searcher.answer(texts[i % len(texts)])
    times: dict[str, list[float]] = {stage: [] for stage in (*STAGES, "total")}
    for i in range(count):
        stopwatch.seconds.clear()
        begin = time.perf_counter()
        searcher.answer(texts[i % len(texts)])
        times["total"].append(time.perf_counter() - begin)
        for stage in STAGES:
            # A policy blocks some queries before they are encoded.
            times[stage].append(stopwatch.seconds.get(stage, 0.0))
        on_query(i + 1)
    return {stage: latency_of(seconds) for stage, seconds in times.items()}


def _measure_throughput(
    searcher: Searcher, texts: Sequence[str], on_batch: Callable[[int], None]
) -> dict[int, Throughput]:
    """Return the throughput by batch size."""
    figures = {}
    mapped = searcher.encode_queries([texts[i % len(texts)] for i in range(max(BATCHES))]).candidate
    for done, size in enumerate(BATCHES, 1):
        asked = [(str(i), texts[i % len(texts)]) for i in range(size)]
        rounds = max(1, BATCH_QUERIES // size)
        answers = _calls_per_second(partial(searcher.answer_many, asked), rounds)
        candidates = _calls_per_second(partial(searcher.view.search, mapped[:size], searcher.candidates, None), rounds)
        figures[size] = Throughput(round(size * answers, 1), round(size * candidates, 1))
        on_batch(done)
    return figures


def _calls_per_second(act: Callable[[], object], rounds: int) -> float:
    """Return how many calls per second `rounds` calls reach."""
    begin = time.perf_counter()
    for _ in range(rounds):
        act()
    return rounds / (time.perf_counter() - begin)


def _measure_baselines(
    searcher: Searcher, texts: Sequence[str], names: Sequence[str], report: OnStage
) -> dict[str, BaselineFigures | MissingBaseline]:
    """Measure baselines with the first kind of query."""
    if not names:
        return {}
    asked = next(iter(queries_by_kind(searcher, texts).values()))
    return compare_baselines(searcher.view, searcher.encode_queries(asked).candidate, names, report)
