"""photoseek train and evaluate: what they refuse, and what a ranker trained on a base or on names of one's own does."""

import shutil
from dataclasses import fields
from pathlib import Path

import click
import numpy as np
import pytest

from cli import main
from command_line import SAMPLE, misused, photoseek, refused
from indexer.encoders import Tokens, load_text_encoder
from indexer.errors import PhotoseekError
from indexer.index import Index
from reranker.judgments.aggregate import AGGREGATIONS
from reranker.judgments.judged_folder import load_judgments
from reranker.judgments.judgments import photo_of
from reranker.judgments.training_sets import TrainingSet
from reranker.models.mlp import MLP
from reranker.ranker import DEFAULT_FOLDER, FAST_FOLDER, Ranker
from search.searcher import Searcher


def test_train_refuses_a_place_it_cannot_write_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    result = photoseek("train", SAMPLE, "-o", tmp_path / "file")
    assert result.exit_code == 1
    assert result.stderr == f"photoseek: {tmp_path}/file is a file; give a folder for the ranker with -o\n"
    result = photoseek("train", SAMPLE, "-o", tmp_path / "full")
    assert result.exit_code == 1
    assert result.stderr == f"photoseek: {tmp_path}/full is not a ranker and not empty; give another folder with -o\n"


def test_train_and_evaluate_refuse_bad_data(tmp_path: Path) -> None:
    none = tmp_path / "none"
    problem = f"'{none}': no such folder; give a judged folder, FOLDER[:PHOTOS][=WEIGHT]"
    misused(photoseek("train", none, "-o", tmp_path / "r"), "train", f"Invalid value for 'JUDGED...': {problem}")
    relevance = photoseek("train", SAMPLE, "-o", tmp_path / "r", "--relevance", none)
    misused(relevance, "train", f"Invalid value for '--relevance': {problem}")
    problem = f"Invalid value for 'JUDGED': Directory '{none}' does not exist."
    misused(photoseek("evaluate", none), "evaluate", problem)
    result = photoseek("evaluate", SAMPLE, "--protocol", "nonsense")
    assert result.exit_code == 2
    assert "Error: no protocol 'nonsense'; there are: " in result.stderr
    judged = tmp_path / "judged"
    shutil.copytree(SAMPLE, judged)
    with open(judged / "ExpertAnnotations.tsv", "a") as file:
        file.write("nowhere.jpg\tcat.jpg#0\t1\t2\t3\n")
    count = len((judged / "ExpertAnnotations.tsv").read_text().splitlines())
    line = f"{judged / 'ExpertAnnotations.tsv'} line {count}: photo nowhere.jpg is in no photo folder"
    refused(photoseek("train", judged, "-o", tmp_path / "r"), f"{line} (--keep-going drops such rows)")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--keep-order"], "--keep-order goes with --from RANKER, whose order is kept"),
        (["--from", "r", "--epochs", "3"], "--from keeps the map of its ranker, so --epochs has nothing to tune"),
        (["--class-names", "none.txt"], "Invalid value for '--class-names': File 'none.txt' does not exist."),
        (
            ["--score", "best"],
            "Invalid value for '--score': 'best' is not one of 'majority', 'mean'.",
        ),
        (["--epochs", "-1"], "Invalid value for '--epochs': -1 is not in the range x>=0."),
    ],
)
def test_train_misused_exits_with_2(tmp_path: Path, options: list[str], problem: str) -> None:
    misused(photoseek("train", SAMPLE, "-o", tmp_path / "own", *options), "train", problem)
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("n.csv", "name\nspoon\n", ": no column 'names'; it has 'name'"),
        ("n.tsv", "names\tindex\nspoon\tnine\n", " line 2: index 'nine' is no class number"),
        ("n.txt", "\n , \n", ": no names in it"),
        ("n.md", "names\nspoon\n", ": the ending must be one of .txt, .tsv, .csv"),
    ],
)
def test_train_refuses_class_names_that_it_cannot_read(tmp_path: Path, name: str, text: str, problem: str) -> None:
    (tmp_path / name).write_text(text)
    result = photoseek("train", SAMPLE, "-o", tmp_path / "own", "--class-names", tmp_path / name)
    refused(result, f"{tmp_path / name}{problem}")


def test_train_refuses_class_names_of_nothing_that_is_there(tmp_path: Path) -> None:
    names = tmp_path / "n.csv"
    for text, problem in (
        ("names,photo\nspoon,fork.jpg\n", "photo 'fork.jpg' of 'spoon' is not among the judged photos"),
        ("names,index\nspoon,1000\n", "'spoon' has index 1000, efficientnet-lite has no such class"),
    ):
        names.write_text(text)
        result = photoseek("train", SAMPLE, "-o", tmp_path / "own", "--from", DEFAULT_FOLDER, "--class-names", names)
        refused(result, f"class names: {problem}")


