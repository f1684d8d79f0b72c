"""Aggregate the judgments of several people of a pair into one number from 0 to 1, the generalised score."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from reranker.judgments.judgments import CrowdRow, ExpertRow

# Weight of the experts in the generalised score; that of the crowd is the rest. Experts look at a pair for longer.
EXPERT_WEIGHT = 0.7

# (photo, caption id)
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PairScore:
    """The generalised score of a pair.

    Attributes:
        score: From 0, does not fit, to 1, fits.
        by_experts: Whether experts' grades are in it.
    """

    score: float
    by_experts: bool


Aggregation = Callable[[Sequence[ExpertRow], Sequence[CrowdRow]], dict[Pair, PairScore]]


def expert_majority(grades: Sequence[int]) -> float | None:
    """Return the grade that two or more of the experts gave, scaled from 1..4 to 0..1; None where all differ."""
    values, counts = np.unique(np.asarray(grades), return_counts=True)
    best = int(counts.argmax())
    return float(values[best] - 1) / 3 if counts[best] >= 2 else None


def expert_mean(grades: Sequence[int]) -> float:
    """Return the mean grade, scaled from 1..4 to 0..1."""
    return (sum(grades) / len(grades) - 1) / 3


def weighted(expert: float | None, crowd: float | None, weight: float = EXPERT_WEIGHT) -> float | None:
    """Return the weighted mean of two scores.

    Args:
        expert: The experts' score, None where there is none.
        crowd: The crowd's score, None where there is none.
        weight: Weight of the experts' score, in 0..1; that of the crowd's is the rest.

    Returns:
        The mean; the other score where one is missing, None where both are.
    """
    if expert is None:
        return crowd
    if crowd is None:
        return expert
    return weight * expert + (1 - weight) * crowd


def join_sides(
    experts: dict[Pair, float | None], shares: dict[Pair, float], weight: float = EXPERT_WEIGHT
) -> dict[Pair, PairScore]:
    """Join the experts' and the crowd's score of each pair.

    Args:
        experts: Pair -> the experts' score, None where they have none.
        shares: Pair -> the crowd's share of yes.
        weight: Weight of the experts' score, in 0..1.

    Returns:
        Pair -> generalised score; a pair that has neither score is left out.
    """
    scores = {}
    for pair in {**experts, **shares}:
        by_experts = experts.get(pair)
        score = weighted(by_experts, shares.get(pair), weight)
        if score is not None:
            scores[pair] = PairScore(score, by_experts is not None)
    return scores


def majority(expert: Sequence[ExpertRow], crowd: Sequence[CrowdRow]) -> dict[Pair, PairScore]:
    """Score pairs by the experts' majority grade and the crowd's share of yes, weighted 0.7 to 0.3.

    Expert rows without a majority are dropped; such a pair stays if the crowd judged it.

    Args:
        expert: The experts' grades.
        crowd: The crowd's votes.

    Returns:
        Pair -> generalised score.
    """
    experts = {(row.photo, row.caption): expert_majority(row.grades) for row in expert}
    return join_sides(experts, {(row.photo, row.caption): row.share for row in crowd})


def mean(expert: Sequence[ExpertRow], crowd: Sequence[CrowdRow]) -> dict[Pair, PairScore]:
    """Score pairs by the experts' mean grade and the crowd's share of yes, weighted 0.7 to 0.3.

    Args:
        expert: The experts' grades; no row is dropped.
        crowd: The crowd's votes.

    Returns:
        Pair -> generalised score.
    """
    experts: dict[Pair, float | None] = {(row.photo, row.caption): expert_mean(row.grades) for row in expert}
    return join_sides(experts, {(row.photo, row.caption): row.share for row in crowd})


AGGREGATIONS: dict[str, Aggregation] = {"majority": majority, "mean": mean}
