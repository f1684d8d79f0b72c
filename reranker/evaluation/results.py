"""Results by name: a tree of measured values, and the text lines and thresholds that are made from it.

The name of a result is its path in the tree: `official.candidates.recall@10`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from reranker.metrics.bootstrap import Measured

# A number, with an interval where there is one.
Result: TypeAlias = Measured | float
# Protocol -> part -> ... -> result.
Results: TypeAlias = dict[str, "Result | Results"]


class UnknownResultError(ValueError):
    """No result, or more than one, has this name; the message lists the names that there are."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The smallest value that a result may have, or the largest.

    Attributes:
        name: Full name of a result, or a short one as of `full_name`.
        bound: The value itself is still allowed.
        at_most: Whether `bound` is the largest value and not the smallest.
    """

    name: str
    bound: float
    at_most: bool = False

    @classmethod
    def parse(cls, text: str, at_most: bool = False) -> "Threshold":
        """Parse `NAME=VALUE`.

        Args:
            text: As typed on the command line.
            at_most: Whether the value is the largest that is allowed.

        Returns:
            The threshold.

        Raises:
            ValueError: The name is empty or the value is not a number.
        """
        name, equals, value = text.partition("=")
        bound = float(value) if equals else math.nan
        if not name.strip() or math.isnan(bound):
            raise ValueError(text)
        return cls(name.strip(), bound, at_most)

    def holds(self, value: float) -> bool:
        """Tell whether a result of this value passes; NaN never does."""
        return value <= self.bound if self.at_most else value >= self.bound


@dataclass(frozen=True, slots=True)
class Miss:
    """A result that does not pass its threshold; `name` is its full name."""

    name: str
    value: float
    threshold: Threshold

    def __str__(self) -> str:
        side = "above" if self.threshold.at_most else "below"
        return f"{self.name} is {self.value:.4f}, {side} {self.threshold.bound:g}"


def flatten(results: Results, prefix: str = "") -> dict[str, Result]:
    """List the results of a tree by their full names, in order.

    Args:
        results: The tree.
        prefix: What stands before each name.

    Returns:
        Full name -> result.
    """
    named: dict[str, Result] = {}
    for name, value in results.items():
        if isinstance(value, dict):
            named |= flatten(value, f"{prefix}{name}.")
        else:
            named[prefix + name] = value
    return named


def value_of(result: Result) -> float:
    """Return the number of a result, with or without an interval."""
    return float(result.value if isinstance(result, Measured) else result)


def result_lines(results: Results) -> str:
    """Write one line per result: `name value [low, high]`."""
    lines = []
    for name, result in flatten(results).items():
        interval = f"  [{result.low:.4f}, {result.high:.4f}]" if isinstance(result, Measured) else ""
        lines.append(f"{name:<44}{value_of(result):.4f}{interval}")
    return "\n".join(lines)


def results_to_json(results: Results) -> dict[str, Any]:
    """Turn a tree of results into plain dictionaries for JSON.

    Args:
        results: The tree.

    Returns:
        The same tree, where a measured value is `{"value": v, "low": l, "high": h}`.
    """
    return {
        name: results_to_json(value) if isinstance(value, dict) else to_json(value) for name, value in results.items()
    }


def to_json(result: Result) -> Any:
    """Turn one result into `{"value": v, "low": l, "high": h}`, or leave the number that it is."""
    if isinstance(result, Measured):
        return {"value": result.value, "low": result.low, "high": result.high}
    return result


def full_name(results: Results, name: str) -> str:
    """Find the full name of a result.

    Args:
        results: The tree.
        name: A full name, or its last parts. Where several names end in these, the one with the fewest parts is meant:
            `recall@10` is `official.recall@10`, though there is `official.candidates.recall@10` too.

    Returns:
        The full name.

    Raises:
        UnknownResultError: No name ends in these parts, or several with the fewest parts do.
    """
    names = list(flatten(results))
    if name in names:
        return name
    ending = [known for known in names if known.endswith(f".{name}")]
    if not ending:
        raise UnknownResultError(f"no figure {name!r}; there are: {', '.join(names)}")
    parts = min(known.count(".") for known in ending)
    shortest = [known for known in ending if known.count(".") == parts]
    if len(shortest) > 1:
        raise UnknownResultError(f"figure {name!r} may be any of: {', '.join(shortest)}")
    return shortest[0]


def misses(results: Results, thresholds: Sequence[Threshold]) -> list[Miss]:
    """List the results that do not pass their thresholds.

    Args:
        results: The tree.
        thresholds: In any order; a result may have several.

    Returns:
        One entry per threshold that is missed, in the order of the thresholds.

    Raises:
        UnknownResultError: A threshold names no result, or several.
    """
    named = flatten(results)
    full_names = [(full_name(results, threshold.name), threshold) for threshold in thresholds]
    found = [Miss(name, value_of(named[name]), threshold) for name, threshold in full_names]
    return [miss for miss in found if not miss.threshold.holds(miss.value)]


def drop_undefined(results: Results) -> Results:
    """Leave out results that are NaN, and branches that are empty then.

    Args:
        results: The tree; it stays as it is.

    Returns:
        A new tree. Where a value is a number but its interval is not (too few rows, or all alike), the number alone.
    """
    kept: Results = {}
    for name, value in results.items():
        if isinstance(value, dict):
            branch = drop_undefined(value)
            if branch:
                kept[name] = branch
        elif not isinstance(value, Measured):
            if not (isinstance(value, float) and math.isnan(value)):
                kept[name] = value
        elif math.isfinite(value.value):
            whole = math.isfinite(value.low) and math.isfinite(value.high)
            kept[name] = value if whole else value.value
    return kept
