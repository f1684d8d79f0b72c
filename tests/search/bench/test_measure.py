"""search.bench.measure and its parts, on an index without photos: what is measured, and that it is measured right."""

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from answers import refusal
from indexer.index import Index
from indexer.views.ann_search import SearchParameters, Tuning
from indexer.views.byte_codes import ByteCodes
from photoseek.commands.console import say
from reranker.ranker import Ranker
from search.bench import ann_parameters as bench_structure
from search.bench import baselines as peers
from search.bench import cold_start as bench_cold
from search.bench import measure as bench
from search.bench import recall as bench_recall
from search.bench import report as bench_report
from search.searcher import Searcher
from tiny_cloud import make_index

PHOTOS = 600
TEXTS = ["a dog runs through shallow water", "people on a beach", "a red bicycle", "dog", "violin"]
# sentence-transformers alone takes seconds to import.
PEERS = [name for name in peers.PEERS if name != "semantic-search"]
EXACT = ("every-vector", "flat")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, ranker: Ranker) -> Path:
    return make_index(tmp_path_factory.mktemp("cloud") / "photos", PHOTOS, ranker).folder


@pytest.fixture(scope="module")
def searcher(index: Path) -> Searcher:
    return Searcher(Index.open(index))


@pytest.fixture(scope="module")
def figures(index: Path) -> dict[str, Any]:
    stages: list[tuple[str, int, int]] = []
    found = bench.measure(
        lambda timer: Searcher(Index.open(index), None, timer, say),
        index,
        TEXTS,
        20,
        1,
        PEERS,
        lambda *step: stages.append(step),
    )
    assert all(0 <= done <= total for _, done, total in stages)
    return found


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in leaves(part)]
    return [leaf for part in value for leaf in leaves(part)] if isinstance(value, list) else [value]


def spreads(value: Any) -> list[dict[str, float]]:
    """Every group of percentiles in the figures."""
    if isinstance(value, list):
        return [found for part in value for found in spreads(part)]
    if not isinstance(value, dict):
        return []
    return [value] * ("p50_ms" in value) + [found for part in value.values() for found in spreads(part)]


def test_every_part_is_there_and_in_its_range(figures: dict[str, Any]) -> None:
    assert (figures["photos"], figures["queries"]) == (PHOTOS, 20)
    assert list(figures["stages"]) == ["encode", "map", "candidates", "rerank", "fetch", "total"]
    assert set(figures["throughput"]) == {"1", "10", "100", "1000"}
    assert all(min(rates.values()) > 0 for rates in figures["throughput"].values())
    memory = figures["memory"]
    assert 0 < memory["mapped_mb"] < memory["resident_mb"] <= memory["peak_mb"] * 1.05
    # 833 float32 coordinates a photo, and the file's head.
    assert memory["candidate_bytes_per_photo"] == pytest.approx(4 * 833, abs=1)
    assert json.loads(json.dumps(figures)) == figures
    assert not any(isinstance(leaf, float) and not np.isfinite(leaf) for leaf in leaves(figures))


def test_percentiles_rise_and_no_stage_is_longer_than_the_whole(figures: dict[str, Any]) -> None:
    found = spreads(figures)
    assert len(found) > 15
    assert all(0 <= part["p50_ms"] <= part["p95_ms"] <= part["p99_ms"] for part in found)
    total = figures["stages"]["total"]["p50_ms"]
    assert all(part["p50_ms"] <= total for part in figures["stages"].values())


def test_percentiles_are_in_milliseconds() -> None:
    assert bench_recall.percentiles([i / 1000 for i in range(101)]) == {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99}


def test_cold_figures_are_above_warm_ones(figures: dict[str, Any]) -> None:
    cold = figures["cold"]
    assert cold["runs"] == 1
    # A process cannot start faster than a query is answered by one that runs.
    assert min(cold["total_ms"], cold["dropped_total_ms"]) > figures["stages"]["total"]["p50_ms"]
    assert min(cold["first_query_ms"], cold["query_ms"]) > 0


def test_dropped_files_leave_the_cache(tmp_path: Path) -> None:
    path = tmp_path / "views" / "z.f16"
    path.parent.mkdir()
    path.write_bytes(os.urandom(1 << 20))
    assert bench_cold.cached_share(path) == 1.0
    bench_cold.drop(tmp_path)
    assert bench_cold.cached_share(path) == 0.0
    bench_cold.read_through(tmp_path)
    assert bench_cold.cached_share(path) == 1.0


