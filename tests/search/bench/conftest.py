"""The benchmark of an index without photos, run once for all tests."""

from pathlib import Path
from typing import Any

import pytest

from indexer.index import Index
from photoseek.progress.console import say
from reranker.ranker import Ranker
from search.bench.baselines import BASELINES
from search.bench.search_benchmark import SearchBenchmark, measure_searches
from search.searcher import Searcher
from tiny_cloud import make_index

PHOTOS = 600
TEXTS = ["a dog runs through shallow water", "people on a beach", "a red bicycle", "dog", "violin"]
# sentence-transformers alone takes seconds to import.
QUICK_BASELINES = [name for name in BASELINES if name != "semantic-search"]


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory, ranker: Ranker) -> Path:
    """Return the folder of an index of 600 vectors, with the shipped ranker. Tests only read it."""
    return make_index(tmp_path_factory.mktemp("cloud") / "photos", PHOTOS, ranker).folder


@pytest.fixture(scope="session")
def searcher(cloud: Path) -> Searcher:
    return Searcher(Index.open(cloud))


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return TEXTS


@pytest.fixture(scope="session")
def figures(cloud: Path) -> SearchBenchmark:
    """Measure 20 queries, one fresh process, and all baselines but one."""
    stages: list[tuple[str, int, int]] = []
    found = measure_searches(
        lambda timer: Searcher(Index.open(cloud), None, timer, say),
        cloud,
        TEXTS,
        20,
        1,
        QUICK_BASELINES,
        lambda *step: stages.append(step),
    )
    assert all(0 <= done <= total for _, done, total in stages)
    assert {"fresh processes", "warm queries", "batches", "exact search", "flat: build"} <= {step[0] for step in stages}
    return found


@pytest.fixture(scope="session")
def values(figures: SearchBenchmark) -> dict[str, Any]:
    """Return the JSON form of `figures`."""
    return figures.as_dict()
