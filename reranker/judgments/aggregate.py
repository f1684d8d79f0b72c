"""Aggregate what several people said of a pair into one number from 0 to 1, the generalised score."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from reranker.judgments.judged_folder import CrowdRow, ExpertRow

# Weight of the experts beside the crowd: three experts who see the pair for minutes against three clicks.
EXPERT_WEIGHT = 0.7

# (photo, caption id)
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PairScore:
    """The generalised score of a pair, from 0 to 1, and whether experts' grades are in it."""

    score: float
    by_experts: bool


Aggregation = Callable[[Sequence[ExpertRow], Sequence[CrowdRow]], dict[Pair, PairScore]]


def expert_majority(grades: Sequence[int]) -> float | None:
    """Return the grade that two or more of three experts gave, scaled from 1..4 to 0..1, or None."""
    values, counts = np.unique(np.asarray(grades), return_counts=True)
    best = int(counts.argmax())
    return float(values[best] - 1) / 3 if counts[best] >= 2 else None


def expert_mean(grades: Sequence[int]) -> float:
    """Return the mean grade, scaled from 1..4 to 0..1."""
    return (sum(grades) / len(grades) - 1) / 3


def weighted(expert: float | None, crowd: float | None, weight: float = EXPERT_WEIGHT) -> float | None:
    """Return `weight * expert + (1 - weight) * crowd`, or the one that there is; None where there is neither."""
    if expert is None:
        return crowd
    if crowd is None:
        return expert
    return weight * expert + (1 - weight) * crowd


def join_sides(
    experts: dict[Pair, float | None], shares: dict[Pair, float], weight: float = EXPERT_WEIGHT
) -> dict[Pair, PairScore]:
    """Join the experts' score and the crowd's score of each pair; a pair that has neither is left out."""
    scores = {}
    for pair in {**experts, **shares}:
        of_experts = experts.get(pair)
        score = weighted(of_experts, shares.get(pair), weight)
        if score is not None:
            scores[pair] = PairScore(score, of_experts is not None)
    return scores


def majority(expert: Sequence[ExpertRow], crowd: Sequence[CrowdRow]) -> dict[Pair, PairScore]:
    """Score pairs by the experts' majority grade and the crowd's share of yes, 0.7 to 0.3.

    Expert rows without a majority are dropped; such a pair stays if the crowd judged it.
    """
    experts = {(row.photo, row.caption): expert_majority(row.grades) for row in expert}
    return join_sides(experts, {(row.photo, row.caption): row.share for row in crowd})


def mean(expert: Sequence[ExpertRow], crowd: Sequence[CrowdRow]) -> dict[Pair, PairScore]:
    """Score pairs as `majority` does, by the experts' mean grade; no row is dropped."""
    experts: dict[Pair, float | None] = {(row.photo, row.caption): expert_mean(row.grades) for row in expert}
    return join_sides(experts, {(row.photo, row.caption): row.share for row in crowd})


AGGREGATIONS: dict[str, Aggregation] = {"majority": majority, "mean": mean}