def test_train_refuses_a_base_that_is_missing_or_of_other_encoders(tmp_path: Path) -> None:
    none, own = tmp_path / "none", tmp_path / "own"
    result = photoseek("train", SAMPLE, "-o", own, "--from", none)
    refused(result, f"no ranker at {none}; train one: photoseek train JUDGED -o {none}")
    base = Ranker.load(FAST_FOLDER)
    result = photoseek("train", SAMPLE, "-o", own, "--from", FAST_FOLDER, "--image-encoder", "efficientnet-lite")
    found = Ranker.load(DEFAULT_FOLDER).image_encoder
    place = "name its place with --image-encoder (and --weights or --preprocess), or train a ranker for this one"
    refused(result, f"ranker {base.id} was trained with {base.image_encoder}, here is {found}; {place}")


def same(one: MLP, other: MLP) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(MLP))


@pytest.mark.parametrize("folder", [DEFAULT_FOLDER, FAST_FOLDER])
def test_train_keeps_the_order_of_its_base_and_learns_relevance(tmp_path: Path, folder: Path) -> None:
    base, own = Ranker.load(folder), tmp_path / "own"
    result = photoseek("train", SAMPLE, "-o", own, "--from", folder, "--keep-order")
    assert (result.exit_code, result.stderr) == (0, "")
    trained = Ranker.load(own)
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines()[:-1])
    assert result.stdout.splitlines()[-1] == f"ranker {trained.id} -> {own}"
    assert (lines["photos"], lines["base"], lines["order"]) == ("30", base.id, "that of the base")
    # What the base was trained on stays in the card, but is not said again.
    assert "before" in trained.training
    assert "before" not in lines
    # The image encoder is that of the base.
    assert trained.image_encoder == base.image_encoder
    # The no-match decision looks at the relevance, so it is fitted anew with it.
    assert trained.no_match != base.no_match
    assert 0 < trained.no_match.threshold < 1
    assert same(trained.ranking_mlp, base.ranking_mlp)
    assert not same(trained.relevance_mlp, base.relevance_mlp)
    assert np.array_equal(trained.joint_space.map.A, base.joint_space.map.A)


def test_train_learns_from_the_score_that_is_asked_for(tmp_path: Path) -> None:
    trained = {}
    for score in ("majority", "mean"):
        arguments = ("--from", DEFAULT_FOLDER, "--keep-order", "--score", score, "-q")
        result = photoseek("train", SAMPLE, "-o", tmp_path / score, *arguments)
        assert (result.exit_code, result.stderr) == (0, "")
        assert dict(line.split(maxsplit=1) for line in result.stdout.splitlines())["score"] == score
        trained[score] = Ranker.load(tmp_path / score)
        assert trained[score].training["score"] == score
    losses = [ranker.training["relevance_loss"] for ranker in trained.values()]
    assert losses[0] != losses[1]


def test_every_score_can_be_asked_for() -> None:
    assert isinstance(main, click.Group)
    option = next(option for option in main.commands["train"].params if option.name == "score")
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == tuple(AGGREGATIONS)
    assert option.default == "majority"


def test_train_learns_names_of_ones_own(tmp_path: Path) -> None:
    names, own, index = tmp_path / "names.csv", tmp_path / "own", tmp_path / "index"
    names.write_text('names,photo\nzorblax,coins_row.jpg\nzorblax,coins.jpg\n"fnord, fnords",rocket.jpg\nglimsk,\n')
    arguments = ("--from", DEFAULT_FOLDER, "--keep-order", "--class-names", names, "-q")
    result = photoseek("train", SAMPLE, "-o", own, *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    trained = Ranker.load(own)
    # Nothing shows what a glimsk is.
    assert trained.training["names_without_example"] == ["glimsk"]
    # Three names beside all that the base has.
    assert trained.training["names"] == len(Ranker.default().joint_space.class_names.keys) + 3
    texts = ["zorblax", "a photo of a fnord", "two coins lie on a grey table"]
    vectors = load_text_encoder("minilm").encode(texts)
    zorblax, fnord, sentence = trained.encode_queries(vectors, texts, Tokens.none(3)).gate
    assert min(zorblax, fnord) > 0.5 > sentence
    Index.build(SAMPLE / "train_images", index).attach(trained)
    searcher = Searcher(Index.open(index))
    assert "coin" in Path(searcher.search("zorblax", 1)[0].path).name
    assert Path(searcher.search("a photo of a fnord", 1)[0].path).name.startswith(("rocket", "launch"))


def test_train_refuses_a_policy_that_leaves_no_photo(tmp_path: Path) -> None:
    policy = tmp_path / "all.toml"
    policy.write_text(
        'disclaimer = "none"\nterms = ["a", "an", "the", "of", "in", "on", "with", "and", "black", "close"]'
    )
    result = photoseek("train", SAMPLE, "-o", tmp_path / "ranker", "--policy", policy, "-q")
    left_out = f"policy {policy}: 30 of 30 photos left out\n"
    problem = f"photoseek: policy {policy} leaves no photo of judged data {SAMPLE} to train on\n"
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", left_out + problem)
    assert not (tmp_path / "ranker").exists()


def stopped(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[TrainingSet], list[str]]]:
    """Stop a training where it begins, and collect the sets and the captions that it was given."""
    given: list[tuple[list[TrainingSet], list[str]]] = []

    def stop(sets, encoders, *, captions, **_options):
        given.append((sets, list(captions)))
        raise PhotoseekError("seen enough")

    monkeypatch.setattr("reranker.training.train_ranker.train_ranker", stop)
    return given


