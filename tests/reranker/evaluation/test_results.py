"""Figures by name: lines, short names, thresholds, differences of two rankers."""

import numpy as np
import pytest

from reranker.evaluation.results import (
    Miss,
    Threshold,
    UnknownFigure,
    defined,
    differences,
    find,
    flat,
    misses,
    report,
    take_resampled,
)

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


def test_what_is_on_the_wrong_side_of_its_threshold_is_a_miss_and_what_is_at_it_is_none() -> None:
    least = [Threshold("recall@10", 0.5), Threshold("candidates.recall@10", 0.41), Threshold("hubs.largest_share", 0.3)]
    most = [Threshold("largest_share", 0.2, at_most=True), Threshold("hubs.largest_share", 0.15, at_most=True)]
    found = misses(FIGURES, [*least, *most])
    assert found == [
        Miss("official.candidates.recall@10", 0.4, least[1]),
        Miss("hubs.largest_share", 0.2, least[2]),
        Miss("hubs.largest_share", 0.2, most[1]),
    ]
    assert [str(miss) for miss in found[1:]] == [
        "hubs.largest_share is 0.2000, below 0.3",
        "hubs.largest_share is 0.2000, above 0.15",
    ]


@pytest.mark.parametrize("at_most", [False, True])
def test_a_figure_that_is_no_number_misses_either_threshold(at_most: bool) -> None:
    assert [miss.name for miss in misses({"a": {"b": float("nan")}}, [Threshold("b", 0.0, at_most)])] == ["a.b"]


def test_a_figure_that_is_no_number_is_left_out_and_an_interval_that_is_none_too() -> None:
    nan = float("nan")
    whole = {"value": 0.5, "low": 0.25, "high": 0.75}
    figures = {"a": {"b": whole, "c": {"value": nan, "low": nan, "high": nan}}, "d": {"e": nan}, "f": 3, "g": [0.5]}
    assert defined({**figures, "h": {"value": 0.5, "low": nan, "high": nan}}) == {
        "a": {"b": whole},
        "f": 3,
        "g": [0.5],
        "h": 0.5,
    }


def test_a_threshold_is_a_name_and_a_number() -> None:
    assert Threshold.parse("recall@10=.5") == Threshold("recall@10", 0.5)
    assert Threshold.parse(" ece = .5 ", at_most=True) == Threshold("ece", 0.5, at_most=True)
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
