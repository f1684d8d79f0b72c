"""The seed project: its figures by hand, its checks, and the whole command on the sample."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from command_line import SAMPLE
from experiments.seed_project import project as seed
from page_reader import assert_self_contained, parsed, texts
from reranker.judgments.aggregate import majority
from reranker.moderation.policy import Policy
from reranker.training.train import train
from tiny_judged import ENCODERS, QUICK, judged, made

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


def test_figures_by_hand() -> None:
    said, score = np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 1.0])
    # 12 photos: ten are in each top 10. Query 0 and 1 want photo 0, the last of all for query 1.
    order = np.stack([np.arange(12, 0, -1), np.arange(12)]).astype(float)
    found = seed.figures_of(seed.Model(said, order, True), score, ["a", "b", "c"], np.array([0, 0]))
    value = {name: f["value"] if isinstance(f, dict) else f for name, f in found.items()}
    assert value["rmse"] == pytest.approx((0.25 / 3) ** 0.5)
    assert value["mae"] == pytest.approx(0.5 / 3)
    # Two concordant pairs, one tied in the score: 2 (P - Q) m / (n^2 (m - 1)) = 2 * 2 * 2 / (9 * 1)
    assert value["tau_c"] == pytest.approx(8 / 9)
    assert (value["recall@1"], value["recall@10"]) == (0.5, 0.5)
    assert (value["largest_share"], value["distinct@1"], value["distinct@10"]) == (1.0, 2, 12)
    assert value["overlap@10"] == pytest.approx(8 / 12)  # both have photos 2 to 9
    constant = seed.figures_of(seed.Model(np.ones(3), order, False), score, ["a", "b", "c"], np.array([0, 0]))
    assert set(value) - set(constant) == {"rmse", "mae", "tau_c"}


def test_scores_of_held_out_pairs_are_those_of_the_ranker(one_thread: None) -> None:
    features, judgments, hidden = made(40, seed=0, regions=True)
    judgments = judged(features, judgments, hidden, 120)
    ranker = train(features, judgments, ENCODERS, QUICK)
    pairs = seed.scored_pairs(features, majority(judgments.expert, ()))
    held = np.array([0, 3, 5])
    candidates, relevance = seed.ranked_pairs(ranker, features, pairs, held)
    for place, row in enumerate(held):
        photo, text = pairs.photo[row : row + 1], pairs.text[row : row + 1]
        assert pairs.names[row] == (features.photos[photo[0]], features.captions[text[0]])
        side = ranker.encode_photos(features.x[photo], features.regions[photo])
        query = ranker.encode_queries(features.t[text], [features.texts[text[0]]], features.tokens.select(text))
        assert relevance[place] == pytest.approx(float(ranker.scores(side, query, 0).relevance[0]), abs=1e-5)
        assert candidates[place] == pytest.approx(float(seed.candidate_scores(side, query)[0, 0]), abs=1e-5)


def test_the_checks_find_a_photo_on_both_sides_a_test_photo_and_a_blocked_one(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "judged")
    shutil.copy(tmp_path / "judged/test_images/saucer.jpg", tmp_path / "judged/train_images/cat.jpg")
    with open(tmp_path / "judged/Flickr8k.token.txt", "a") as file:
        file.write("spoon.jpg#9\tA child holds a spoon .\n")
    judgments = seed.load_judgments(tmp_path / "judged")
    kept = judgments.restrict(judgments.sets["train_images"])
    # The sample has a photo of the kind already.
    assert len(Policy.load("minors").blocked_photos(kept.captions.items()) - {"spoon.jpg"}) == 1
    features = made(3, seed=0)[0]
    pairs = seed.Pairs([], np.array([0, 1, 1]), np.zeros(3, int), np.array([0, 1 / 3, 1]))
    done = seed.check(judgments, kept, Policy.load("minors"), features, pairs, np.array([0, 1]), np.array([2]))
    assert [passed for _, passed, _ in done] == [True, False, False, False, True]
    assert [numbers for _, _, numbers in done[1:4]] == ["2 and 1 photos, 1 on both", "2 of 30 do", "1 of 6 are"]


@pytest.fixture
def no_resnet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


def test_the_sample_from_end_to_end(tmp_path: Path, no_resnet: None) -> None:
    page, figures = tmp_path / "seed.html", tmp_path / "seed.json"
    (tmp_path / "own.toml").write_text('disclaimer = "no unicorns"\nterms = ["unicorn"]')
    arguments = [str(SAMPLE), "-o", str(page), "--json", str(figures), "--policy", str(tmp_path / "own.toml")]
    result = CliRunner().invoke(seed.main, arguments)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "image vectors: EfficientNet-Lite2, standing in for ResNet-18"
    assert lines[-1] == f"report: {page}"
    values = json.loads(figures.read_text())
    assert (values.pop("format"), values.pop("image_encoder"), values.pop("seed")) == (1, lines[0][15:], 0)
    assert list(values) == list(seed.TITLES)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == list(seed.TITLES.values())
    assert rows[2][1] == f"{values['ridge']['rmse']['value']:.3f}"
    # Six photos are in every top 10; Ridge has the same one first for all queries.
    assert {f["largest_share"]["value"] for f in values.values()} == {1.0}
    assert values["ridge"]["distinct@1"] == 1
    assert values["photoseek"]["recall@1"]["value"] > values["ridge"]["recall@1"]["value"]
    assert result.stderr.startswith("1-2 loading, exploration: 30 judged photos, 76 pairs with grades\n")
    assert_self_contained(page)
    assert [title for title in texts(parsed(page), "h2") if title != "Contents"] == STEPS
    assert page.read_text().count("standing in for ResNet-18") >= 6


def test_what_it_refuses_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_resnet: None) -> None:
    result = CliRunner().invoke(seed.main, [str(SAMPLE), "-o", str(tmp_path / "none" / "seed.html")])
    assert result.exit_code == 1
    problem = f"report {tmp_path}/none/seed.html cannot be written: there is no folder {tmp_path}/none"
    assert result.stderr == f"Error: {problem}\n"
    result = CliRunner().invoke(seed.main, [str(SAMPLE), "-o", "s.html", "--random-weights", "--weights", "w.pth"])
    assert result.exit_code == 2
    shutil.copytree(SAMPLE, tmp_path / "judged")
    (tmp_path / "judged/test_queries.csv").unlink()
    result = CliRunner().invoke(seed.main, [str(tmp_path / "judged"), "-o", str(tmp_path / "s.html"), "-q"])
    problem = f"judged data {tmp_path}/judged has no test_queries.csv with test_images.csv to search in"
    assert (result.exit_code, result.stderr) == (1, f"Error: {problem}\n")

    shutil.copytree(SAMPLE, tmp_path / "few")
    (tmp_path / "few/ExpertAnnotations.tsv").write_text("cat.jpg\tcat.jpg#0\t4\t4\t4\nflag.jpg\tcat.jpg#0\t1\t2\t3\n")
    result = CliRunner().invoke(seed.main, [str(tmp_path / "few"), "-o", str(tmp_path / "s.html"), "-q"])
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: judged data {tmp_path}/few: policy minors leaves no two photos with a grade that two experts agree "
        "on; nothing to learn\n",
    )
    queries = (SAMPLE / "test_queries.csv").read_text().splitlines()[:2]
    (tmp_path / "few/test_queries.csv").write_text("\n".join(queries))
    result = CliRunner().invoke(seed.main, [str(tmp_path / "few"), "-o", str(tmp_path / "s.html"), "-q"])
    problem = f"judged data {tmp_path}/few has one test query; only two can get the same photos"
    assert (result.exit_code, result.stderr) == (1, f"Error: {problem}\n")

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(seed, "seed_project", interrupted)
    result = CliRunner().invoke(seed.main, [str(SAMPLE), "-o", str(tmp_path / "s.html"), "-q"])
    assert (result.exit_code, result.stderr) == (130, "interrupted; the same command goes on where it stopped\n")
    assert not (tmp_path / "s.html").exists()
