"""Calibrate scores to relevance: of the pairs shown at 0.3, about three in ten fit.

There are three methods, each monotone: temperature and bias (Guo, Pleiss, Sun and Weinberger 2017), beta calibration
(Kull, Silva Filho and Flach 2017) and isotonic regression (Zadrozny and Elkan 2002).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

# The numbers that each method stores.
NUMBERS = {
    "temperature": ("temperature", "bias"),
    "beta": ("a", "b", "c"),
    "isotonic": ("temperature", "bias", "knots", "lean"),
}
# Isotonic regression is flat in places. This share of the temperature method keeps photos of one flat in order.
LEAN = 0.02


@dataclass(frozen=True, slots=True)
class Calibration:
    """A monotone map from scores, which are logits, to relevance.

    Attributes:
        temperature: With `bias`, the method "temperature": `sigmoid(score / temperature + bias)`.
        bias: See `temperature`.
        method: "temperature", "beta" or "isotonic".
        a: With `b` and `c`, the method "beta": `sigmoid(a ln s - b ln(1 - s) + c)`, `s = sigmoid(score)`.
        b: See `a`.
        c: See `a`.
        knots: (score, relevance) in rising order. The method "isotonic" is `1 - lean` parts of straight lines between
            them and `lean` parts of the temperature method.
        lean: See `knots`.
        losses: Cross-validated log loss of each method that was compared in the fit; not saved.
    """

    temperature: float = 1.0
    bias: float = 0.0
    method: str = "temperature"
    a: float = 1.0
    b: float = 1.0
    c: float = 0.0
    knots: tuple[tuple[float, float], ...] = ()
    lean: float = LEAN
    losses: dict[str, float] = field(default_factory=dict, compare=False)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Calibration":
        """Read what `as_dict` gave.

        Raises:
            KeyError: A number of the method is missing.
            TypeError: An entry is of another kind.
            ValueError: There is no such method.
        """
        method = {"method": "temperature", **values}["method"]
        if method not in NUMBERS:
            raise ValueError(f"no calibration method {method!r}")
        numbers = {name: values[name] for name in NUMBERS[method]}
        if method == "isotonic":
            numbers["knots"] = tuple((float(score), float(relevance)) for score, relevance in numbers["knots"])
        return cls(method=method, **numbers)

    def as_dict(self) -> dict[str, Any]:
        """Return the method and its numbers, for JSON.

        The method "temperature" goes without its name, as in rankers that knew no other.
        """
        numbers = {name: getattr(self, name) for name in NUMBERS[self.method]}
        if self.method == "temperature":
            return numbers
        if self.method == "isotonic":
            numbers["knots"] = [list(knot) for knot in self.knots]
        return {"method": self.method, **numbers}

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """Return the relevance of scores (n,) float: (n,) float32 in 0..1, never lower for a higher score."""
        if self.method == "beta":
            return sigmoid(beta_terms(scores) @ np.array([self.a, self.b]) + self.c).astype(np.float32)
        smooth = sigmoid(scores / self.temperature + self.bias)
        if self.method == "isotonic":
            smooth = (1 - self.lean) * np.interp(scores, *np.array(self.knots).T) + self.lean * smooth
        return smooth.astype(np.float32)


def beta_terms(scores: np.ndarray) -> np.ndarray:
    """Return `[ln s, -ln(1 - s)]` with `s = sigmoid(score)`, both rising with the score: (n, 2) of (n,) scores."""
    return np.stack([-np.logaddexp(0, -scores), np.logaddexp(0, scores)], axis=1)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Return `1 / (1 + exp(-v))` of any array, without overflow."""
    # This form is exact to the last digit near 0, where most relevances lie.
    return np.exp(-np.logaddexp(0, -values))
