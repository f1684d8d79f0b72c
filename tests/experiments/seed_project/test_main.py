import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from command_line import SAMPLE
from experiments.seed_project import __main__ as command
from experiments.seed_project.project import TITLES
from page_reader import assert_self_contained, parsed, texts

STEPS = [
    "Loading",
    "Exploration",
    "Generalised score",
    "Checks",
    "Image vectors",
    "Text vectors",
    "Joining and splitting",
    "Training",
    "Testing",
    "Conclusions",
]


@pytest.fixture
def no_resnet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


def test_the_sample_from_end_to_end(tmp_path: Path, no_resnet: None) -> None:
    page, json_file = tmp_path / "seed.html", tmp_path / "seed.json"
    (tmp_path / "own.toml").write_text('disclaimer = "no unicorns"\nterms = ["unicorn"]')
    arguments = [str(SAMPLE), "-o", str(page), "--json", str(json_file), "--policy", str(tmp_path / "own.toml")]
    result = CliRunner().invoke(command.main, arguments)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "image vectors: EfficientNet-Lite2, standing in for ResNet-18"
    assert lines[-1] == f"report: {page}"
    values = json.loads(json_file.read_text())
    assert (values.pop("format"), values.pop("image_encoder"), values.pop("seed")) == (1, lines[0][15:], 0)
    assert list(values) == list(TITLES)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == list(TITLES.values())
    assert rows[2][1] == f"{values['ridge']['rmse']['value']:.3f}"
    # Six photos are in every top 10; Ridge has the same one first for all queries.
    assert {results["largest_share"]["value"] for results in values.values()} == {1.0}
    assert values["ridge"]["distinct@1"] == 1
    assert values["photoseek"]["recall@1"]["value"] > values["ridge"]["recall@1"]["value"]
    assert result.stderr.startswith("1-2 loading, exploration: 30 judged photos, 76 pairs with grades\n")
    assert_self_contained(page)
    assert [title for title in texts(parsed(page), "h2") if title != "Contents"] == STEPS
    assert page.read_text().count("standing in for ResNet-18") >= 6


def test_what_it_refuses_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_resnet: None) -> None:
    result = CliRunner().invoke(command.main, [str(SAMPLE), "-o", str(tmp_path / "none" / "seed.html")])
    assert result.exit_code == 1
    problem = f"report {tmp_path}/none/seed.html cannot be written: there is no folder {tmp_path}/none"
    assert result.stderr == f"Error: {problem}\n"
    result = CliRunner().invoke(command.main, [str(SAMPLE), "-o", "s.html", "--random-weights", "--weights", "w.pth"])
    assert result.exit_code == 2
    shutil.copytree(SAMPLE, tmp_path / "judged")
    (tmp_path / "judged/test_queries.csv").unlink()
    result = CliRunner().invoke(command.main, [str(tmp_path / "judged"), "-o", str(tmp_path / "s.html"), "-q"])
    problem = f"judged data {tmp_path}/judged has no test_queries.csv with test_images.csv to search in"
    assert (result.exit_code, result.stderr) == (1, f"Error: {problem}\n")

    shutil.copytree(SAMPLE, tmp_path / "few")
    (tmp_path / "few/ExpertAnnotations.tsv").write_text("cat.jpg\tcat.jpg#0\t4\t4\t4\nflag.jpg\tcat.jpg#0\t1\t2\t3\n")
    result = CliRunner().invoke(command.main, [str(tmp_path / "few"), "-o", str(tmp_path / "s.html"), "-q"])
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: judged data {tmp_path}/few: policy minors leaves no two photos with a grade that two experts agree "
        "on; nothing to learn\n",
    )
    queries = (SAMPLE / "test_queries.csv").read_text().splitlines()[:2]
    (tmp_path / "few/test_queries.csv").write_text("\n".join(queries))
    result = CliRunner().invoke(command.main, [str(tmp_path / "few"), "-o", str(tmp_path / "s.html"), "-q"])
    problem = f"judged data {tmp_path}/few has one test query; only two can get the same photos"
    assert (result.exit_code, result.stderr) == (1, f"Error: {problem}\n")

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run_seed_project", interrupted)
    result = CliRunner().invoke(command.main, [str(SAMPLE), "-o", str(tmp_path / "s.html"), "-q"])
    assert (result.exit_code, result.stderr) == (130, "interrupted; the same command goes on where it stopped\n")
    assert not (tmp_path / "s.html").exists()
