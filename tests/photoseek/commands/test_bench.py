"""photoseek bench: its JSON, and what it refuses before it measures."""

import json
from pathlib import Path

from command_line import misused, photoseek, refused


def test_bench_prints_every_stage(index: Path, tmp_path: Path) -> None:
    queries = tmp_path / "q.txt"
    queries.write_text("a cat\n-coins\n")
    options = ("--json", "--count", 5, "--runs", 1, "--queries", queries, "--candidates", 7)
    result = photoseek("bench", "-i", index, *options)
    assert (result.exit_code, result.stderr) == (0, "")
    figures = json.loads(result.stdout)
    assert (figures["format"], figures["reranked"]) == (1, 7)
    for stage in ("encode", "map", "candidates", "rerank", "fetch", "total"):
        times = figures["stages"][stage]
        assert 0 < times["p50_ms"] <= times["p95_ms"] <= times["p99_ms"]
    assert figures["cold"]["total_ms"] > figures["stages"]["total"]["p50_ms"]
    assert figures["candidates"]["recall@100"] == 1.0
    assert min(figures["memory"].values()) > 0


def test_bench_reranks_no_more_photos_than_there_are(index: Path) -> None:
    result = photoseek("bench", "-i", index, "--json", "--count", 5, "--runs", 1, "--candidates", 1000)
    assert json.loads(result.stdout)["reranked"] == 7


def test_bench_refuses_with_one_line_before_it_measures(index: Path, tmp_path: Path) -> None:
    none = tmp_path / "none"
    refused(photoseek("bench", "-i", none), f"no index at {none}; make one: photoseek build PHOTOS -i {none}")
    plot = none / "curve.png"
    problem = f"--plot {plot}: there is no folder {none}"
    misused(photoseek("bench", "-i", index, "--plot", plot), "bench", problem)
    queries = tmp_path / "q.txt"
    queries.write_text("dog\n")
    problem = "--queries is of queries and does not go with --photos"
    misused(photoseek("bench", "--photos", tmp_path, "--queries", queries), "bench", problem)
