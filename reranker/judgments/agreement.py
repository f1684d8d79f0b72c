"""Measure how well people agree: experts with each other, experts with the crowd."""

from collections.abc import Sequence

import numpy as np

from reranker.judgments.aggregate import expert_mean
from reranker.judgments.judgments import CrowdRow, ExpertRow
from reranker.metrics.bootstrap import Measured, bootstrap_interval
from reranker.metrics.rank_correlation import kendall_tau_b

# Grades go from 1 to this.
LEVELS = 4
# Bootstrap draws of an interval.
RESAMPLES = 500


def krippendorff_alpha(grades: np.ndarray) -> float:
    """Return Krippendorff's alpha for ordinal grades.

    Only how often each grade was given to a pair matters, so the raters of two pairs need not be the same people.

    Args:
        grades: (pairs, raters) int in 1..4.

    Returns:
        1 for agreement, 0 for chance, below 0 for less than chance; NaN where all grades are equal, because then
        the disagreement by chance, by which alpha divides, is 0.

    References:
        K. Krippendorff, "Content Analysis", 2nd edition, Sage (2004), chapter 11.
    """
    from krippendorff import alpha

    counts = np.stack([(np.asarray(grades) == level).sum(axis=1) for level in range(1, LEVELS + 1)], axis=1)
    if (counts.sum(axis=0) > 0).sum() < 2:
        return float("nan")
    return float(alpha(value_counts=counts, level_of_measurement="ordinal"))


def expert_agreement(expert: Sequence[ExpertRow], resamples: int = RESAMPLES) -> Measured:
    """Measure the agreement of the experts with each other.

    Args:
        expert: The experts' grades, of one pair or more.
        resamples: Bootstrap draws; photos are drawn whole.

    Returns:
        Krippendorff's alpha with its interval.
    """
    grades = np.array([row.grades for row in expert])
    return bootstrap_interval([row.photo for row in expert], lambda rows: krippendorff_alpha(grades[rows]), resamples)


def expert_crowd_agreement(
    expert: Sequence[ExpertRow], crowd: Sequence[CrowdRow], resamples: int = RESAMPLES
) -> Measured | None:
    """Measure the agreement of the experts with the crowd, over the pairs that both judged.

    Args:
        expert: The experts' grades.
        crowd: The crowd's votes.
        resamples: Bootstrap draws; photos are drawn whole.

    Returns:
        Kendall's tau-b of the experts' mean grade and the crowd's share of yes, with its interval; None where fewer
        than two pairs have both.
    """
    shares = {(row.photo, row.caption): row.share for row in crowd}
    both = [row for row in expert if (row.photo, row.caption) in shares]
    if len(both) < 2:
        return None
    mean = np.array([expert_mean(row.grades) for row in both])
    share = np.array([shares[row.photo, row.caption] for row in both])
    return bootstrap_interval(
        [row.photo for row in both], lambda rows: kendall_tau_b(mean[rows], share[rows]), resamples
    )
