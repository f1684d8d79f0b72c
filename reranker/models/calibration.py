"""Calibration: scores -> relevance, so that of the pairs shown at 0.3 about three in ten fit.

Three methods, each monotone, and the one that held-out pairs fit best is taken: temperature and bias (Guo et al. 2017),
beta calibration (Kull, Silva Filho and Flach 2017) and isotonic regression (Zadrozny and Elkan 2002).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from reranker.metrics.metrics import log_loss

FOLDS = 5
# Isotonic regression has as many parameters as the data let it; on less than this it learns the noise.
ENOUGH_FOR_ISOTONIC = 1000
KNOTS = 64
# No knot is surer than this: a few hundred pairs that all fit do not make the next one certain.
SUREST = 1e-4
# Isotonic regression is flat in places, and a search orders by relevance: so much of the temperature method keeps the
# order of photos that one pool holds.
LEAN = 0.02
# Of a logistic fit; one of 0 would tie every score, and one without an end has no least loss where scores separate.
SLOPES = (0.01, 100.0)

# The numbers that each method stores.
NUMBERS = {
    "temperature": ("temperature", "bias"),
    "beta": ("a", "b", "c"),
    "isotonic": ("temperature", "bias", "knots"),
}


@dataclass(frozen=True, slots=True)
class Calibration:
    """A monotone map from scores (logits) to relevance; it never changes an order.

    By `method`: "temperature", `sigmoid(score / temperature + bias)`; "beta", `sigmoid(a ln s - b ln(1 - s) + c)` with
    `s = sigmoid(score)`; "isotonic", 0.98 parts of straight lines between `knots`, (score, relevance) in rising order,
    and 0.02 parts of the temperature method. `losses` is the cross-validated log loss of each method that `fit`
    compared; it is not saved.
    """

    temperature: float = 1.0
    bias: float = 0.0
    method: str = "temperature"
    a: float = 1.0
    b: float = 1.0
    c: float = 0.0
    knots: tuple[tuple[float, float], ...] = ()
    losses: dict[str, float] = field(default_factory=dict, compare=False)

    @classmethod
    def fit(
        cls, scores: np.ndarray, targets: np.ndarray, weights: np.ndarray, groups: np.ndarray | None = None
    ) -> "Calibration":
        """The method with the least log loss in 5-fold cross-validation, fitted on all pairs.

        scores, targets (shares in 0..1), weights: (n,); groups: (n,), pairs of one group share a fold. Isotonic only
        from 1,000 pairs on; with fewer than five groups nothing is compared and temperature is taken.
        """
        place = np.arange(len(scores)) if groups is None else np.unique(groups, return_inverse=True)[1]
        count = int(place.max()) + 1
        if count < FOLDS:
            return fit_temperature(scores, targets, weights)
        fold_of = (np.random.default_rng(0).permutation(count) % FOLDS)[place]
        losses = {}
        for method, fit_method in METHODS.items():
            if method == "isotonic" and len(scores) < ENOUGH_FOR_ISOTONIC:
                continue
            relevance = np.empty(len(scores), np.float32)
            for fold in range(FOLDS):
                held, rest = fold_of == fold, fold_of != fold
                relevance[held] = fit_method(scores[rest], targets[rest], weights[rest]).apply(scores[held])
            losses[method] = log_loss(relevance, targets, weights)
        best = min(losses, key=losses.__getitem__)
        return replace(METHODS[best](scores, targets, weights), losses=losses)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Calibration":
        """What `as_dict` gave. Raises KeyError, TypeError or ValueError if it is none of its forms."""
        method = {"method": "temperature", **values}["method"]
        if method not in NUMBERS:
            raise ValueError(f"no calibration method {method!r}")
        numbers = {name: values[name] for name in NUMBERS[method]}
        if method == "isotonic":
            numbers["knots"] = tuple((float(score), float(relevance)) for score, relevance in numbers["knots"])
        return cls(method=method, **numbers)

    def as_dict(self) -> dict[str, Any]:
        """The method and its numbers, for JSON. Temperature goes without its name, as in rankers that knew no other."""
        numbers = {name: getattr(self, name) for name in NUMBERS[self.method]}
        if self.method == "temperature":
            return numbers
        if self.method == "isotonic":
            numbers["knots"] = [list(knot) for knot in self.knots]
        return {"method": self.method, **numbers}

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """(n,) scores -> (n,) float32 in 0..1, never lower for a higher score."""
        if self.method == "beta":
            return _sigmoid(_beta_terms(scores) @ np.array([self.a, self.b]) + self.c).astype(np.float32)
        smooth = _sigmoid(scores / self.temperature + self.bias)
        if self.method == "isotonic":
            smooth = (1 - LEAN) * np.interp(scores, *np.array(self.knots).T) + LEAN * smooth
        return smooth.astype(np.float32)


def fit_temperature(scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Calibration:
    """The temperature (Guo et al. 2017) and bias with the least log loss. All (n,); targets in 0..1."""
    slope, bias = _fit_logistic(scores[:, None], targets, weights)
    return Calibration(temperature=1 / slope, bias=bias)


def fit_beta(scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Calibration:
    """Beta calibration (Kull, Silva Filho and Flach 2017) with the least log loss. All (n,); targets in 0..1.

    It bends the two ends apart from each other; `a = b = 1 / temperature` is the temperature method.
    """
    a, b, c = _fit_logistic(_beta_terms(scores), targets, weights)
    return Calibration(method="beta", a=a, b=b, c=c)


def fit_isotonic(scores: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Calibration:
    """Isotonic regression (Zadrozny and Elkan 2002) in at most 64 knots, with the temperature it leans on.

    All (n,); targets in 0..1. Each pool has a knot at its lowest score and one at its highest.
    """
    from sklearn.isotonic import isotonic_regression

    at, place = np.unique(scores.astype(np.float64), return_inverse=True)
    mass = np.bincount(place, weights)
    shares = isotonic_regression(np.bincount(place, weights * targets) / mass, sample_weight=mass)
    first = np.flatnonzero(np.diff(shares, prepend=-1.0))
    last = np.append(first[1:], len(at)) - 1
    pools = np.stack([np.add.reduceat(mass, first), shares[first], at[first], at[last]])
    while len(knots := _knots(pools)) > KNOTS:
        pools = _join_nearest(pools)
    smooth = fit_temperature(scores, targets, weights)
    return replace(smooth, method="isotonic", knots=tuple(knots))


METHODS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Calibration]] = {
    "temperature": fit_temperature,
    "beta": fit_beta,
    "isotonic": fit_isotonic,
}


def _fit_logistic(terms: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> list[float]:
    """The slopes and the intercept of a logistic regression with the least log loss. terms: (n, d) -> d + 1 numbers."""
    from scipy.optimize import minimize

    terms = np.column_stack([terms, np.ones(len(terms))]).astype(np.float64)
    targets, weights = targets.astype(np.float64), weights / weights.sum(dtype=np.float64)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        logits = terms @ values
        slack = weights * (_sigmoid(logits) - targets)
        return float(weights @ (np.logaddexp(0, logits) - targets * logits)), slack @ terms

    slopes = terms.shape[1] - 1
    begin = np.array([1.0] * slopes + [0.0])
    bounds = [SLOPES] * slopes + [(-20.0, 20.0)]
    return [float(value) for value in minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds).x]


def _beta_terms(scores: np.ndarray) -> np.ndarray:
    """[ln s, -ln(1 - s)] of s = sigmoid(score), both rising with the score: (n, 2)."""
    return np.stack([-np.logaddexp(0, -scores), np.logaddexp(0, scores)], axis=1)


def _knots(pools: np.ndarray) -> list[tuple[float, float]]:
    """(score, share) at both edges of each pool, in order; one where the edges are one."""
    shares = np.clip(pools[1], SUREST, 1 - SUREST)
    return sorted(set(zip(pools[2:].ravel().tolist(), np.tile(shares, 2).tolist(), strict=True)))


def _join_nearest(pools: np.ndarray) -> np.ndarray:
    """The neighbours whose joining costs the least squared error (Ward 1963) made one. (4, p) -> (4, p - 1) float64.

    Rows are the mass, the share, the lowest and the highest score of each pool, in order.
    """
    mass, shares, lowest, highest = pools
    left = int(np.argmin(mass[:-1] * mass[1:] / (mass[:-1] + mass[1:]) * np.diff(shares) ** 2))
    both = slice(left, left + 2)
    share = np.average(shares[both], weights=mass[both])
    joined = [mass[both].sum(), share, lowest[left], highest[left + 1]]
    return np.column_stack([pools[:, :left], joined, pools[:, left + 2 :]])


def _sigmoid(values: np.ndarray) -> np.ndarray:
    # 1 / (1 + exp(-v)) without overflow, and exact to the last digit near 0, where most relevances lie.
    return np.exp(-np.logaddexp(0, -values))