def test_recall_is_that_of_an_own_computation(searcher: Searcher, figures: dict[str, Any]) -> None:
    view = searcher.view
    vectors = np.concatenate([np.asarray(view.z, np.float32), np.asarray(view.hubness)[:, None]], axis=1)
    for kind, texts in bench_recall.kinds_of(searcher, TEXTS).items():
        shares = []
        for text in texts:
            query = searcher.encode_queries([text]).candidate
            exact = np.argsort(-(vectors @ query[0]))[:100]
            shares.append(len(set(exact) & set(view.search(query, 100, None)[0][0])) / 100)
        assert figures["candidates"][kind]["recall@100"] == pytest.approx(np.mean(shares), abs=2e-3)
        assert figures["candidates"][kind]["queries"] == len(texts)
    counts = [figures["candidates"][kind] for kind in ("captions", "words")]
    mean = sum(c["queries"] * c["recall@100"] for c in counts) / sum(c["queries"] for c in counts)
    assert figures["candidates"]["recall@100"] == pytest.approx(mean, abs=1e-4)


def test_captions_and_words_are_told_apart_and_words_filled_up(searcher: Searcher) -> None:
    kinds = bench_recall.kinds_of(searcher, TEXTS)
    assert kinds["captions"] == TEXTS[:3]
    assert kinds["words"][:2] == ["dog", "violin"]
    assert 95 <= len(kinds["words"]) <= 100
    assert set(kinds["words"][2:]) <= set(searcher.ranker.joint_space.lexical.words)


def test_filters_keep_random_shares_and_one_folder(searcher: Searcher, figures: dict[str, Any]) -> None:
    kept = bench_recall.filters(searcher)
    # 0.1 % of 600 is no photo worth asking for.
    assert {name: len(rows) for name, rows in kept.items()} == {"10%": 60, "1%": 6, "folder": 50}
    assert kept["folder"].tolist() == list(range(kept["folder"][0], kept["folder"][0] + 50))
    assert all((np.diff(rows) > 0).all() for rows in kept.values())
    for name, part in figures["filters"].items():
        assert (part["photos"], part["recall@100"]) == (len(kept[name]), 1.0)


def test_floors_are_under_what_was_measured(figures: dict[str, Any]) -> None:
    floor = figures["floor"]
    assert min(floor["memory_gb_per_s"], floor["float32_gflops"], floor["network_gflops"]) > 0
    assert set(floor["stages"]) == {"encode", "map", "candidates", "rerank"}
    # Every row once, in float32: a product and a sum a coordinate.
    assert floor["stages"]["candidates"]["operations"] == 2 * PHOTOS * 833
    assert floor["stages"]["candidates"]["bytes"] == pytest.approx(4 * PHOTOS * 833, abs=200)
    # Six layers of MiniLM: four 384 x 384 and two 384 x 1,536 each, for 16 word pieces.
    weights = 6 * (4 * 384**2 + 2 * 384 * 1536)
    assert floor["stages"]["encode"]["operations"] == 2 * 16 * weights
    for stage, part in floor["stages"].items():
        assert part["times_floor"] == pytest.approx(
            figures["stages"][stage]["p50_ms"] / part["floor_ms"], rel=0.02, abs=0.1
        )


def test_peers_have_the_shape_of_the_view_and_find_the_same(figures: dict[str, Any]) -> None:
    found = figures["peers"]
    assert list(found) == PEERS
    for name, peer in found.items():
        assert set(peer["stages"]["candidates"]) == {"p50_ms", "p95_ms", "p99_ms"}
        assert peer["candidates"]["recall@100"] >= (1.0 if name in EXACT else 0.9)
        assert peer["memory"]["candidate_bytes_per_photo"] >= (1_700 if name == "usearch" else 4 * 833)
        assert peer["queries"] == 3
        assert peer["times_slower"] == pytest.approx(
            peer["stages"]["candidates"]["p50_ms"] / peer["view"]["p50_ms"], rel=0.2, abs=0.05
        )
    assert found["hnswlib"]["effort"] == found["hnswlib"]["curve"][-1]["effort"]
    assert "curve" not in found["flat"]


