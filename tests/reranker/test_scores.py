import numpy as np
import pytest

from reranker.crowd_prior import CrowdPrior
from reranker.expert_weight import choose_expert_weight
from reranker.graded_response import GradedResponse
from reranker.judgments import CrowdRow, ExpertRow
from reranker.scores import METHODS, combined, expert_majority, expert_mean, generalised_scores


@pytest.mark.parametrize(
    ("grades", "score"),
    [
        ((1, 1, 1), 0.0),
        ((4, 4, 4), 1.0),
        ((1, 1, 4), 0.0),
        ((1, 2, 2), 1 / 3),  # (2 - 1) / 3
        ((3, 2, 3), 2 / 3),  # (3 - 1) / 3, in any order
        ((4, 1, 4), 1.0),
        ((1, 2, 3), None),
        ((4, 2, 1), None),
    ],
)
def test_the_majority_is_the_grade_that_two_experts_gave_scaled_to_one(grades, score):
    assert expert_majority(grades) == score


def test_both_kinds_combine_seven_to_three_and_one_alone_stands_for_itself():
    # 0.7 x 2/3 + 0.3 x 1/3 = 1.4/3 + 0.3/3 = 17/30
    assert combined(2 / 3, 1 / 3) == pytest.approx(17 / 30)
    assert combined(1.0, 0.0) == pytest.approx(0.7)
    assert combined(1.0, 0.0, 0.6) == pytest.approx(0.6)
    assert combined(0.0, 1.0) == pytest.approx(0.3)
    assert combined(1 / 3, None) == 1 / 3
    assert combined(None, 0.25) == 0.25
    assert combined(None, None) is None


def test_rows_without_a_majority_are_dropped_unless_the_crowd_judged_the_pair():
    expert = [
        ExpertRow("a.jpg", "1", (1, 2, 3)),  # no majority, no crowd: dropped
        ExpertRow("a.jpg", "2", (1, 2, 3)),  # no majority: the crowd's share alone
        ExpertRow("a.jpg", "3", (4, 4, 3)),  # 0.7 x 1 + 0.3 x 1/2 = 0.85
        ExpertRow("b.jpg", "3", (2, 2, 1)),  # the experts alone: 1/3
    ]
    crowd = [
        CrowdRow("a.jpg", "2", 3, 1),
        CrowdRow("a.jpg", "3", 1, 1),
        CrowdRow("b.jpg", "4", 0, 3),  # the crowd alone: 0
    ]
    scores = generalised_scores(expert, crowd)
    assert {pair: (pytest.approx(score), expert) for pair, (score, expert) in scores.items()} == {
        ("a.jpg", "2"): (0.75, False),
        ("a.jpg", "3"): (0.85, True),
        ("b.jpg", "3"): (1 / 3, True),
        ("b.jpg", "4"): (0.0, False),
    }


@pytest.mark.parametrize("method", METHODS)
def test_nothing_judged_gives_no_scores(method):
    assert generalised_scores([], [], method) == {}


def test_the_mean_drops_no_row():
    assert expert_mean((1, 2, 4)) == pytest.approx(4 / 9)  # (7 / 3 - 1) / 3
    expert = [ExpertRow("a.jpg", "1", (1, 2, 3)), ExpertRow("a.jpg", "2", (4, 4, 3))]
    scores = generalised_scores(expert, [CrowdRow("a.jpg", "2", 1, 1)], "mean")
    # 0.7 x 8/9 + 0.3 x 1/2
    expected = {("a.jpg", "1"): (pytest.approx(1 / 3), True), ("a.jpg", "2"): (pytest.approx(5.6 / 9 + 0.15), True)}
    assert scores == expected


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
    scores = generalised_scores(expert, [*crowd, *alone], "latent")
    grades = np.array([row.grades for row in expert])
    yes, votes = np.array([(row.yes, row.yes + row.no) for row in [*crowd, *alone]]).T
    quality = GradedResponse.fit(grades).score(grades)
    share = CrowdPrior.fit(yes, votes).share(yes, votes)
    expected = {
        (row.photo, row.caption): (pytest.approx(0.7 * quality[i] + 0.3 * share[i]), True)
        for i, row in enumerate(expert)
    }
    assert scores == {**expected, ("x.jpg", "0#0"): (pytest.approx(share[-1]), False)}


def test_the_combined_score_has_the_weight_that_held_out_photos_choose():
    expert, crowd = judged(1500, noise=1.5)
    chosen = choose_expert_weight(expert, crowd, resamples=0)
    assert chosen is not None
    assert chosen.weight != pytest.approx(0.7)
    found, latent = (generalised_scores(expert, crowd, method) for method in ("combined", "latent"))
    grades = np.array([row.grades for row in expert])
    yes, votes = np.array([(row.yes, 3) for row in crowd]).T
    experts, shares = GradedResponse.fit(grades).score(grades), CrowdPrior.fit(yes, votes).share(yes, votes)
    for i, row in enumerate(expert):
        pair = (row.photo, row.caption)
        assert found[pair] == (pytest.approx(chosen.weight * experts[i] + (1 - chosen.weight) * shares[i]), True)
    assert found != latent


def test_with_too_few_pairs_to_choose_the_combined_score_is_the_latent_one():
    expert, crowd = judged(60)
    assert generalised_scores(expert, crowd, "combined") == generalised_scores(expert, crowd, "latent")
