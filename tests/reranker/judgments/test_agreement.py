import numpy as np
import pytest
from scipy.stats import kendalltau

from reranker.judgments.agreement import expert_agreement, expert_crowd_agreement, krippendorff_alpha
from reranker.judgments.judgments import CrowdRow, ExpertRow


def by_definition(grades: np.ndarray) -> float:
    """1 - observed / expected disagreement, pair by pair (Krippendorff 2004): an oracle in loops."""
    values = grades.reshape(-1)
    n = np.array([(values == level).sum() for level in range(1, 5)])

    def distance(a: int, b: int) -> float:
        low, high = min(a, b), max(a, b)
        return float(n[low - 1 : high].sum() - (n[a - 1] + n[b - 1]) / 2) ** 2

    raters = grades.shape[1]
    observed = sum(distance(a, b) for row in grades for a in row for b in row) / (raters - 1)
    expected = sum(distance(a, b) for a in values for b in values) / (len(values) - 1)
    return 1 - observed / expected


@pytest.mark.parametrize("seed", range(5))
def test_alpha_is_what_its_definition_says(seed):
    generator = np.random.default_rng(seed)
    grades = np.clip(generator.integers(1, 5, (20, 1)) + generator.integers(-1, 2, (20, 3)), 1, 4)
    assert krippendorff_alpha(grades) == pytest.approx(by_definition(grades), abs=1e-12)
    assert krippendorff_alpha(np.sort(grades, axis=1)) == pytest.approx(krippendorff_alpha(grades), abs=1e-12)


def test_alpha_is_one_for_agreement_and_near_nought_for_chance():
    assert krippendorff_alpha(np.array([[1, 1, 1], [2, 2, 2], [4, 4, 4]])) == 1.0
    assert krippendorff_alpha(np.random.default_rng(0).integers(1, 5, (3000, 3))) == pytest.approx(0, abs=0.03)
    assert np.isnan(krippendorff_alpha(np.array([[2, 2, 2], [2, 2, 2]])))


def test_experts_and_crowd_are_compared_where_both_judged():
    grades = [(1, 1, 1), (1, 1, 2), (2, 2, 3), (4, 4, 4), (1, 4, 4)]
    expert = [ExpertRow(f"{i}.jpg", "c#0", row) for i, row in enumerate(grades)]
    yes = [0, 1, 1, 3, 2]
    crowd = [CrowdRow(f"{i}.jpg", "c#0", count, 3 - count) for i, count in enumerate(yes)]
    crowd += [CrowdRow("0.jpg", "other#0", 3, 0), CrowdRow("9.jpg", "c#0", 0, 3)]
    found = expert_crowd_agreement(expert, crowd, resamples=20)
    assert found is not None
    # Sums of grades 3, 4, 7, 12, 9 against 0, 1, 1, 3, 2: nine of ten pairs agree, one is tied in the crowd.
    assert found.value == pytest.approx(9 / (10 * 9) ** 0.5)
    assert found.value == kendalltau([3, 4, 7, 12, 9], yes, variant="b").statistic
    assert expert_crowd_agreement(expert[:1], crowd) is None
    assert expert_crowd_agreement(expert, []) is None


def test_intervals_draw_photos_whole():
    # Two photos: one on which all agree, one of chance. A resample has alpha of the first, the second or both.
    rows = np.random.default_rng(1).integers(1, 5, (200, 3))
    agreed = np.repeat(np.arange(200)[:, None] % 4 + 1, 3, axis=1)
    expert = [ExpertRow("a.jpg", f"{i}#0", tuple(row)) for i, row in enumerate(agreed.tolist())]
    expert += [ExpertRow("b.jpg", f"{i}#0", tuple(row)) for i, row in enumerate(rows.tolist())]
    found = expert_agreement(expert, resamples=100)
    assert found.high == 1.0
    assert found.low == pytest.approx(krippendorff_alpha(np.concatenate([rows, rows])), abs=1e-9)
    assert found.low < found.value < found.high
