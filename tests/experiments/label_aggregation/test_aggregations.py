import numpy as np
import pytest

from experiments.label_aggregation.aggregations import combined, latent
from experiments.label_aggregation.crowd_prior import CrowdPrior
from experiments.label_aggregation.expert_weight import choose_expert_weight
from experiments.label_aggregation.graded_response import GradedResponse
from reranker.judgments.aggregate import PairScore
from reranker.judgments.judgments import CrowdRow, ExpertRow


def judged(pairs: int, noise: float = 0.5) -> tuple[list[ExpertRow], list[CrowdRow]]:
    generator = np.random.default_rng(0)
    quality = generator.standard_normal(pairs)
    seen = quality[:, None] + noise * generator.standard_normal((pairs, 3))
    grades = np.sort(1 + (seen[:, :, None] > [-0.5, 0.5, 1.5]).sum(axis=2), axis=1)
    yes = generator.binomial(3, 1 / (1 + np.exp(-3 * quality)))
    names = [(f"{i % 50}.jpg", f"{i}#0") for i in range(pairs)]
    expert = [ExpertRow(*name, tuple(row)) for name, row in zip(names, grades.tolist(), strict=True)]
    return expert, [CrowdRow(*name, int(n), 3 - int(n)) for name, n in zip(names, yes, strict=True)]


def test_the_latent_score_is_of_both_posterior_means_with_the_usual_weight():
    expert, crowd = judged(400)
    alone = [CrowdRow("x.jpg", "0#0", 2, 1)]
    scores = latent(expert, [*crowd, *alone])
    grades = np.array([row.grades for row in expert])
    yes, votes = np.array([(row.yes, row.yes + row.no) for row in [*crowd, *alone]]).T
    quality = GradedResponse.fit(grades).score(grades)
    share = CrowdPrior.fit(yes, votes).share(yes, votes)
    expected = {
        (row.photo, row.caption): PairScore(pytest.approx(0.7 * quality[i] + 0.3 * share[i]), True)
        for i, row in enumerate(expert)
    }
    assert scores == {**expected, ("x.jpg", "0#0"): PairScore(pytest.approx(share[-1]), False)}


def test_the_combined_score_has_the_weight_that_held_out_photos_choose():
    expert, crowd = judged(1500, noise=1.5)
    chosen = choose_expert_weight(expert, crowd, resamples=0)
    assert chosen is not None
    assert chosen.weight != pytest.approx(0.7)
    found = combined(expert, crowd)
    grades = np.array([row.grades for row in expert])
    yes, votes = np.array([(row.yes, 3) for row in crowd]).T
    experts, shares = GradedResponse.fit(grades).score(grades), CrowdPrior.fit(yes, votes).share(yes, votes)
    for i, row in enumerate(expert):
        pair = (row.photo, row.caption)
        expected = chosen.weight * experts[i] + (1 - chosen.weight) * shares[i]
        assert found[pair] == PairScore(pytest.approx(expected), True)
    assert found != latent(expert, crowd)


def test_with_too_few_pairs_to_choose_the_combined_score_is_the_latent_one():
    expert, crowd = judged(60)
    assert combined(expert, crowd) == latent(expert, crowd)
