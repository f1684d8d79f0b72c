"""The generalised score: what several people said of a pair, as one number from 0 to 1."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from reranker.crowd_prior import CrowdPrior
from reranker.expert_weight import choose_expert_weight
from reranker.graded_response import GradedResponse
from reranker.judgments import CrowdRow, ExpertRow

# Three experts who see the pair for minutes against three clicks: see `combined`.
EXPERT_WEIGHT = 0.7

Method = Literal["majority", "mean", "latent", "combined"]
METHODS: tuple[Method, ...] = get_args(Method)


def expert_majority(grades: Sequence[int]) -> float | None:
    """The grade that two or more of three experts gave, scaled from 1..4 to 0..1; None where all three differ."""
    values, counts = np.unique(np.asarray(grades), return_counts=True)
    best = int(counts.argmax())
    return float(values[best] - 1) / 3 if counts[best] >= 2 else None


def expert_mean(grades: Sequence[int]) -> float:
    """The mean grade, scaled from 1..4 to 0..1."""
    return (sum(grades) / len(grades) - 1) / 3


def combined(expert: float | None, crowd: float | None, weight: float = EXPERT_WEIGHT) -> float | None:
    """`weight x expert + (1 - weight) x crowd` where a pair has both, 0.7 and 0.3 by default; else the one it has; None
    where it has neither."""
    if expert is None:
        return crowd
    if crowd is None:
        return expert
    return weight * expert + (1 - weight) * crowd


def generalised_scores(
    expert: Sequence[ExpertRow], crowd: Sequence[CrowdRow], method: Method = "majority"
) -> dict[tuple[str, str], tuple[float, bool]]:
    """(photo, caption) -> (score, whether experts' grades are in it), for every pair that has one.

    method:
      "majority"  the experts' majority grade and the crowd's share of yes, 0.7 to 0.3. Expert rows without a majority
                  are dropped; such a pair stays if the crowd judged it.
      "mean"      the experts' mean grade instead: no row is dropped.
      "latent"    the posterior mean grade of a graded-response model, and the posterior mean share under a Beta prior,
                  both fitted on these judgments.
      "combined"  as "latent", with the weight that held-out photos choose (`expert_weight.py`), or 0.7 where too few
                  pairs have both.
    """
    if method in ("majority", "mean"):
        of_grades = expert_majority if method == "majority" else expert_mean
        experts = {(row.photo, row.caption): of_grades(row.grades) for row in expert}
        shares = {(row.photo, row.caption): row.share for row in crowd}
        weight = EXPERT_WEIGHT
    else:
        experts, shares = _posterior_grades(expert), _posterior_shares(crowd)
        chosen = choose_expert_weight(expert, crowd, resamples=0) if method == "combined" else None
        weight = EXPERT_WEIGHT if chosen is None else chosen.weight
    scores = {}
    for pair in {**experts, **shares}:
        of_experts = experts.get(pair)
        score = combined(of_experts, shares.get(pair), weight)
        if score is not None:
            scores[pair] = (score, of_experts is not None)
    return scores


def _posterior_grades(expert: Sequence[ExpertRow]) -> dict[tuple[str, str], float | None]:
    if not expert:
        return {}
    grades = np.array([row.grades for row in expert])
    scores = GradedResponse.fit(grades).score(grades).tolist()
    return {(row.photo, row.caption): score for row, score in zip(expert, scores, strict=True)}


def _posterior_shares(crowd: Sequence[CrowdRow]) -> dict[tuple[str, str], float]:
    if not crowd:
        return {}
    yes, votes = np.array([(row.yes, row.yes + row.no) for row in crowd]).T
    shares = CrowdPrior.fit(yes, votes).share(yes, votes).tolist()
    return {(row.photo, row.caption): share for row, share in zip(crowd, shares, strict=True)}
