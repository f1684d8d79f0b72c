"""search.bench.baseline_comparison: every baseline finds what the view finds, or says why it cannot be measured."""

from typing import Any

import pytest

from search.bench import baseline_comparison
from search.bench.baseline_comparison import MissingBaseline, compare_baselines
from search.bench.baselines import BASELINES, MODULES
from search.searcher import Searcher

EXACT = ("every-vector", "flat")


def test_baselines_have_the_shape_of_the_view_and_find_the_same(values: dict[str, Any]) -> None:
    found = values["peers"]
    assert list(found) == [name for name in BASELINES if name != "semantic-search"]
    for name, figures in found.items():
        assert set(figures["stages"]["candidates"]) == {"p50_ms", "p95_ms", "p99_ms"}
        assert figures["candidates"]["recall@100"] >= (1.0 if name in EXACT else 0.9)
        assert figures["memory"]["candidate_bytes_per_photo"] >= (1_700 if name == "usearch" else 4 * 833)
        assert figures["queries"] == 3
        assert figures["times_slower"] == pytest.approx(
            figures["stages"]["candidates"]["p50_ms"] / figures["view"]["p50_ms"], rel=0.2, abs=0.05
        )
    assert found["hnswlib"]["effort"] == found["hnswlib"]["curve"][-1]["effort"]
    assert "curve" not in found["flat"]


def test_what_is_not_installed_or_does_not_fit_is_named(
    searcher: Searcher, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = searcher.encode_queries(texts).candidate
    monkeypatch.setitem(MODULES, "hnswlib", "no_such_package")
    found = compare_baselines(searcher.view, queries, ["hnswlib", "flat"])
    missing = MissingBaseline("no_such_package is not installed; pip install 'photoseek[bench]'")
    assert found["hnswlib"] == missing
    assert missing.as_dict() == {"missing": "no_such_package is not installed; pip install 'photoseek[bench]'"}
    assert found["flat"].search.recall == 1.0
    monkeypatch.setattr(baseline_comparison, "_free_memory", lambda: 1e6)
    # Two copies of 600 x 833 float32 are 4 MB.
    assert compare_baselines(searcher.view, queries, ["flat"]) == {
        "flat": MissingBaseline("needs about 0.0 GB of memory, 0.0 GB are free")
    }
