"""Metrics: ranks and recall, Kendall's tau, calibration, separation, each with its interval."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def ranks_of_own(scores: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Rank of each query's own photo, 0 is first; ties count against it. scores: (queries, photos), own: (queries,)."""
    mine = scores[np.arange(len(own)), own][:, None]
    return (scores >= mine).sum(axis=1) - 1


def recall_at(ranks: np.ndarray, k: int) -> float:
    """Share of queries whose own photo is among the first k."""
    return float((ranks < k).mean())


def kendall_tau_b(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's tau-b (Kendall 1945), which corrects for ties on both sides."""
    from scipy.stats import kendalltau

    return float(kendalltau(a, b, variant="b").statistic)


def kendall_tau_c(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's tau-c (Stuart 1953), for a fine score against a few grades."""
    from scipy.stats import kendalltau

    return float(kendalltau(a, b, variant="c").statistic)


def log_loss(relevance: np.ndarray, outcome: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean of -(y ln p + (1 - y) ln(1 - p)), the logarithmic score (Good 1952). Outcomes y may be shares in 0..1.

    A relevance is taken as 1e-7 from 0 and 1 at least: a rounded one must not cost infinity.
    """
    shown = np.clip(relevance.astype(np.float64), 1e-7, 1 - 1e-7)
    return float(-np.average(outcome * np.log(shown) + (1 - outcome) * np.log1p(-shown), weights=weights))


def calibration_error(
    relevance: np.ndarray, outcome: np.ndarray, weights: np.ndarray | None = None, bins: int = 15
) -> float:
    """Expected calibration error over equal-mass bins (Nguyen and O'Connor 2015). Outcomes may be shares in 0..1."""
    weights = np.ones(len(relevance)) if weights is None else weights
    return float(sum(mass * abs(shown - seen) for mass, shown, seen in reliability(relevance, outcome, weights, bins)))


def reliability(
    relevance: np.ndarray, outcome: np.ndarray, weights: np.ndarray, bins: int = 15
) -> list[tuple[float, float, float]]:
    """(share of all, mean relevance, mean outcome) of each equal-mass bin, in order of relevance.

    Equal relevances share a bin, the one in which the middle of their mass lies, so no order of the rows matters.
    """
    bin_of = equal_mass_bins(relevance, weights, bins)
    masses, shown, seen = (np.bincount(bin_of, values) for values in (weights, weights * relevance, weights * outcome))
    filled = np.flatnonzero(masses)
    columns = (masses[filled] / masses.sum(), shown[filled] / masses[filled], seen[filled] / masses[filled])
    return [(float(share), float(mean), float(fits)) for share, mean, fits in zip(*columns, strict=True)]


def equal_mass_bins(relevance: np.ndarray, weights: np.ndarray, bins: int = 15) -> np.ndarray:
    """The bin of each row, (n,) int64 from 0 to bins - 1, as `reliability` says; a bin may stay empty."""
    _, place = np.unique(relevance, return_inverse=True)
    mass = np.bincount(place, weights)
    middle = (mass.cumsum() - mass / 2) / mass.sum()
    return np.minimum((middle * bins).astype(int), bins - 1)[place]


def brier_skill(relevance: np.ndarray, outcome: np.ndarray, weights: np.ndarray | None = None) -> float:
    """1 - Brier score / Brier score of always saying the base rate (Brier 1950): 0 is no skill, 1 is perfect; NaN where
    all outcomes are alike, which leaves nothing to foretell."""
    base = np.full(len(outcome), np.average(outcome, weights=weights))
    if np.ptp(outcome) == 0:
        return float("nan")
    return 1 - brier_score(relevance, outcome, weights) / brier_score(base, outcome, weights)


def brier_score(relevance: np.ndarray, outcome: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean squared difference of relevance and outcome (Brier 1950); outcomes may be shares in 0..1. All (n,)."""
    return float(np.average((relevance - outcome) ** 2, weights=weights))


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Chance that a positive scores above a negative, ties half (Mann and Whitney 1947)."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([positive, negative]))[: len(positive)].sum()
    return float((ranks - len(positive) * (len(positive) + 1) / 2) / (len(positive) * len(negative)))


def largest_share(top: np.ndarray) -> float:
    """Largest share of queries that have one and the same photo in their top. top: (queries, k) rows of photos."""
    return float(np.bincount(top.reshape(-1)).max() / len(top))


def has_most_shown(top: np.ndarray) -> np.ndarray:
    """Which queries have the most shown photo in their top, (queries,) bool; its mean is `largest_share`.

    top: (queries, k) rows of photos.
    A bootstrap draws these, so that the photo stays one and the same: the largest share over photos grows in a draw.
    """
    found: np.ndarray = (top == np.bincount(top.reshape(-1)).argmax()).any(axis=1)
    return found


def mean_overlap(top: np.ndarray) -> float:
    """Mean Jaccard overlap of two queries' tops, over all pairs of queries: 1 where all show the same photos.

    top: (queries, k) rows of photos, none twice in a row.
    """
    count, k = top.shape
    shown = np.zeros((count, top.max() + 1), np.float32)
    np.put_along_axis(shown, top, 1, axis=1)
    shared = shown @ shown.T
    overlap = shared / (2 * k - shared)
    return float((overlap.sum() - count) / (count * (count - 1)))


def bootstrap(
    count: int, statistic: Callable[[np.ndarray], float], resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of `statistic(rows)` over resampled rows of 0..count-1 (Efron and Tibshirani 1993)."""
    return percentiles(resample(count, statistic, resamples, seed))


def resample(count: int, statistic: Callable[[np.ndarray], float], resamples: int, seed: int = 0) -> np.ndarray:
    """`statistic(rows)` of each draw of `count` rows with replacement: (resamples,) float64.

    The draws depend on `count`, `resamples` and `seed` alone, so that two statistics of the same rows may be taken from
    one another draw by draw: the paired bootstrap.
    """
    generator = np.random.default_rng(seed)
    return np.array([statistic(generator.integers(0, count, count)) for _ in range(resamples)])


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of values (n,)."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def interval(
    groups: Sequence[Any] | np.ndarray, statistic: Callable[[np.ndarray], float], resamples: int = 500
) -> dict[str, float]:
    """`statistic(rows)` of all rows, with its 95 % bootstrap interval: `value`, `low`, `high`.

    groups: (n,), the group of each row (its query, its photo); whole groups are drawn together, as the rows of one are
    not independent.
    """
    figure = drawn_interval(groups, statistic, resamples)
    return {name: figure[name] for name in ("value", "low", "high")}


def drawn_interval(
    groups: Sequence[Any] | np.ndarray, statistic: Callable[[np.ndarray], float], resamples: int = 500
) -> dict[str, Any]:
    """The same with what each draw gave, `resampled` (resamples,) float64, for the paired bootstrap of two figures."""
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(group, kind="stable")
    rows_of = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    values = resample(len(rows_of), lambda drawn: statistic(np.concatenate([rows_of[i] for i in drawn])), resamples)
    low, high = percentiles(values)
    return {"value": statistic(np.arange(len(group))), "low": low, "high": high, "resampled": values}
