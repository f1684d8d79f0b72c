"""`build --encoder clip:FOLDER`, then a search at once: the right photo, the relevance, and what is said of it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from checkpoints.tiny_joint import COLOURS, JointCheckpoint, make_clip, make_siglip, plain_photo, teach_colours
from command_line import SAMPLE, photoseek
from indexer.index import Index
from photoseek import PhotoseekError, Ranker, Searcher, attach_ranker
from reranker.joint_ranker import everyday_captions
from reranker.ranker import NOT_CALIBRATED

WORDS = ["a", "photo", "of", "the", "red", "green", "blue"]
NOTE = "relevance is the encoder's own, not calibrated on judgments"
LOADED = """
import sys
from photoseek import Index, Searcher
hits = Searcher(Index.open(sys.argv[1])).search("blue", k=1)
print(hits[0].path.endswith("blue.png"), sorted({"torch", "transformers", "open_clip"} & set(sys.modules)))
"""


@pytest.fixture(scope="module", params=[make_clip, make_siglip], ids=["clip", "siglip"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JointCheckpoint]:
    """A checkpoint that tells colours apart, and four photos and their index beside it."""
    make: Callable[..., JointCheckpoint] = request.param
    folder = tmp_path_factory.mktemp("joint")
    before = os.environ.get("PHOTOSEEK_CACHE")
    os.environ["PHOTOSEEK_CACHE"] = str(folder / "cache")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    made = make(folder / "model", WORDS)
    teach_colours(made)
    (folder / "photos").mkdir()
    for name, colour in COLOURS.items():
        plain_photo(colour).save(folder / "photos" / f"{name}.png")
    yield made
    del os.environ["PHOTOSEEK_CACHE"]
    if before is not None:
        os.environ["PHOTOSEEK_CACHE"] = before


@pytest.fixture(scope="module")
def index(checkpoint: JointCheckpoint) -> Path:
    folder = checkpoint.folder.parent
    name = f"clip:{checkpoint.folder}"
    built = photoseek("build", folder / "photos", "-i", folder / "index", "--encoder", name, "--precision", "f32")
    assert (built.exit_code, built.stdout.startswith("4 photos in ")) == (0, True)
    assert "no ranker" not in built.stderr
    return folder / "index"


@pytest.mark.parametrize("colour", ["red", "green", "blue"])
@pytest.mark.parametrize("form", ["{}", "the {}", "a photo of the {}"])
def test_the_right_photo_is_found_at_once(index: Path, colour: str, form: str) -> None:
    answer = Searcher(Index.open(index)).answer(form.format(colour))
    assert Path(answer.hits[0].path).name == f"{colour}.png"
    assert answer.good_match
    first, *others = [hit.relevance for hit in answer.hits]
    # The captions of everyday photos that say "red" fit the red photo as well, so a CLIP gives it a part of 1 only.
    assert (len(others), first > 0.05, max(others) < first / 10) == (3, True, True)


def test_the_relevance_of_the_first_hit_is_the_librarys(index: Path, checkpoint: JointCheckpoint) -> None:
    text = "a photo of the red"
    answer = Searcher(Index.open(index)).answer(text)
    logit = float(checkpoint.logits([text], [plain_photo(COLOURS["red"])])[0, 0])
    ranker = Searcher(Index.open(index)).ranker
    if ranker.training["logit_bias"] is None:
        captions = checkpoint.logits(everyday_captions(), [plain_photo(COLOURS["red"])])[:, 0]
        logit -= np.sort(captions)[-10:].mean() + np.log(10)
    assert answer.match_probability == pytest.approx(1 / (1 + np.exp(-logit)), abs=0.02)
    assert answer.hits[0].relevance == pytest.approx(answer.match_probability, abs=1e-6)


def test_what_is_not_calibrated_is_said(index: Path) -> None:
    result = photoseek("search", "red", "-i", index)
    assert (result.exit_code, result.stderr) == (0, f"note: {NOTE}\n")
    assert result.stdout.splitlines()[0].endswith("red.png")
    assert json.loads(photoseek("search", "red", "-i", index, "--json").stdout)["notes"] == [NOTE]
    info = photoseek("info", "-i", index)
    assert f"relevance       {NOT_CALIBRATED}" in info.stdout.splitlines()
    assert json.loads(photoseek("info", "-i", index, "--json").stdout)["relevance"] == NOT_CALIBRATED


def test_a_later_build_keeps_the_ranker(index: Path, checkpoint: JointCheckpoint) -> None:
    before = Searcher(Index.open(index)).ranker.id
    again = photoseek("build", checkpoint.folder.parent / "photos", "-i", index, "-q")
    assert again.stdout.startswith(f"4 photos in {index}: 0 added, 0 changed, 0 removed, ")
    assert Searcher(Index.open(index)).ranker.id == before


def test_a_search_in_a_new_process_loads_no_torch(index: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LOADED, index], capture_output=True, text=True, check=True)
    assert done.stdout == "True []\n"


def test_attaching_without_a_ranker_takes_the_encoders_own(checkpoint: JointCheckpoint, tmp_path: Path) -> None:
    name = f"clip:{checkpoint.folder}"
    made = Index.build(checkpoint.folder.parent / "photos", tmp_path / "index", encoder=name)
    with pytest.raises(PhotoseekError) as refused:
        Searcher(Index.open(tmp_path / "index"))
    assert str(refused.value) == (
        f"index {tmp_path}/index has no ranker yet; photoseek build PHOTOS -i {tmp_path}/index attaches {name}'s own"
    )
    attach_ranker(made)
    assert Path(Searcher(Index.open(tmp_path / "index")).search("green")[0].path).name == "green.png"
    assert Ranker.shipped(made.encoder) is None


def test_a_training_starts_from_the_encoders_own_ranker(
    index: Path, checkpoint: JointCheckpoint, tmp_path: Path
) -> None:
    name, output = f"clip:{checkpoint.folder}", tmp_path / "ranker"
    arguments = ("train", SAMPLE, "-o", output, "--image-encoder", name, "-q")
    misuse = photoseek(*arguments, "--epochs", "2")
    assert (misuse.exit_code, misuse.stdout) == (2, "")
    assert misuse.stderr.endswith("\nError: a clip: encoder keeps its own space, so --epochs has nothing to tune\n")
    result = photoseek(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    trained, own = Ranker.load(output), Searcher(Index.open(index)).ranker
    assert (trained.training["base"], trained.text_encoder_name) == (own.id, name)
    assert np.array_equal(trained.joint_space.map.A, own.joint_space.map.A)
    assert (own.is_calibrated, trained.is_calibrated) == (False, True)
    copy = shutil.copytree(index, tmp_path / "index")
    assert photoseek("use", output, "-i", copy, "-q").exit_code == 0
    assert photoseek("search", "red", "-i", copy, "-q").stderr == ""
    assert "relevance" not in json.loads(photoseek("info", "-i", copy, "--json").stdout)
