"""Scores of probabilities: log loss, calibration error, reliability and Brier score."""

import numpy as np

# Relevance is clipped to this distance from 0 and 1: a value that float32 rounded to 0 or 1 must not cost infinity.
CLIP = 1e-7
# Bins of the calibration error and of the reliability diagram: as many as Guo et al. (ICML 2017) use.
BINS = 15


def log_loss(relevance: np.ndarray, outcome: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the weighted mean of -(y ln p + (1 - y) ln(1 - p)), the logarithmic score.

    Args:
        relevance: (n,) p, probabilities in 0..1, clipped to 1e-7 from both ends.
        outcome: (n,) y, 0 or 1, or a share in 0..1.
        weights: (n,) float; all alike by default.

    Returns:
        The loss in nats, 0 or more.

    References:
        I. J. Good, "Rational decisions", Journal of the Royal Statistical Society B 14 (1952).
    """
    clipped = np.clip(relevance.astype(np.float64), CLIP, 1 - CLIP)
    return float(-np.average(outcome * np.log(clipped) + (1 - outcome) * np.log1p(-clipped), weights=weights))


def calibration_error(
    relevance: np.ndarray, outcome: np.ndarray, weights: np.ndarray | None = None, bins: int = BINS
) -> float:
    """Return the expected calibration error (ECE) over equal-mass bins.

    ECE is the mean over bins of |mean relevance - mean outcome|, each bin weighted by its mass.

    Args:
        relevance: (n,) probabilities in 0..1.
        outcome: (n,) 0 or 1, or a share in 0..1.
        weights: (n,) float; all alike by default.
        bins: How many bins, at most.

    Returns:
        The error, in 0..1.

    References:
        K. Nguyen and B. O'Connor, "Posterior calibration and exploratory analysis for natural language processing
        models", EMNLP 2015, for bins of equal mass.
    """
    weights = np.ones(len(relevance)) if weights is None else weights
    rows = reliability(relevance, outcome, weights, bins)
    return float(sum(mass * abs(shown - seen) for mass, shown, seen in rows))


def reliability(
    relevance: np.ndarray, outcome: np.ndarray, weights: np.ndarray, bins: int = BINS
) -> list[tuple[float, float, float]]:
    """Return the points of a reliability diagram over equal-mass bins.

    Args:
        relevance: (n,) probabilities in 0..1.
        outcome: (n,) 0 or 1, or a share in 0..1.
        weights: (n,) float.
        bins: How many bins, at most.

    Returns:
        (share of all mass, mean relevance, mean outcome) of each bin that holds a row, in order of relevance.
    """
    bin_of = equal_mass_bins(relevance, weights, bins)
    masses, shown, seen = (np.bincount(bin_of, values) for values in (weights, weights * relevance, weights * outcome))
    filled = np.flatnonzero(masses)
    columns = (masses[filled] / masses.sum(), shown[filled] / masses[filled], seen[filled] / masses[filled])
    return [(float(share), float(mean), float(fits)) for share, mean, fits in zip(*columns, strict=True)]


def equal_mass_bins(relevance: np.ndarray, weights: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Assign rows to bins of equal mass.

    Rows of equal relevance share a bin, the one in which the middle of their mass lies, so the order of the rows has
    no influence.

    Args:
        relevance: (n,) probabilities in 0..1.
        weights: (n,) float, the mass of each row.
        bins: How many bins.

    Returns:
        (n,) int64 from 0 to bins - 1, in order of relevance; a bin may stay empty.
    """
    _, place = np.unique(relevance, return_inverse=True)
    mass = np.bincount(place, weights)
    middle = (mass.cumsum() - mass / 2) / mass.sum()
    return np.minimum((middle * bins).astype(int), bins - 1)[place]


def brier_skill(relevance: np.ndarray, outcome: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return 1 - (Brier score) / (Brier score of always predicting the base rate).

    Args:
        relevance: (n,) probabilities in 0..1.
        outcome: (n,) 0 or 1, or a share in 0..1.
        weights: (n,) float; all alike by default.

    Returns:
        1 for perfect predictions, 0 for the base rate, below 0 for worse; NaN where all outcomes are equal, because
        then the base rate is already perfect.

    References:
        G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78 (1950).
    """
    base_rate = np.full(len(outcome), np.average(outcome, weights=weights))
    if np.ptp(outcome) == 0:
        return float("nan")
    return 1 - brier_score(relevance, outcome, weights) / brier_score(base_rate, outcome, weights)


def brier_score(relevance: np.ndarray, outcome: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the weighted mean squared difference of relevance and outcome (Brier 1950).

    Args:
        relevance: (n,) probabilities in 0..1.
        outcome: (n,) 0 or 1, or a share in 0..1.
        weights: (n,) float; all alike by default.

    Returns:
        The score, in 0..1; lower is better.
    """
    return float(np.average((relevance - outcome) ** 2, weights=weights))
