"""Two rankers on the same data: what can be compared, and differences against a plain computation."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from reranker.evaluation.comparison import (
    Comparison,
    comparable_protocols,
    compare_rankers,
    comparison_lines,
    differences,
)
from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.results import Results, flatten
from reranker.metrics.bootstrap import Measured, percentile_interval
from reranker.metrics.recall import ranks_of_own
from tiny_space import make_ranker

pytestmark = pytest.mark.usefixtures("one_thread")

Measure = Callable[[Sequence[str]], tuple[Evaluation, Results]]


@pytest.fixture(scope="module")
def measured(measure: Measure) -> tuple[Evaluation, Results]:
    return measure(("official", "expert_meaning", "course", "baseline"))


def test_the_difference_of_two_rankers_is_paired_draw_by_draw() -> None:
    hard = np.linspace(0, 1, 101)  # what both share: draws of hard queries and of easy ones
    one: Results = {"p": {"recall": Measured(0.6, 0.0, 1.0, hard + 0.1), "plain": 0.5}}
    other: Results = {"p": {"recall": Measured(0.5, 0.0, 1.0, hard), "plain": 0.25}, "q": {"x": 1.0}}
    found = differences(one, other)
    assert found == {
        "p.recall": Measured(pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.1)),
        "p.plain": 0.25,
    }


def test_results_that_cannot_be_paired_differ_by_a_number_alone() -> None:
    draws = np.zeros(10)
    assert differences({"a": Measured(0.5, 0, 1)}, {"a": Measured(0.25, 0, 1, draws)}) == {"a": 0.25}
    assert differences({"a": Measured(0.5, 0, 1, draws)}, {"a": Measured(0.25, 0, 1, draws[:5])}) == {"a": 0.25}
    assert differences({"a": 0.5}, {"a": Measured(0.25, 0, 1, draws)}) == {"a": 0.25}


def test_a_protocol_is_compared_only_where_two_rankers_can_differ() -> None:
    ranker = make_ranker()
    other = replace(ranker, text_encoder="other@1", id="other")
    protocols = ("baseline", "course", "official")
    assert comparable_protocols(ranker, ranker, protocols) == ["official"]
    assert comparable_protocols(ranker, other, protocols) == ["course", "official"]
    with pytest.raises(PhotoseekError) as refusal:
        comparable_protocols(ranker, other, ["baseline"])
    assert str(refusal.value) == f"--compare: baseline cannot tell rankers {ranker.id} and other apart"


def test_in_json_a_comparison_keeps_its_keys() -> None:
    comparison = Comparison("other", {"a": {"b": 0.5}}, {"a.b": Measured(0.1, 0.0, 0.2)})
    assert comparison.to_json() == {
        "ranker": "other",
        "figures": {"a": {"b": 0.5}},
        "difference": {"a.b": {"value": 0.1, "low": 0.0, "high": 0.2}},
    }


def test_a_ranker_beside_itself_differs_in_nothing(measured: tuple[Evaluation, Results]) -> None:
    evaluation, results = measured
    comparison = compare_rankers(
        evaluation, results, evaluation.ranker, ["official", "expert_meaning", "course", "baseline"]
    )
    assert set(comparison.results) == {"official", "expert_meaning"}
    assert set(comparison.differences) == set(flatten(comparison.results))
    assert all(difference == Measured(0.0, 0.0, 0.0) for difference in comparison.differences.values())
    with pytest.raises(PhotoseekError) as refusal:
        compare_rankers(evaluation, results, evaluation.ranker, ["course"])
    identity = evaluation.ranker.id
    assert str(refusal.value) == f"--compare: course cannot tell rankers {identity} and {identity} apart"
    with pytest.raises(PhotoseekError) as refusal:
        compare_rankers(evaluation, results, evaluation.ranker, ["breadth"])
    assert str(refusal.value) == "--compare: of what the data allows, nothing can differ"


def test_a_difference_is_that_of_the_same_drawn_queries(measured: tuple[Evaluation, Results]) -> None:
    evaluation, results = measured
    joint_space = evaluation.ranker.joint_space
    worse = replace(
        evaluation.ranker,
        joint_space=replace(joint_space, map=replace(joint_space.map, A=joint_space.map.A[:, ::-1])),
        id="worse",
    )
    comparison = compare_rankers(evaluation, results, worse, ["official"])
    difference = comparison.differences["official.candidates.recall@5"]
    _, own = evaluation.official()
    second = replace(evaluation, ranker=worse)
    hit, other = (
        (ranks_of_own(one.official()[0].candidate_scores, own) < 5).astype(float) for one in (evaluation, second)
    )
    assert difference.value == pytest.approx((hit - other).mean())
    generator = np.random.default_rng(0)
    draws = [(hit - other)[generator.integers(0, len(own), len(own))].mean() for _ in range(500)]
    assert (difference.low, difference.high) == pytest.approx(percentile_interval(np.array(draws)))
    lines = comparison_lines(results, comparison).splitlines()
    assert lines[1] == "beside ranker worse                             this   other  difference"
    both = [flatten(tree)["official.candidates.recall@5"].value for tree in (results, comparison.results)]
    numbers = (
        f"{both[0]:>8.4f}{both[1]:>8.4f}  {difference.value:+.4f}  [{difference.low:+.4f}, {difference.high:+.4f}]"
    )
    assert f"{'official.candidates.recall@5':<44}{numbers}" in lines
