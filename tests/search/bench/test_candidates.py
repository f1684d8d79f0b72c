"""search.bench.candidates: recall against an own computation, kinds of query, filters, points of the curve."""

from typing import Any

import numpy as np
import pytest

from indexer.views.ann_search import SearchParameters
from search.bench.candidates import CandidateFigures, CurvePoint, FilterFigures, queries_by_kind, sample_filters
from search.bench.timing import Latency, MeasuredSearch
from search.searcher import Searcher


def test_recall_is_that_of_an_own_computation(searcher: Searcher, texts: list[str], values: dict[str, Any]) -> None:
    view = searcher.view
    vectors = np.concatenate([np.asarray(view.z, np.float32), np.asarray(view.hubness)[:, None]], axis=1)
    for kind, some in queries_by_kind(searcher, texts).items():
        shares = []
        for text in some:
            query = searcher.encode_queries([text]).candidate
            exact = np.argsort(-(vectors @ query[0]))[:100]
            shares.append(len(set(exact) & set(view.search(query, 100, None)[0][0])) / 100)
        assert values["candidates"][kind]["recall@100"] == pytest.approx(np.mean(shares), abs=2e-3)
        assert values["candidates"][kind]["queries"] == len(some)
    counts = [values["candidates"][kind] for kind in ("captions", "words")]
    mean = sum(c["queries"] * c["recall@100"] for c in counts) / sum(c["queries"] for c in counts)
    assert values["candidates"]["recall@100"] == pytest.approx(mean, abs=1e-4)


def test_captions_and_words_are_told_apart_and_words_filled_up(searcher: Searcher, texts: list[str]) -> None:
    kinds = queries_by_kind(searcher, texts)
    assert kinds["captions"] == texts[:3]
    assert kinds["words"][:2] == ["dog", "violin"]
    assert 95 <= len(kinds["words"]) <= 100
    assert set(kinds["words"][2:]) <= set(searcher.ranker.joint_space.lexical.words)


def test_filters_keep_random_shares_and_one_folder(searcher: Searcher, values: dict[str, Any]) -> None:
    kept = sample_filters(searcher)
    # 0.1 % of 600 is no photo worth asking for.
    assert {name: len(rows) for name, rows in kept.items()} == {"10%": 60, "1%": 6, "folder": 50}
    assert kept["folder"].tolist() == list(range(kept["folder"][0], kept["folder"][0] + 50))
    assert all((np.diff(rows) > 0).all() for rows in kept.values())
    assert set(values["filters"]) == set(kept)  # nothing is known of these photos, and no folder holds such a share
    for name, part in values["filters"].items():
        assert (part["photos"], part["recall@100"]) == (len(kept[name]), 1.0)


def test_filters_of_one_kind_are_one_object() -> None:
    times = Latency(1, 2, 3)
    search = MeasuredSearch(0.5, times)
    filters = {"1%": FilterFigures(7, search), "date 1%": FilterFigures(7, search, 0.25)}
    shared = {"photos": 7, "recall@100": 0.5, **times.as_dict()}
    assert CandidateFigures(1.0, {}, filters, ()).as_dict()["filters"] == {
        "1%": shared,
        "date": {"1%": {**shared, "choose_ms": 0.25}},
    }


def test_a_point_of_the_curve_has_its_setting_its_kinds_and_its_times() -> None:
    times = Latency(1, 2, 3)
    point = CurvePoint(SearchParameters(4, 500, 0.0), {"words": MeasuredSearch(0.8, times)}, times)
    assert point.as_dict() == {
        "probes": 4,
        "depth": 500,
        "words": {"recall@100": 0.8, **times.as_dict()},
        **times.as_dict(),
    }
