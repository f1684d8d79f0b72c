"""The generalised score: what several people said of a pair, as one number from 0 to 1."""

from collections.abc import Sequence

import numpy as np

from reranker.judgments import CrowdRow, ExpertRow

# Three experts who see the pair for minutes against three clicks: see `combined`.
EXPERT_WEIGHT = 0.7


def expert_majority(grades: Sequence[int]) -> float | None:
    """The grade that two or more of three experts gave, scaled from 1..4 to 0..1; None where all three differ."""
    values, counts = np.unique(np.asarray(grades), return_counts=True)
    best = int(counts.argmax())
    return float(values[best] - 1) / 3 if counts[best] >= 2 else None


def combined(expert: float | None, crowd: float | None) -> float | None:
    """`0.7 x expert + 0.3 x crowd` where a pair has both; else the one it has; None where it has neither."""
    if expert is None:
        return crowd
    if crowd is None:
        return expert
    return EXPERT_WEIGHT * expert + (1 - EXPERT_WEIGHT) * crowd


def generalised_scores(
    expert: Sequence[ExpertRow], crowd: Sequence[CrowdRow]
) -> dict[tuple[str, str], tuple[float, bool]]:
    """(photo, caption) -> (score, whether an expert majority is in it), for every pair that has one.

    Expert rows without a majority are dropped; such a pair stays if the crowd judged it.
    """
    experts = {(row.photo, row.caption): expert_majority(row.grades) for row in expert}
    shares = {(row.photo, row.caption): row.share for row in crowd}
    scores = {}
    for pair in {**experts, **shares}:
        majority = experts.get(pair)
        score = combined(majority, shares.get(pair))
        if score is not None:
            scores[pair] = (score, majority is not None)
    return scores