def test_what_is_not_installed_or_does_not_fit_is_named(searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = searcher.encode_queries(TEXTS).candidate
    monkeypatch.setitem(peers.MODULES, "hnswlib", "no_such_package")
    found = peers.compare(searcher.view, queries, ["hnswlib", "flat"])
    assert found["hnswlib"] == {"missing": "no_such_package is not installed; pip install 'photoseek[bench]'"}
    assert found["flat"]["candidates"]["recall@100"] == 1.0
    monkeypatch.setattr(peers, "_free_memory", lambda: 1e6)
    # Two copies of 600 x 833 float32 are 4 MB.
    assert peers.compare(searcher.view, queries, ["flat"]) == {
        "flat": {"missing": "needs about 0.0 GB of memory, 0.0 GB are free"}
    }
    assert refusal(lambda: peers.check_names(["flat", "annoy"])) == (
        f"no peer 'annoy'; there are: {', '.join(peers.PEERS)}"
    )


def test_autofaiss_chooses_by_count() -> None:
    assert [peers.autofaiss_key(n) for n in (999, 1_000, 9_999, 10_000)] == ["Flat", "HNSW15", "HNSW15", "HNSW32"]


def test_the_report_and_the_plot_show_the_figures(figures: dict[str, Any], tmp_path: Path) -> None:
    text = bench_report.report(figures)
    assert text.startswith(f"{PHOTOS} photos, 20 warm queries, 200 reranked\n")
    assert f"candidates, recall@100 against exact search: {figures['candidates']['recall@100']:.4f}\n" in text
    for name in ("encode", "filter, 1%", "captions", "words", *PEERS):
        assert f"\n{name} " in text
    times = {"p50_ms": 1.0, "p95_ms": 1.0, "p99_ms": 1.0}
    kinds = {"captions": {"recall@100": 0.9, **times}, "words": {"recall@100": 0.8, **times}}
    shown = {**figures, "curve": [{"nprobe": 4, **kinds, **times}]}
    assert re.search(r"\nnprobe 4 +0\.900/0\.800 +1\.00 +1\.00\n", bench_report.report(shown))
    bench_report.plot(figures, tmp_path / "curve.svg")
    svg = (tmp_path / "curve.svg").read_text(encoding="utf-8")
    lines = ("photoseek, captions", "photoseek, words", "as photoseek searches", "hnswlib")
    for label in (*lines, "recall@100", "600 photos"):
        assert f">{label}</text>" in svg
    bench_report.plot(shown, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_line_goes_through_settings_that_no_other_one_beats() -> None:
    def points(*pairs: tuple[float, float]) -> list[dict[str, Any]]:
        return [{"p50_ms": time, "recall@100": found} for time, found in pairs]

    # As slow and finds less, slower and finds no more, slower and finds less; then the one that took the longest.
    measured = points((3, 0.9), (1, 0.5), (2, 0.7), (2, 0.6), (4, 0.9), (5, 0.8), (9, 1.0))
    assert bench_report.unbeaten(measured) == points((1, 0.5), (2, 0.7), (3, 0.9), (9, 1.0))
    assert bench_report.unbeaten([]) == []


def test_dials_turn_what_a_tuned_structure_has(searcher: Searcher) -> None:
    efforts = {"captions": SearchParameters(8, 500, 0.99), "words": SearchParameters(4, 700, 0.99)}
    tuning = Tuning(64, efforts, np.eye(2, dtype=np.float32))

    @dataclass
    class Structure:
        tuning: Tuning

    @dataclass
    class Tuned:
        tuning: Tuning
        folder: Path
        z: np.ndarray
        rows: int
        indexed: int
        codes: ByteCodes
        _candidates: Structure

    assert bench_structure.parameter_grid(searcher.view) == []
    codes = ByteCodes(np.ones(384, np.float32), np.zeros((PHOTOS, 384), np.uint8), 0)
    tuned = Tuned(tuning, searcher.view.folder, searcher.view.z, PHOTOS, PHOTOS, codes, Structure(tuning))
    settings = bench_structure.parameter_grid(replace(tuned, indexed=64_000))
    # A list holds 1,000: those that hold four times as many as 1,000 rows are 4, four times as many as 500 are 2.
    found = {depth: [s["probes"] for s in settings if s["depth"] == depth] for depth in (125, 250, 500, 1000)}
    assert found == {125: [1, 2, 4, 8, 16], 250: [1, 2, 4, 8, 16], 500: [2, 4, 8, 16], 1000: [4, 8, 16]}
    assert len(settings) == 17
    # Of 600 rows four times as many are all.
    assert bench_structure.parameter_grid(tuned)[-1] == {"probes": 64, "depth": 1000}
    with bench_structure.with_parameters(tuned, {"probes": 1, "depth": 500}):
        assert tuned._candidates.tuning.kinds == {kind: SearchParameters(1, 500, 0.0) for kind in efforts}
    assert tuned._candidates.tuning is tuning
    # An eighth of the file; 384 codes of 500 rows; two bytes a coordinate of 2 x 100 + 100 rows.
    size, operations = bench_structure.needs(tuned)
    held = os.path.getsize(searcher.view.folder / "candidates.faiss")
    assert (size, operations) == (
        held / 8 + 500 * 384 + 600 * 833,
        held / 4 + 2 * (500 * 384 + 833 * (64 + 300)),
    )
