"""Estimate the crowd's share of yes with a Beta prior: three votes are few, and most pairs get no yes at all.

    share ~ Beta(a, b),  yes | share, votes ~ Binomial(votes, share)

The number of yes is then beta-binomial, and the posterior mean share is (a + yes) / (a + b + votes).
"""

from dataclasses import dataclass

import numpy as np

# Limits of a + b, in votes, where the moments give none: all votes are equal, or each pair has one vote.
MIN_PRIOR_VOTES, MAX_PRIOR_VOTES = 0.01, 100.0
# Standard deviation of a normal prior of log a and log b, mean 0: a few pairs get a finite prior, and many outweigh it.
LOG_DEVIATION = 3.0


@dataclass(frozen=True, slots=True)
class CrowdPrior:
    """A Beta prior of the share of the crowd that says yes.

    Attributes:
        a: The prior's votes for yes, above 0.
        b: The prior's votes for no, above 0.
    """

    a: float
    b: float

    @classmethod
    def fit(cls, yes: np.ndarray, votes: np.ndarray) -> "CrowdPrior":
        """Fit the prior by empirical Bayes: maximum a posteriori of the marginal likelihood, begun at the moments.

        Args:
            yes: How many voters said yes of each pair, (pairs,) int, 0 to `votes`.
            votes: How many voters there were, (pairs,) int, 1 or more.

        Returns:
            The fitted prior.

        Raises:
            ValueError: There are no pairs, or votes are out of range.

        References:
            Morris 1983, "Parametric empirical Bayes inference: theory and applications", JASA 78.
        """
        from scipy.optimize import minimize
        from scipy.special import betaln

        yes, votes = _check_some(yes, votes)
        rows, counts = np.unique(np.stack([yes, votes], axis=1), axis=0, return_counts=True)

        def loss(parameters: np.ndarray) -> float:
            a, b = np.exp(parameters)
            # The binomial coefficients do not depend on a and b.
            logs = counts @ (betaln(rows[:, 0] + a, rows[:, 1] - rows[:, 0] + b) - betaln(a, b))
            return float((0.5 * (parameters**2).sum() / LOG_DEVIATION**2 - logs) / len(yes))

        start = cls.from_moments(yes, votes)
        a, b = np.exp(minimize(loss, np.log([start.a, start.b]), method="Nelder-Mead", options={"xatol": 1e-6}).x)
        return cls(float(a), float(b))

    @classmethod
    def from_moments(cls, yes: np.ndarray, votes: np.ndarray) -> "CrowdPrior":
        """Fit the prior to the mean and the variance of the shares, pairs weighted by their votes.

        Args:
            yes: How many voters said yes of each pair, (pairs,) int, 0 to `votes`.
            votes: How many voters there were, (pairs,) int, 1 or more.

        Returns:
            The fitted prior.

        Raises:
            ValueError: There are no pairs, or votes are out of range.

        References:
            Kleinman 1973, "Proportions with extraneous variance: single and independent samples", JASA 68.
        """
        yes, votes = _check_some(yes, votes)
        shares, weights = yes / votes, votes / votes.sum()
        # Without any yes, or any no, half a vote keeps the mean inside 0 to 1.
        mean = float(np.clip(weights @ shares, 0.5 / votes.sum(), 1 - 0.5 / votes.sum()))
        variance = float(weights @ (shares - mean) ** 2)
        # With w the weights and rho = 1 / (a + b + 1):
        # E[variance] = mean (1 - mean) (sum w (1 - w) / votes + rho sum w (1 - w) (1 - 1 / votes))
        inner = weights * (1 - weights)
        by_chance, beyond_chance = float((inner / votes).sum()), float((inner * (1 - 1 / votes)).sum())
        excess = variance / (mean * (1 - mean)) - by_chance
        rho = excess / beyond_chance if beyond_chance > 0 else 0.5
        total = float(np.clip(1 / max(rho, 1e-9) - 1, MIN_PRIOR_VOTES, MAX_PRIOR_VOTES))
        return cls(max(mean * total, MIN_PRIOR_VOTES), max((1 - mean) * total, MIN_PRIOR_VOTES))

    def share(self, yes: np.ndarray, votes: np.ndarray) -> np.ndarray:
        """Estimate the share of yes by its posterior mean; the more votes, the less the prior counts.

        Args:
            yes: How many voters said yes of each pair, (pairs,) int, 0 to `votes`.
            votes: How many voters there were, (pairs,) int, 1 or more.

        Returns:
            The posterior mean share, (pairs,) float64.

        Raises:
            ValueError: Votes are out of range.
        """
        yes, votes = _check(yes, votes)
        return np.asarray((yes + self.a) / (votes + self.a + self.b))


def _check(yes: np.ndarray, votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays, or raise ValueError where votes are out of range."""
    yes, votes = np.asarray(yes), np.asarray(votes)
    if not ((yes >= 0) & (yes <= votes) & (votes >= 1)).all():
        raise ValueError("votes must be 1 or more, with 0 to all of them yes")
    return yes, votes


def _check_some(yes: np.ndarray, votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays, or raise ValueError where there are none or votes are out of range."""
    yes, votes = _check(yes, votes)
    if not len(yes):
        raise ValueError("a crowd prior needs at least one pair with votes")
    return yes, votes
