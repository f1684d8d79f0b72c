"""Bootstrap: 95 % intervals of any statistic, by drawing rows or whole groups of rows with replacement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured value with its 95 % interval.

    Attributes:
        value: The statistic of all rows.
        low: Lower end of the interval.
        high: Upper end of the interval.
        draws: (resamples,) float64, the statistic of each bootstrap draw; None where nothing was drawn. Not compared.
    """

    value: float
    low: float
    high: float
    draws: np.ndarray | None = field(default=None, repr=False, compare=False)


def resample(count: int, statistic: Callable[[np.ndarray], float], resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """Compute a statistic of rows that are drawn with replacement, again and again.

    The draws depend on `count`, `resamples` and `seed` alone, so two statistics of the same rows may be subtracted
    draw by draw (the paired bootstrap).

    Args:
        count: How many rows there are; each draw has as many.
        statistic: Called with the drawn rows, (count,) int64 in 0..count-1.
        resamples: How many draws.
        seed: Seed of the random generator.

    Returns:
        (resamples,) float64, the statistic of each draw.

    References:
        B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman and Hall (1993).
    """
    generator = np.random.default_rng(seed)
    return np.array([statistic(generator.integers(0, count, count)) for _ in range(resamples)])


def percentile_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 2.5th and the 97.5th percentile, which enclose the middle 95 %.

    Args:
        values: (n,) float, the statistic of each bootstrap draw.

    Returns:
        (low, high).
    """
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def bootstrap_interval(
    groups: Sequence[Any] | np.ndarray, statistic: Callable[[np.ndarray], float], resamples: int = 500
) -> Measured:
    """Compute a statistic of all rows with its 95 % bootstrap interval.

    Whole groups are drawn, because the rows of one group (the captions of one photo, say) are not independent.

    Args:
        groups: (n,) the group of each row, such as its query or its photo; values of any type that can be sorted.
        statistic: Called with rows, (m,) int64 in 0..n-1.
        resamples: How many draws.

    Returns:
        The statistic of all n rows, with its percentile interval and its draws.
    """
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(group, kind="stable")
    rows_of = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    draws = resample(len(rows_of), lambda drawn: statistic(np.concatenate([rows_of[i] for i in drawn])), resamples)
    low, high = percentile_interval(draws)
    return Measured(statistic(np.arange(len(group))), low, high, draws)


def mean_interval(values: np.ndarray) -> Measured:
    """Compute the mean of values with its 95 % bootstrap interval.

    Args:
        values: (n,) numbers or bool, n >= 1, one per independent row.

    Returns:
        The mean, with its percentile interval and its draws.
    """
    return bootstrap_interval(range(len(values)), lambda rows: float(values[rows].mean()))


def mean_of_parts(parts: Sequence[Measured]) -> Measured:
    """Average values that were measured on different rows; each counts alike, however many rows it has.

    Args:
        parts: One value or more, all with draws, and as many.

    Returns:
        The mean; its draws are the means of the parts' draws (the stratified bootstrap).

    References:
        B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman and Hall (1993), chapter 8.
    """
    draws = np.mean([part.draws for part in parts if part.draws is not None], axis=0)
    return Measured(float(np.mean([part.value for part in parts])), *percentile_interval(draws), draws)


def paired_difference(one: Measured, other: Measured) -> Measured | None:
    """Subtract two measured values, with the interval of the paired bootstrap.

    Both values of a draw are of the same rows, so what makes a row hard for both cancels out, and the interval of the
    difference is narrower than those of the values.

    Args:
        one: The value to subtract from.
        other: The value to subtract.

    Returns:
        The difference without draws; None where the two do not have the same number of draws.

    References:
        P. Koehn, "Statistical significance tests for machine translation evaluation", EMNLP 2004.
    """
    if one.draws is None or other.draws is None or len(one.draws) != len(other.draws):
        return None
    return Measured(one.value - other.value, *percentile_interval(one.draws - other.draws))
