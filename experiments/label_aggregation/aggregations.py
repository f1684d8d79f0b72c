"""Aggregate judgments by their posterior means: a graded-response model for experts, a Beta prior for the crowd."""

from collections.abc import Sequence

import numpy as np

from experiments.label_aggregation.crowd_prior import CrowdPrior
from experiments.label_aggregation.expert_weight import choose_expert_weight
from experiments.label_aggregation.graded_response import GradedResponse
from reranker.judgments.aggregate import AGGREGATIONS, EXPERT_WEIGHT, Aggregation, Pair, PairScore, join_sides
from reranker.judgments.judged_folder import CrowdRow, ExpertRow


def latent(expert: Sequence[ExpertRow], crowd: Sequence[CrowdRow]) -> dict[Pair, PairScore]:
    """Score pairs by posterior mean grade and posterior mean share, 0.7 to 0.3, both models fitted on these rows."""
    return join_sides(_posterior_grades(expert), _posterior_shares(crowd))


def combined(expert: Sequence[ExpertRow], crowd: Sequence[CrowdRow]) -> dict[Pair, PairScore]:
    """Score pairs as `latent` does, with the weight that held-out photos choose; 0.7 where too few pairs have both."""
    chosen = choose_expert_weight(expert, crowd, resamples=0)
    weight = EXPERT_WEIGHT if chosen is None else chosen.weight
    return join_sides(_posterior_grades(expert), _posterior_shares(crowd), weight)


ALL_AGGREGATIONS: dict[str, Aggregation] = {**AGGREGATIONS, "latent": latent, "combined": combined}


def _posterior_grades(expert: Sequence[ExpertRow]) -> dict[Pair, float | None]:
    if not expert:
        return {}
    grades = np.array([row.grades for row in expert])
    scores = GradedResponse.fit(grades).score(grades).tolist()
    return {(row.photo, row.caption): score for row, score in zip(expert, scores, strict=True)}


def _posterior_shares(crowd: Sequence[CrowdRow]) -> dict[Pair, float]:
    if not crowd:
        return {}
    yes, votes = np.array([(row.yes, row.yes + row.no) for row in crowd]).T
    shares = CrowdPrior.fit(yes, votes).share(yes, votes).tolist()
    return {(row.photo, row.caption): share for row, share in zip(crowd, shares, strict=True)}
