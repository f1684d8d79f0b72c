"""Measure how far people agree: experts with each other, experts with the crowd."""

from collections.abc import Sequence

import numpy as np

from reranker.judgments.aggregate import expert_mean
from reranker.judgments.judged_folder import CrowdRow, ExpertRow
from reranker.metrics.metrics import interval, kendall_tau_b

LEVELS = 4
RESAMPLES = 500


def krippendorff_alpha(grades: np.ndarray) -> float:
    """Krippendorff's alpha for ordinal grades (Krippendorff 2004, "Content Analysis", chapter 11): 1 is agreement, 0
    is chance. It needs no rater identities, so sorted grades do.

    grades: (pairs, raters) int in 1..4. NaN where all grades are the same, which leaves no chance to compare with.
    """
    from krippendorff import alpha

    counts = np.stack([(np.asarray(grades) == level).sum(axis=1) for level in range(1, LEVELS + 1)], axis=1)
    if (counts.sum(axis=0) > 0).sum() < 2:
        return float("nan")
    return float(alpha(value_counts=counts, level_of_measurement="ordinal"))


def expert_agreement(expert: Sequence[ExpertRow], resamples: int = RESAMPLES) -> dict[str, float]:
    """Alpha of the experts: `value`, `low`, `high` (95 % bootstrap, photos drawn whole)."""
    grades = np.array([row.grades for row in expert])
    return interval([row.photo for row in expert], lambda rows: krippendorff_alpha(grades[rows]), resamples)


def expert_crowd_agreement(
    expert: Sequence[ExpertRow], crowd: Sequence[CrowdRow], resamples: int = RESAMPLES
) -> dict[str, float] | None:
    """Kendall's tau-b of the experts' mean grade and the crowd's share of yes, over the pairs that have both: `value`,
    `low`, `high` (95 % bootstrap, photos drawn whole); None where fewer than two pairs have both."""
    shares = {(row.photo, row.caption): row.share for row in crowd}
    both = [row for row in expert if (row.photo, row.caption) in shares]
    if len(both) < 2:
        return None
    mean = np.array([expert_mean(row.grades) for row in both])
    share = np.array([shares[row.photo, row.caption] for row in both])
    return interval([row.photo for row in both], lambda rows: kendall_tau_b(mean[rows], share[rows]), resamples)
