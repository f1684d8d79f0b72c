"""search.bench.report: the figures as text and as a plot."""

import re
from dataclasses import replace
from pathlib import Path

from indexer.views.ann_search import SearchParameters
from search.bench.baseline_comparison import MissingBaseline
from search.bench.candidates import CurvePoint
from search.bench.report import format_searches, pareto_front, plot_recall
from search.bench.search_benchmark import SearchBenchmark
from search.bench.synthetic.likeness import Likeness
from search.bench.synthetic.statistics import GalleryStatistics
from search.bench.timing import Latency, MeasuredSearch

ONE_MS = Latency(1.0, 1.0, 1.0)


def with_curve(figures: SearchBenchmark) -> SearchBenchmark:
    """Return the figures with one setting that finds 0.9 of captions and 0.8 of words."""
    kinds = {"captions": MeasuredSearch(0.9, ONE_MS), "words": MeasuredSearch(0.8, ONE_MS)}
    point = CurvePoint(SearchParameters(4, 500, 0.0), kinds, ONE_MS)
    return replace(figures, candidates=replace(figures.candidates, curve=(point,)))


def test_the_text_shows_the_figures(figures: SearchBenchmark) -> None:
    text = format_searches(figures)
    assert text.startswith("600 photos, 20 warm queries, 200 reranked\n")
    assert f"candidates, recall@100 against exact search: {figures.candidates.recall:.4f}\n" in text
    for name in ("encode", "filter, 1%", "captions", "words", *figures.baselines):
        assert f"\n{name} " in text
    assert f"\nmemory: peak mb {figures.memory.peak_mb}, " in text
    shown = format_searches(with_curve(figures))
    assert re.search(r"\nprobes 4 depth 500 +0\.900/0\.800 +1\.00 +1\.00\n", shown)
    missing = replace(figures, baselines={"flat": MissingBaseline("it is not there")})
    assert format_searches(missing).endswith("\nflat                     it is not there")


def test_the_text_tells_how_like_a_synthetic_index_is(figures: SearchBenchmark) -> None:
    real = GalleryStatistics(20.0, {"5%": 0.25, "95%": 0.5}, {"5%": 0.1, "95%": 0.2})
    made = GalleryStatistics(21.0, {"5%": 0.26, "95%": 0.51}, {"5%": 0.11, "95%": 0.21})
    likeness = Likeness(Path("i/photos-synthetic-9"), 9, 5, None, real, made, 0.05, 0.1)
    assert format_searches(figures, likeness).splitlines()[2:7] == [
        "synthetic: 9 photos in i/photos-synthetic-9",
        "real and synthetic, 5 photos each; largest deviation 5.0 % (of queries 10.0 %)",
        "  intrinsic dimension (TwoNN): 20.0, 21.0",
        "  cosine to the 100 nearest photos: 5% 0.250, 0.260; 95% 0.500, 0.510",
        "  100 best scores of queries: 5% 0.100, 0.110; 95% 0.200, 0.210",
    ]


def test_the_plot_shows_the_figures(figures: SearchBenchmark, tmp_path: Path) -> None:
    plot_recall(figures, tmp_path / "curve.svg")
    svg = (tmp_path / "curve.svg").read_text(encoding="utf-8")
    lines = ("photoseek, captions", "photoseek, words", "as photoseek searches", "hnswlib")
    for label in (*lines, "recall@100", "600 photos"):
        assert f">{label}</text>" in svg
    plot_recall(with_curve(figures), tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_line_goes_through_settings_that_no_other_one_beats() -> None:
    def points(*pairs: tuple[float, float]) -> list[MeasuredSearch]:
        return [MeasuredSearch(found, Latency(time, time, time)) for time, found in pairs]

    # As slow and finds less, slower and finds no more, slower and finds less; then the one that took the longest.
    measured = points((3, 0.9), (1, 0.5), (2, 0.7), (2, 0.6), (4, 0.9), (5, 0.8), (9, 1.0))
    assert pareto_front(measured) == points((1, 0.5), (2, 0.7), (3, 0.9), (9, 1.0))
    assert pareto_front([]) == []
