"""Calibration: logits -> relevance, so that of the pairs shown at 0.3 about three in ten fit."""

from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Calibration:
    """`relevance = sigmoid(logit / temperature + bias)`: monotone, so it never changes an order."""

    temperature: float = 1.0
    bias: float = 0.0

    @classmethod
    def fit(cls, logits: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> "Calibration":
        """The temperature (Guo et al. 2017) and bias with the least log loss. All (n,); targets in 0..1."""
        from scipy.optimize import minimize

        logits, targets, weights = (values.astype(np.float64) for values in (logits, targets, weights))
        total = weights.sum()

        def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
            slope, bias = np.exp(values[0]), values[1]
            scaled = slope * logits + bias
            losses = np.logaddexp(0, scaled) - targets * scaled
            slack = weights * (_sigmoid(scaled) - targets)
            gradient = np.array([(slack * logits).sum() * slope, slack.sum()])
            return float((weights * losses).sum() / total), gradient / total

        found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-4, 4), (-20, 20)])
        return cls(temperature=float(np.exp(-found.x[0])), bias=float(found.x[1]))

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """(n,) logits -> (n,) float32 in 0..1."""
        return _sigmoid(logits / self.temperature + self.bias).astype(np.float32)

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    # 1 / (1 + exp(-v)) without overflow, and exact to the last digit near 0, where most relevances lie.
    return np.exp(-np.logaddexp(0, -values))
