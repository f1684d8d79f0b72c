"""A prior for the crowd's share of yes: three votes are few, and most pairs get no yes at all.

    share ~ Beta(a, b),  yes | share, votes ~ Binomial(votes, share)

so `yes` is beta-binomial, and the posterior mean share is (a + yes) / (a + b + votes). `a` and `b` come from the votes
themselves: empirical Bayes (Morris 1983, "Parametric empirical Bayes inference: theory and applications", JASA 78).
"""

from dataclasses import dataclass

import numpy as np

# Where moments have no answer (all votes alike, one vote a pair), a + b is kept within these.
LEAST_WEIGHT, MOST_WEIGHT = 0.01, 100.0
# Deviation of a weak normal prior of log a and log b, centred on 0: finite for a handful of pairs, lost among many.
LOG_DEVIATION = 3.0


@dataclass(frozen=True, slots=True)
class CrowdPrior:
    """A Beta prior: as if `a` more people had said yes and `b` more no; both above 0."""

    a: float
    b: float

    @classmethod
    def fit(cls, yes: np.ndarray, votes: np.ndarray) -> "CrowdPrior":
        """Maximum a posteriori of the marginal likelihood, from the moments on.

        yes, votes: (pairs,) int, 0 <= yes <= votes, votes >= 1.
        Raises ValueError without pairs or with votes that cannot be.
        """
        from scipy.optimize import minimize
        from scipy.special import betaln

        yes, votes = _checked(yes, votes)
        if not len(yes):
            raise ValueError("a crowd prior needs at least one pair with votes")
        rows, counts = np.unique(np.stack([yes, votes], axis=1), axis=0, return_counts=True)

        def loss(parameters: np.ndarray) -> float:
            a, b = np.exp(parameters)
            # The binomial coefficients do not depend on a and b.
            logs = counts @ (betaln(rows[:, 0] + a, rows[:, 1] - rows[:, 0] + b) - betaln(a, b))
            return float((0.5 * (parameters**2).sum() / LOG_DEVIATION**2 - logs) / len(yes))

        begin = cls.from_moments(yes, votes)
        a, b = np.exp(minimize(loss, np.log([begin.a, begin.b]), method="Nelder-Mead", options={"xatol": 1e-6}).x)
        return cls(float(a), float(b))

    @classmethod
    def from_moments(cls, yes: np.ndarray, votes: np.ndarray) -> "CrowdPrior":
        """From mean and variance of the shares, pairs weighed by their votes (Kleinman 1973, "Proportions with
        extraneous variance", JASA 68); the same arguments and errors as `fit`."""
        yes, votes = _checked(yes, votes)
        if not len(yes):
            raise ValueError("a crowd prior needs at least one pair with votes")
        share, weight = yes / votes, votes / votes.sum()
        # Without any yes, or any no, half a vote keeps the mean inside.
        mean = float(np.clip(weight @ share, 0.5 / votes.sum(), 1 - 0.5 / votes.sum()))
        spread = float(weight @ (share - mean) ** 2)
        # E[spread] = mean (1 - mean) (sum w (1 - w) / votes + rho sum w (1 - w) (1 - 1 / votes)); rho = 1 / (a + b + 1)
        inner = weight * (1 - weight)
        by_chance, beyond = float((inner / votes).sum()), float((inner * (1 - 1 / votes)).sum())
        excess = spread / (mean * (1 - mean)) - by_chance
        rho = excess / beyond if beyond > 0 else 0.5
        total = float(np.clip(1 / max(rho, 1e-9) - 1, LEAST_WEIGHT, MOST_WEIGHT))
        return cls(max(mean * total, LEAST_WEIGHT), max((1 - mean) * total, LEAST_WEIGHT))

    def share(self, yes: np.ndarray, votes: np.ndarray) -> np.ndarray:
        """Posterior mean share of yes, (pairs,) float64; arguments as `fit`. More votes leave less to the prior."""
        yes, votes = _checked(yes, votes)
        return np.asarray((yes + self.a) / (votes + self.a + self.b))


def _checked(yes: np.ndarray, votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    yes, votes = np.asarray(yes), np.asarray(votes)
    if not ((yes >= 0) & (yes <= votes) & (votes >= 1)).all():
        raise ValueError("votes must be 1 or more, with 0 to all of them yes")
    return yes, votes
