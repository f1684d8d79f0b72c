"""Fit a calibration by three methods, each monotone, and keep the one that held-out pairs fit best.

The methods are temperature and bias (Guo et al. 2017), beta calibration (Kull, Silva Filho and Flach 2017) and isotonic
regression (Zadrozny and Elkan 2002).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from reranker.metrics.calibration import log_loss
from reranker.models.calibration import Calibration, beta_terms, sigmoid

# Folds of the cross-validation that compares the methods.
FOLDS = 5
# Pairs from which on isotonic regression is tried: it has as many parameters as the data let it, and on fewer pairs it
# learns the noise.
MIN_ISOTONIC_PAIRS = 1000
# Knots of an isotonic calibration, at most.
MAX_KNOTS = 64
# A knot's relevance is at least this far from 0 and 1: a few hundred pairs that all fit do not make the next certain.
MIN_UNCERTAINTY = 1e-4
# Least and largest slope of a logistic fit: a slope of 0 would tie every score, and where scores separate the outcomes
# the loss has no minimum.
SLOPE_BOUNDS = (0.01, 100.0)
# Largest intercept of a logistic fit, either way.
MAX_INTERCEPT = 20.0


def fit_calibration(
    scores: np.ndarray, targets: np.ndarray, weights: np.ndarray, groups: np.ndarray | None = None
) -> Calibration:
    """Fit the method that has the least log loss in 5-fold cross-validation on all pairs.

    Args:
        scores: (n,) float32 logits.
        targets: (n,) float32 in 0..1, the share of people who say that a pair fits.
        weights: (n,) float32, what each pair counts.
        groups: (n,), pairs of one group share a fold; by default every pair is its own group.

    Returns:
        The calibration, with the cross-validated log loss of each method that was compared. Isotonic regression is
        compared from 1,000 pairs on; with fewer than five groups nothing is compared and temperature is taken.
    """
    place = np.arange(len(scores)) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(place.max()) + 1
    if count < FOLDS:
        return fit_temperature(scores, targets, weights)
    fold_of = (np.random.default_rng(0).permutation(count) % FOLDS)[place]
    losses = {}
    for method, fit_method in METHODS.items():
        if method == "isotonic" and len(scores) < MIN_ISOTONIC_PAIRS:
            continue
        relevance = np.empty(len(scores), np.float32)
        for fold in range(FOLDS):
            held, rest = fold_of == fold, fold_of != fold
            relevance[held] = fit_method(scores[rest], targets[rest], weights[rest]).apply(scores[held])
        losses[method] = log_loss(relevance, targets, weights)
    best = min(losses, key=losses.__getitem__)
    return replace(METHODS[best](scores, targets, weights), losses=losses)


def fit_temperature(scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Calibration:
    """Fit the temperature and bias with the least log loss.

    Args:
        scores: (n,) logits.
        targets: (n,) in 0..1.
        weights: (n,), what each pair counts.

    Returns:
        The calibration.

    References:
        Guo, Pleiss, Sun and Weinberger 2017, "On calibration of modern neural networks".
    """
    slope, bias = _fit_logistic(scores[:, None], targets, weights)
    return Calibration(temperature=1 / slope, bias=bias)


def fit_beta(scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Calibration:
    """Fit a beta calibration with the least log loss.

    It bends the two ends apart from each other; `a = b = 1 / temperature` is the temperature method.

    Args:
        scores: (n,) logits.
        targets: (n,) in 0..1.
        weights: (n,), what each pair counts.

    Returns:
        The calibration.

    References:
        Kull, Silva Filho and Flach 2017, "Beta calibration: a well-founded and easily implemented improvement on
        logistic calibration for binary classifiers".
    """
    a, b, c = _fit_logistic(beta_terms(scores), targets, weights)
    return Calibration(method="beta", a=a, b=b, c=c)


def fit_isotonic(scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Calibration:
    """Fit isotonic regression in at most 64 knots, with a temperature that keeps scores of one pool in order.

    Each pool has a knot at its lowest score and one at its highest.

    Args:
        scores: (n,) logits.
        targets: (n,) in 0..1.
        weights: (n,), what each pair counts.

    Returns:
        The calibration.

    References:
        Zadrozny and Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates".
    """
    from sklearn.isotonic import isotonic_regression

    at, place = np.unique(scores.astype(np.float64), return_inverse=True)
    mass = np.bincount(place, weights)
    shares = isotonic_regression(np.bincount(place, weights * targets) / mass, sample_weight=mass)
    first = np.flatnonzero(np.diff(shares, prepend=-1.0))
    last = np.append(first[1:], len(at)) - 1
    pools = np.stack([np.add.reduceat(mass, first), shares[first], at[first], at[last]])
    while len(knots := _knots(pools)) > MAX_KNOTS:
        pools = _join_nearest(pools)
    smooth = fit_temperature(scores, targets, weights)
    return replace(smooth, method="isotonic", knots=tuple(knots))


METHODS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Calibration]] = {
    "temperature": fit_temperature,
    "beta": fit_beta,
    "isotonic": fit_isotonic,
}


def _fit_logistic(terms: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> list[float]:
    """Fit logistic regression of targets (n,) on terms (n, d): d slopes and the intercept with the least log loss."""
    from scipy.optimize import minimize

    terms = np.column_stack([terms, np.ones(len(terms))]).astype(np.float64)
    targets, weights = targets.astype(np.float64), weights / weights.sum(dtype=np.float64)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        logits = terms @ values
        slack = weights * (sigmoid(logits) - targets)
        return float(weights @ (np.logaddexp(0, logits) - targets * logits)), slack @ terms

    slopes = terms.shape[1] - 1
    begin = np.array([1.0] * slopes + [0.0])
    bounds = [SLOPE_BOUNDS] * slopes + [(-MAX_INTERCEPT, MAX_INTERCEPT)]
    return [float(value) for value in minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds).x]


def _knots(pools: np.ndarray) -> list[tuple[float, float]]:
    """List (score, share) at both edges of each pool, in order; one where the edges are one. pools: (4, p)."""
    shares = np.clip(pools[1], MIN_UNCERTAINTY, 1 - MIN_UNCERTAINTY)
    return sorted(set(zip(pools[2:].ravel().tolist(), np.tile(shares, 2).tolist(), strict=True)))


def _join_nearest(pools: np.ndarray) -> np.ndarray:
    """Join the neighbours whose joining costs the least squared error (Ward 1963): (4, p) -> (4, p - 1) float64.

    Rows are the mass, the share, the lowest and the highest score of each pool, in order.
    """
    mass, shares, lowest, highest = pools
    left = int(np.argmin(mass[:-1] * mass[1:] / (mass[:-1] + mass[1:]) * np.diff(shares) ** 2))
    both = slice(left, left + 2)
    share = np.average(shares[both], weights=mass[both])
    joined = [mass[both].sum(), share, lowest[left], highest[left + 1]]
    return np.column_stack([pools[:, :left], joined, pools[:, left + 2 :]])
