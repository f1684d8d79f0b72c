import shutil
from dataclasses import replace

from click.testing import CliRunner

from command_line import SAMPLE
from experiments.label_aggregation.agreement import agreement, main
from reranker.judgments.judged_folder import load_judgments


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
