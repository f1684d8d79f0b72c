import pytest

from reranker.judgments import CrowdRow, ExpertRow
from reranker.scores import combined, expert_majority, generalised_scores


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


def test_nothing_judged_gives_no_scores():
    assert generalised_scores([], []) == {}
