"""Results by name: lines, JSON, short names, thresholds."""

import pytest

from reranker.evaluation.results import (
    Miss,
    Results,
    Threshold,
    UnknownResultError,
    drop_undefined,
    flatten,
    full_name,
    misses,
    result_lines,
    results_to_json,
    value_of,
)
from reranker.metrics.bootstrap import Measured

RESULTS: Results = {
    "official": {
        "recall@10": Measured(0.5, 0.25, 0.75),
        "candidates": {"recall@10": Measured(0.4, 0.2, 0.6)},
    },
    "hubs": {"largest_share": 0.2},
}


def test_results_are_listed_by_their_paths() -> None:
    assert flatten(RESULTS) == {
        "official.recall@10": Measured(0.5, 0.25, 0.75),
        "official.candidates.recall@10": Measured(0.4, 0.2, 0.6),
        "hubs.largest_share": 0.2,
    }
    assert [value_of(result) for result in flatten(RESULTS).values()] == [0.5, 0.4, 0.2]


def test_in_json_a_measured_value_is_an_object_and_the_tree_stays() -> None:
    assert results_to_json(RESULTS) == {
        "official": {
            "recall@10": {"value": 0.5, "low": 0.25, "high": 0.75},
            "candidates": {"recall@10": {"value": 0.4, "low": 0.2, "high": 0.6}},
        },
        "hubs": {"largest_share": 0.2},
    }


def test_every_result_has_a_line() -> None:
    assert result_lines(RESULTS) == (
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
    assert full_name(RESULTS, name) == full


@pytest.mark.parametrize("name", ["recall", "call@10", "official", "official.recall@5", ""])
def test_a_name_of_no_result_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(UnknownResultError) as refusal:
        full_name(RESULTS, name)
    assert str(refusal.value) == f"no figure {name!r}; there are: {', '.join(flatten(RESULTS))}"


def test_a_name_that_two_results_share_is_refused_with_both() -> None:
    with pytest.raises(UnknownResultError) as refusal:
        full_name({**RESULTS, "course": {"recall@10": 0.9}}, "recall@10")
    assert str(refusal.value) == "figure 'recall@10' may be any of: official.recall@10, course.recall@10"


def test_what_is_on_the_wrong_side_of_its_threshold_is_a_miss_and_what_is_at_it_is_none() -> None:
    least = [Threshold("recall@10", 0.5), Threshold("candidates.recall@10", 0.41), Threshold("hubs.largest_share", 0.3)]
    most = [Threshold("largest_share", 0.2, at_most=True), Threshold("hubs.largest_share", 0.15, at_most=True)]
    found = misses(RESULTS, [*least, *most])
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
def test_a_result_that_is_no_number_misses_either_threshold(at_most: bool) -> None:
    assert [miss.name for miss in misses({"a": {"b": float("nan")}}, [Threshold("b", 0.0, at_most)])] == ["a.b"]


def test_a_result_that_is_no_number_is_left_out_and_an_interval_that_is_none_too() -> None:
    nan = float("nan")
    whole = Measured(0.5, 0.25, 0.75)
    results = {"a": {"b": whole, "c": Measured(nan, nan, nan)}, "d": {"e": nan}, "f": 3, "g": [0.5]}
    kept = {"a": {"b": whole}, "f": 3, "g": [0.5], "h": 0.5}
    assert drop_undefined({**results, "h": Measured(0.5, nan, nan)}) == kept


def test_a_threshold_is_a_name_and_a_number() -> None:
    assert Threshold.parse("recall@10=.5") == Threshold("recall@10", 0.5)
    assert Threshold.parse(" ece = .5 ", at_most=True) == Threshold("ece", 0.5, at_most=True)
    for text in ("recall@10", "=0.5", "recall@10=", "recall@10=high", "recall@10=nan"):
        with pytest.raises(ValueError):
            Threshold.parse(text)