def test_train_takes_several_sets_with_photos_and_weights_and_captions_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = stopped(monkeypatch)
    captions = tmp_path / "more.tsv"
    captions.write_text("caption\tsource\na zebu grazes\tx\n \tx\nthe zebu\ty\n")
    arguments = (SAMPLE, f"{SAMPLE}:test_images=0.5", captions, "--relevance", f"{SAMPLE}:test_images")
    result = photoseek("train", *arguments, "-o", tmp_path / "own")
    refused = f"photoseek: {captions} line 3: no text (--keep-going drops such rows)\n"
    assert (result.exit_code, result.stderr) == (1, refused)
    result = photoseek("train", *arguments, "--keep-going", "-o", tmp_path / "own")
    assert (result.exit_code, result.stderr) == (1, f"{captions} line 3: no text\nphotoseek: seen enough\n")
    ((sets, texts),) = given
    assert texts == ["a zebu grazes", "the zebu"]
    assert [(one.name, one.weight, one.relevance_only) for one in sets] == [
        ("sample", 1.0, False),
        ("sample-test_images", 0.5, False),
        ("sample-test_images-2", 1.0, True),
    ]
    everything = load_judgments(SAMPLE)
    photos = [set(one.judgments.photos) for one in sets]
    assert photos[0] == set(everything.sets["train_images"])
    assert photos[1] == photos[2] == set(everything.sets["test_images"])


def test_train_takes_the_photos_of_the_option_where_a_set_names_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = stopped(monkeypatch)
    arguments = (SAMPLE, f"{SAMPLE}:train_images", "--photos", "test_images", "-q")
    photoseek("train", *arguments, "-o", tmp_path / "own")
    everything = load_judgments(SAMPLE)
    assert [tuple(one.judgments.photos) for one in given[0][0]] == [
        everything.sets["test_images"],
        everything.sets["train_images"],
    ]


def test_train_needs_a_folder_with_photos(tmp_path: Path) -> None:
    captions = tmp_path / "more.tsv"
    captions.write_text("caption\na zebu grazes\n")
    problem = "JUDGED names captions alone; a training needs a folder with photos"
    misused(photoseek("train", captions, "-o", tmp_path / "own"), "train", problem)
    misused(photoseek("train", "-o", tmp_path / "own"), "train", "Missing argument 'JUDGED...'.")
    for name in (f"{captions}=2", f"{captions}:test"):
        problem = f"Invalid value for 'JUDGED...': {name!r}: captions without photos have no part and no weight"
        misused(photoseek("train", SAMPLE, name, "-o", tmp_path / "own"), "train", problem)


def test_train_leaves_out_photos_that_look_like_a_test_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = stopped(monkeypatch)
    judged = tmp_path / "judged"
    shutil.copytree(SAMPLE, judged)
    everything = load_judgments(SAMPLE)
    twin, test = everything.sets["train_images"][0], everything.sets["test_images"][0]
    # A training photo becomes a copy of a test photo; in the set for the relevance it stays.
    shutil.copy(judged / "test_images" / test, judged / "train_images" / twin)
    arguments = (judged, "--relevance", f"{judged}:train_images", "--leave-out-lookalikes", "-q")
    result = photoseek("train", *arguments, "-o", tmp_path / "own")
    whole, relevance = given[0][0]
    left_out = set(everything.sets["train_images"]) - set(whole.judgments.photos)
    assert twin in left_out
    assert set(relevance.judgments.photos) == set(everything.sets["train_images"])
    said = f"judged: {len(left_out)} of 30 photos look like a test photo and are left out\n"
    assert result.stderr == f"{said}photoseek: seen enough\n"


def test_train_with_a_policy_never_sees_the_photos_under_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "cats.toml"
    policy.write_text('disclaimer = "No cats."\nterms = ["cat"]\n')
    given = []

    def stop(features, judgments, *_args, **_options):
        given.append((features, judgments))
        raise PhotoseekError("seen enough")

    monkeypatch.setattr("reranker.training.train_ranker.train", stop)
    result = photoseek("train", SAMPLE, "-o", tmp_path / "own", "--policy", policy)
    ((features, judgments),) = given
    everything = load_judgments(SAMPLE)
    cats = {photo_of(caption) for caption, text in everything.captions.items() if "cat" in text.lower().split()}
    cats &= set(everything.sets["train_images"])
    assert result.stderr == f"policy {policy}: {len(cats)} of 30 photos left out\nphotoseek: seen enough\n"
    assert set(features.photos) == set(judgments.photos) == set(everything.sets["train_images"]) - cats
    assert not any("cat" in text.lower().split() for text in features.texts)
    assert not cats & {row.photo for row in (*judgments.expert, *judgments.crowd)}
