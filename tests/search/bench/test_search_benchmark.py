"""search.bench.search_benchmark: every part is measured, within its range, and has its keys in the JSON form."""

import json
from typing import Any

import numpy as np
import pytest

from search.bench.search_benchmark import QUERIES

PHOTOS = 600


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in leaves(part)]
    return [leaf for part in value for leaf in leaves(part)] if isinstance(value, list) else [value]


def spreads(value: Any) -> list[dict[str, float]]:
    """Return every group of percentiles in the figures."""
    if isinstance(value, list):
        return [found for part in value for found in spreads(part)]
    if not isinstance(value, dict):
        return []
    return [value] * ("p50_ms" in value) + [found for part in value.values() for found in spreads(part)]


def test_the_json_form_has_these_keys(values: dict[str, Any]) -> None:
    assert list(values) == [
        "photos",
        "queries",
        "reranked",
        "stages",
        "cold",
        "throughput",
        "memory",
        "candidates",
        "filters",
        "curve",
        "floor",
        "peers",
    ]
    assert set(values["stages"]["total"]) == {"p50_ms", "p95_ms", "p99_ms"}
    assert list(values["cold"]) == ["total_ms", "runs", "dropped_total_ms", "first_query_ms", "query_ms"]
    assert list(values["throughput"]["1"]) == ["queries_per_s", "candidates_per_s"]
    assert list(values["memory"]) == ["peak_mb", "resident_mb", "mapped_mb", "candidate_bytes_per_photo"]
    assert list(values["candidates"]) == ["recall@100", "captions", "words"]
    assert list(values["candidates"]["captions"]) == ["queries", "recall@100", "p50_ms", "p95_ms", "p99_ms"]
    assert list(values["filters"]["1%"]) == ["photos", "recall@100", "p50_ms", "p95_ms", "p99_ms"]
    assert values["curve"] == []
    assert list(values["floor"]) == ["memory_gb_per_s", "float32_gflops", "network_gflops", "stages"]
    assert list(values["floor"]["stages"]["map"]) == ["bytes", "operations", "floor_ms", "bound", "times_floor"]
    peer = ["what", "stages", "candidates", "memory", "build_s", "queries", "view", "times_slower"]
    assert list(values["peers"]["flat"]) == peer
    assert list(values["peers"]["hnswlib"]) == [*peer, "effort", "curve"]
    point = ["effort", "recall@100", "p50_ms", "p95_ms", "p99_ms"]
    assert list(values["peers"]["hnswlib"]["curve"][0]) == point


def test_every_part_is_there_and_in_its_range(values: dict[str, Any]) -> None:
    assert (values["photos"], values["queries"]) == (PHOTOS, 20)
    assert list(values["stages"]) == ["encode", "map", "candidates", "rerank", "fetch", "total"]
    assert set(values["throughput"]) == {"1", "10", "100", "1000"}
    assert all(min(rates.values()) > 0 for rates in values["throughput"].values())
    memory = values["memory"]
    assert 0 < memory["mapped_mb"] < memory["resident_mb"] <= memory["peak_mb"] * 1.05
    # 833 float32 coordinates a photo, and the file's head.
    assert memory["candidate_bytes_per_photo"] == pytest.approx(4 * 833, abs=1)
    assert json.loads(json.dumps(values)) == values
    assert not any(isinstance(leaf, float) and not np.isfinite(leaf) for leaf in leaves(values))


def test_percentiles_rise_and_no_stage_is_longer_than_the_whole(values: dict[str, Any]) -> None:
    found = spreads(values)
    assert len(found) > 15
    assert all(0 <= part["p50_ms"] <= part["p95_ms"] <= part["p99_ms"] for part in found)
    total = values["stages"]["total"]["p50_ms"]
    assert all(part["p50_ms"] <= total for part in values["stages"].values())


def test_the_built_in_queries_are_captions_and_single_words() -> None:
    assert len(set(QUERIES)) == len(QUERIES) == 24
    assert sum(len(text.split()) == 1 for text in QUERIES) == 5
