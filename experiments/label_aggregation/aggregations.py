"""Aggregate judgments by posterior means: a graded-response model for experts, a Beta prior for the crowd."""

from collections.abc import Sequence

import numpy as np

from experiments.label_aggregation.crowd_prior import CrowdPrior
from experiments.label_aggregation.expert_weight import choose_expert_weight
from experiments.label_aggregation.graded_response import GradedResponse
from reranker.judgments.aggregate import AGGREGATIONS, EXPERT_WEIGHT, Aggregation, Pair, PairScore, join_sides
from reranker.judgments.judgments import CrowdRow, ExpertRow


def latent(expert: Sequence[ExpertRow], crowd: Sequence[CrowdRow]) -> dict[Pair, PairScore]:
    """Score pairs by posterior mean grade and posterior mean share of yes, weighted 0.7 to 0.3.

    Args:
        expert: The experts' grades, which the graded-response model is fitted to.
        crowd: The crowd's votes, which the prior is fitted to.

    Returns:
        The score from 0 to 1 of every pair that anybody judged.
    """
    return join_sides(_posterior_grades(expert), _posterior_shares(crowd))


def combined(expert: Sequence[ExpertRow], crowd: Sequence[CrowdRow]) -> dict[Pair, PairScore]:
    """Score pairs as `latent` does, with the expert weight that held-out photos choose.

    Args:
        expert: The experts' grades.
        crowd: The crowd's votes.

    Returns:
        The score from 0 to 1 of every pair that anybody judged; that of `latent` where too few pairs have both kinds
        of judgment to choose a weight.
    """
    chosen = choose_expert_weight(expert, crowd, resamples=0)
    weight = EXPERT_WEIGHT if chosen is None else chosen.weight
    return join_sides(_posterior_grades(expert), _posterior_shares(crowd), weight)


ALL_AGGREGATIONS: dict[str, Aggregation] = {**AGGREGATIONS, "latent": latent, "combined": combined}


def _posterior_grades(expert: Sequence[ExpertRow]) -> dict[Pair, float | None]:
    """Return the posterior mean grade of each pair, scaled to 0..1."""
    if not expert:
        return {}
    grades = np.array([row.grades for row in expert])
    scores = GradedResponse.fit(grades).score(grades).tolist()
    return {(row.photo, row.caption): score for row, score in zip(expert, scores, strict=True)}


def _posterior_shares(crowd: Sequence[CrowdRow]) -> dict[Pair, float]:
    """Return the posterior mean share of yes of each pair."""
    if not crowd:
        return {}
    yes, votes = np.array([(row.yes, row.yes + row.no) for row in crowd]).T
    shares = CrowdPrior.fit(yes, votes).share(yes, votes).tolist()
    return {(row.photo, row.caption): share for row, share in zip(crowd, shares, strict=True)}
