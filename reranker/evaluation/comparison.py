"""Compare two rankers on the same data: the results of both, and their differences with paired intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from indexer.errors import PhotoseekError
from reranker.evaluation.data import EvaluationData
from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.protocols import evaluate
from reranker.evaluation.results import Result, Results, flatten, results_to_json, to_json, value_of
from reranker.metrics.bootstrap import Measured, paired_difference
from reranker.ranker import Ranker


@dataclass(frozen=True, slots=True)
class Comparison:
    """Another ranker on the same data.

    Attributes:
        ranker_id: Id of the other ranker.
        results: Results of the other ranker.
        differences: Results of the first ranker less those of the other, by full name.
    """

    ranker_id: str
    results: Results
    differences: dict[str, Result]

    def to_json(self) -> dict[str, Any]:
        """Turn the comparison into plain dictionaries for JSON."""
        differences = {name: to_json(difference) for name, difference in self.differences.items()}
        return {"ranker": self.ranker_id, "figures": results_to_json(self.results), "difference": differences}


def comparable_protocols(ranker: Ranker, other: Ranker, protocols: Sequence[str]) -> list[str]:
    """Choose the protocols that can tell two rankers apart.

    The baselines depend on no ranker, and `course`, which trains anew, depends on the encoders alone.

    Args:
        ranker: One ranker.
        other: The other one.
        protocols: Names of protocols.

    Returns:
        The names that are left, in order.

    Raises:
        PhotoseekError: None is left.
    """
    alike = ("baseline", "course") if _same_encoders(ranker, other) else ("baseline",)
    asked = [name for name in protocols if name not in alike]
    if not asked:
        raise PhotoseekError(
            f"--compare: {' and '.join(protocols)} cannot tell rankers {ranker.id} and {other.id} apart"
        )
    return asked


def compare_rankers(evaluation: Evaluation, results: Results, other: Ranker, protocols: Sequence[str]) -> Comparison:
    """Measure another ranker on the data of an evaluation, by the protocols that can tell the two apart.

    Args:
        evaluation: The evaluation of the first ranker.
        results: Its results.
        other: The other ranker.
        protocols: Names of protocols; those without a result are left out.

    Returns:
        The results of the other ranker, and the differences.

    Raises:
        PhotoseekError: No protocol is left.
    """
    same = _same_encoders(evaluation.ranker, other)
    asked = [name for name in comparable_protocols(evaluation.ranker, other, protocols) if name in results]
    if not asked:
        raise PhotoseekError("--compare: of what the data allows, nothing can differ")
    # Data of the same encoders serves both rankers.
    data = evaluation.data
    if not same:
        data = EvaluationData.of_ranker(evaluation.judgments, other, data.breadth, data.elsewhere)
    second = replace(evaluation, data=data, ranker=other)
    other_results = evaluate(second, asked)
    return Comparison(other.id, other_results, differences(results, other_results))


def differences(results: Results, other_results: Results) -> dict[str, Result]:
    """Subtract the results of another ranker, by name.

    Args:
        results: Results of one ranker.
        other_results: Results of the other; names that only one of the two has are left out.

    Returns:
        Full name -> difference, with the interval of the paired bootstrap where both results have draws.
    """
    named, other_named = flatten(results), flatten(other_results)
    return {name: _difference(named[name], other_named[name]) for name in named if name in other_named}


def comparison_lines(results: Results, comparison: Comparison) -> str:
    """Write a heading, and one line per result: `name this other difference [low, high]`.

    Args:
        results: Results of the first ranker.
        comparison: The other ranker and the differences.

    Returns:
        The lines, with an empty one before them.
    """
    named, other_named = flatten(results), flatten(comparison.results)
    lines = [f"\n{'beside ranker ' + comparison.ranker_id:<44}{'this':>8}{'other':>8}  difference"]
    for name, difference in comparison.differences.items():
        interval = f"  [{difference.low:+.4f}, {difference.high:+.4f}]" if isinstance(difference, Measured) else ""
        numbers = f"{value_of(named[name]):>8.4f}{value_of(other_named[name]):>8.4f}  {value_of(difference):+.4f}"
        lines.append(f"{name:<44}{numbers}{interval}")
    return "\n".join(lines)


def _same_encoders(ranker: Ranker, other: Ranker) -> bool:
    return (ranker.image_encoder, ranker.text_encoder) == (other.image_encoder, other.text_encoder)


def _difference(result: Result, other: Result) -> Result:
    """Subtract two results, with an interval where their bootstrap draws can be paired."""
    paired = None
    if isinstance(result, Measured) and isinstance(other, Measured):
        paired = paired_difference(result, other)
    return value_of(result) - value_of(other) if paired is None else paired
