import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import kendalltau

from command_line import SAMPLE
from reranker.agreement import agreement, expert_agreement, expert_crowd_agreement, krippendorff_alpha, main
from reranker.judgments import CrowdRow, ExpertRow, load_judgments


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
    assert found["value"] == pytest.approx(9 / (10 * 9) ** 0.5)
    assert found["value"] == kendalltau([3, 4, 7, 12, 9], yes, variant="b").statistic
    assert expert_crowd_agreement(expert[:1], crowd) is None
    assert expert_crowd_agreement(expert, []) is None


def test_intervals_draw_photos_whole():
    # Two photos: one on which all agree, one of chance. A resample has alpha of the first, the second or both.
    rows = np.random.default_rng(1).integers(1, 5, (200, 3))
    agreed = np.repeat(np.arange(200)[:, None] % 4 + 1, 3, axis=1)
    expert = [ExpertRow("a.jpg", f"{i}#0", tuple(row)) for i, row in enumerate(agreed.tolist())]
    expert += [ExpertRow("b.jpg", f"{i}#0", tuple(row)) for i, row in enumerate(rows.tolist())]
    found = expert_agreement(expert, resamples=100)
    assert found["high"] == 1.0
    assert found["low"] == pytest.approx(krippendorff_alpha(np.concatenate([rows, rows])), abs=1e-9)
    assert found["low"] < found["value"] < found["high"]


def test_what_the_data_does_not_allow_is_left_out():
    judgments = load_judgments(SAMPLE)
    found = agreement(judgments, resamples=10)
    assert list(found) == ["expert", "crowd", "expert_crowd"]
    # Four pairs have both, and some draws of their photos have but one: no interval.
    assert found["expert_crowd"] == {"tau_b": 1.0}
    assert list(agreement(replace(judgments, crowd=()), resamples=10)) == ["expert"]
    assert list(agreement(replace(judgments, expert=()), resamples=10)) == ["crowd"]


def test_what_leaves_no_chance_to_compare_has_no_figure_and_no_judgment_is_refused(tmp_path):
    judgments = load_judgments(SAMPLE)
    alike = [replace(row, grades=(1, 1, 1)) for row in judgments.expert]
    found = agreement(replace(judgments, expert=tuple(alike)), resamples=10)
    assert "alpha" not in found["expert"]
    assert "expert_crowd" not in found
    folder = shutil.copytree(SAMPLE, tmp_path / "judged")
    for name in ("ExpertAnnotations.tsv", "CrowdAnnotations.tsv"):
        (folder / name).unlink()
    result = CliRunner().invoke(main, [str(folder)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: judged data {folder} has neither experts' grades nor the crowd's votes\n"


def test_flickr8ks_people_agree_so_much(flickr8k):
    result = CliRunner().invoke(main, [str(flickr8k)])
    assert (result.exit_code, result.stderr) == (0, "")
    shown = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert shown == {
        "expert.pairs": "5822",
        "expert.alpha": "0.694  [0.675, 0.712]",
        "expert.without_majority": "126",
        "expert.slope": "2.458",
        "expert.thresholds": "0.021, 0.944, 1.930",
        "crowd.pairs": "47830",
        "crowd.prior_yes": "0.068",
        "crowd.prior_no": "0.912",
        "expert_crowd.tau_b": "0.620  [0.601, 0.640]",
        "expert_crowd.weight": "0.600  [0.600, 0.650]",
        "expert_crowd.weight_pairs": "666",
        "expert_crowd.weight_photos": "268",
        "expert_crowd.criterion.0.00": "0.706",
        "expert_crowd.criterion.0.60": "0.781",
        "expert_crowd.criterion.0.70": "0.780",
        "expert_crowd.criterion.1.00": "0.761",
    }
