"""Figures by name: lines, short names, thresholds, differences of two rankers."""

import numpy as np
import pytest

from reranker.figures import Threshold, UnknownFigure, differences, find, flat, report, shortfalls, take_resampled

FIGURES = {
    "official": {
        "recall@10": {"value": 0.5, "low": 0.25, "high": 0.75},
        "candidates": {"recall@10": {"value": 0.4, "low": 0.2, "high": 0.6}},
    },
    "hubs": {"largest_share": 0.2},
}


def test_a_report_has_a_line_a_figure() -> None:
    assert report(FIGURES) == (
        "official.recall@10                          0.5000  [0.2500, 0.7500]\n"
        "official.candidates.recall@10               0.4000  [0.2000, 0.6000]\n"
        "hubs.largest_share                          0.2000"
    )


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("official.recall@10", "official.recall@10"),
        ("recall@10", "official.recall@10"),
        ("candidates.recall@10", "official.candidates.recall@10"),
        ("largest_share", "hubs.largest_share"),
    ],
)
def test_a_short_name_is_the_ending_with_the_fewest_parts(name: str, full: str) -> None:
    assert find(FIGURES, name) == full


@pytest.mark.parametrize("name", ["recall", "call@10", "official", "official.recall@5", ""])
def test_a_name_of_no_figure_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(UnknownFigure) as refusal:
        find(FIGURES, name)
    assert str(refusal.value) == f"no figure {name!r}; there are: {', '.join(flat(FIGURES))}"


def test_a_name_that_two_figures_share_is_refused_with_both() -> None:
    with pytest.raises(UnknownFigure) as refusal:
        find({**FIGURES, "course": {"recall@10": 0.9}}, "recall@10")
    assert str(refusal.value) == "figure 'recall@10' may be any of: official.recall@10, course.recall@10"


def test_what_is_below_its_threshold_falls_short_and_what_is_at_it_does_not() -> None:
    asked = [Threshold("recall@10", 0.5), Threshold("candidates.recall@10", 0.41), Threshold("hubs.largest_share", 0.3)]
    assert shortfalls(FIGURES, asked) == [
        ("official.candidates.recall@10", 0.4, 0.41),
        ("hubs.largest_share", 0.2, 0.3),
    ]
    ((name, value, least),) = shortfalls({"a": {"b": float("nan")}}, [Threshold("b", 0.0)])
    assert (name, least) == ("a.b", 0.0)
    assert np.isnan(value)


def test_a_threshold_is_a_name_and_a_number() -> None:
    assert Threshold.parse("recall@10=.5") == Threshold("recall@10", 0.5)
    for text in ("recall@10", "=0.5", "recall@10=", "recall@10=high", "recall@10=nan"):
        with pytest.raises(ValueError):
            Threshold.parse(text)


def test_the_difference_of_two_rankers_is_paired_draw_by_draw() -> None:
    hard = np.linspace(0, 1, 101)  # what both share: draws of hard queries and of easy ones
    one = {"p": {"recall": {"value": 0.6, "low": 0.0, "high": 1.0, "resampled": hard + 0.1}, "plain": 0.5}}
    other = {
        "p": {"recall": {"value": 0.5, "low": 0.0, "high": 1.0, "resampled": hard}, "plain": 0.25},
        "q": {"x": 1.0},
    }
    found = differences(one, other, take_resampled(one), take_resampled(other))
    assert found == {
        "p.recall": {"value": pytest.approx(0.1), "low": pytest.approx(0.1), "high": pytest.approx(0.1)},
        "p.plain": 0.25,
    }
    assert "resampled" not in one["p"]["recall"]
