"""search.bench.timing: percentiles in milliseconds, and searches timed one by one."""

import numpy as np

from search.bench.timing import Latency, MeasuredSearch, latency_of, time_searches
from search.searcher import Searcher


def test_percentiles_are_in_milliseconds() -> None:
    assert latency_of([i / 1000 for i in range(101)]) == Latency(50, 95, 99)
    assert latency_of([0.0012344]).as_dict() == {"p50_ms": 1.234, "p95_ms": 1.234, "p99_ms": 1.234}


def test_the_json_form_of_a_search_is_flat() -> None:
    times = {"p50_ms": 1, "p95_ms": 2, "p99_ms": 3}
    assert MeasuredSearch(0.5, Latency(1, 2, 3)).as_dict() == {"recall@100": 0.5, **times}


def test_each_query_is_searched_and_timed_by_itself(searcher: Searcher) -> None:
    queries = searcher.encode_queries(["a dog", "a red bicycle"]).candidate
    rows, seconds = time_searches(searcher.view, queries, np.arange(7))
    assert [sorted(found) for found in rows] == [list(range(7))] * 2
    assert len(seconds) == 2
    assert min(seconds) > 0
