"""Figures by name: a tree of protocols whose leaves are a number or `{"value": v, "low": l, "high": h}`; what is asked
of them: text lines, thresholds, the difference of two rankers.

A figure's name is its path: `official.candidates.recall@10`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reranker.metrics.metrics import percentiles

Results = dict[str, Any]


class UnknownFigure(ValueError):
    """No figure, or more than one, has this name; the message says which there are."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The least value that a figure may have, or the largest where `at_most`. `name` may be short, see `find`."""

    name: str
    bound: float
    at_most: bool = False

    @classmethod
    def parse(cls, text: str, at_most: bool = False) -> "Threshold":
        """`NAME=VALUE`. Raises ValueError if it is something else."""
        name, equals, value = text.partition("=")
        bound = float(value) if equals else math.nan
        if not name.strip() or math.isnan(bound):
            raise ValueError(text)
        return cls(name.strip(), bound, at_most)

    def holds(self, value: float) -> bool:
        """Whether a figure of this value will do; one that is no number never does."""
        return value <= self.bound if self.at_most else value >= self.bound


@dataclass(frozen=True, slots=True)
class Miss:
    """A figure, by its full name, that is on the wrong side of its threshold."""

    name: str
    value: float
    threshold: Threshold

    def __str__(self) -> str:
        side = "above" if self.threshold.at_most else "below"
        return f"{self.name} is {self.value:.4f}, {side} {self.threshold.bound:g}"


def flat(figures: Results, prefix: str = "") -> dict[str, Any]:
    """Every leaf by its name, in order."""
    leaves: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, dict) and "value" not in value:
            leaves |= flat(value, f"{prefix}{name}.")
        else:
            leaves[prefix + name] = value
    return leaves


def value_of(leaf: Any) -> float:
    """The number of a leaf, with or without an interval."""
    return float(leaf["value"] if isinstance(leaf, dict) else leaf)


def report(figures: Results) -> str:
    """The figures as lines of `name value [low, high]`."""
    lines = []
    for name, leaf in flat(figures).items():
        interval = f"  [{leaf['low']:.4f}, {leaf['high']:.4f}]" if isinstance(leaf, dict) else ""
        lines.append(f"{name:<44}{value_of(leaf):.4f}{interval}")
    return "\n".join(lines)


def find(figures: Results, name: str) -> str:
    """The full name of a figure: the name itself, or the one name that ends in `.name`; where several do, the one of
    the fewest parts (`recall@10` is `official.recall@10` where there is `official.candidates.recall@10`, too).

    Raises UnknownFigure where there is none, or several of the fewest parts.
    """
    names = list(flat(figures))
    if name in names:
        return name
    ending = [known for known in names if known.endswith(f".{name}")]
    if not ending:
        raise UnknownFigure(f"no figure {name!r}; there are: {', '.join(names)}")
    parts = min(known.count(".") for known in ending)
    shortest = [known for known in ending if known.count(".") == parts]
    if len(shortest) > 1:
        raise UnknownFigure(f"figure {name!r} may be any of: {', '.join(shortest)}")
    return shortest[0]


def misses(figures: Results, thresholds: Sequence[Threshold]) -> list[Miss]:
    """Every figure that its threshold does not hold for. Raises UnknownFigure."""
    leaves = flat(figures)
    named = [(find(figures, threshold.name), threshold) for threshold in thresholds]
    found = [Miss(name, value_of(leaves[name]), threshold) for name, threshold in named]
    return [miss for miss in found if not miss.threshold.holds(miss.value)]


def defined(figures: Results) -> Results:
    """The figures that are numbers; the value alone where too few rows, or all alike, leave no interval."""
    kept: Results = {}
    for name, leaf in figures.items():
        if isinstance(leaf, dict) and "value" not in leaf:
            below = defined(leaf)
            if below:
                kept[name] = below
        elif not isinstance(leaf, dict):
            if not (isinstance(leaf, float) and math.isnan(leaf)):
                kept[name] = leaf
        elif math.isfinite(leaf["value"]):
            whole = math.isfinite(leaf["low"]) and math.isfinite(leaf["high"])
            kept[name] = leaf if whole else leaf["value"]
    return kept


def take_resampled(figures: Results) -> dict[str, np.ndarray]:
    """Take what each draw of the bootstrap gave, `resampled`, out of the leaves, and return it by name: nobody is shown
    it, but it compares two rankers."""
    leaves = flat(figures).items()
    return {name: leaf.pop("resampled") for name, leaf in leaves if isinstance(leaf, dict) and "resampled" in leaf}


def differences(
    figures: Results, others: Results, resampled: Mapping[str, np.ndarray], others_resampled: Mapping[str, np.ndarray]
) -> Results:
    """figures - others, by the same names: `{"value", "low", "high"}` where both have an interval, else a number.

    The interval is a paired bootstrap: both figures of a draw are of the same queries, so what makes a query hard for
    both falls out (Efron and Tibshirani 1993; Koehn 2004 for rankings of systems). Only figures of both are there.
    """
    leaves, other_leaves = flat(figures), flat(others)
    differing: Results = {}
    for name in leaves:
        if name not in other_leaves:
            continue
        difference: Any = value_of(leaves[name]) - value_of(other_leaves[name])
        one, other = resampled.get(name), others_resampled.get(name)
        if one is not None and other is not None and len(one) == len(other):
            low, high = percentiles(one - other)
            difference = {"value": difference, "low": low, "high": high}
        differing[name] = difference
    return differing
