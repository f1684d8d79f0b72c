"""photoseek.attach: attaching a ranker does all that `photoseek use` does, and which ranker a build attaches."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from command_line import ROOT, SAMPLE, photoseek
from indexer.index import Index
from indexer.storage.manifest import write_values
from photoseek import Ranker, Searcher, attach_ranker
from photoseek.attach import ranker_for
from reranker.ranker import DEFAULT_FOLDER
from search.moderation.audit_log import AuditLog

ATTACH = """
import sys
from photoseek import Index, Ranker, attach_ranker
attach_ranker(Index.open(sys.argv[1]), Ranker.default())
"""
SEARCH = """
import sys
from photoseek import Index, Searcher
print(len(Searcher(Index.open(sys.argv[1])).search("a rocket", k=3)))
print(sorted({"torch", "transformers"} & set(sys.modules)))
"""
POLICY = """
disclaimer = "No cats."
terms = ["cat"]
[photos]
prompts = ["a cat"]
contrast = ["coins", "a field", "a rocket", "a plate"]
point = 0.6
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an index of six photos under a policy that protects cats, without a ranker. Tests take copies."""
    folder = tmp_path_factory.mktemp("attach")
    (folder / "cats.toml").write_text(POLICY)
    made = Index.build(SAMPLE / "test_images", folder / "index")
    made.set_policy(str(folder / "cats.toml"))
    return folder / "index"


@pytest.fixture
def copy(index: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(index, tmp_path / "copy"))


def fresh(program: str, folder: Path, cache: Path) -> str:
    """stdout of a Python program about an index, in a process with a cache of its own."""
    command = [sys.executable, "-c", program, str(folder)]
    environment = {**os.environ, "PHOTOSEEK_CACHE": str(cache)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def view_folder(index: Path) -> Path:
    (view,) = (index / "views").iterdir()
    return view


def logged(index: Path) -> list[dict]:
    """Return the entries of the audit log without their times."""
    return [{key: value for key, value in entry.items() if key != "time"} for entry in AuditLog(index).entries()]


def test_attaching_does_all_that_use_does(index: Path, copy: Path, tmp_path: Path) -> None:
    cache, used = tmp_path / "cache", Path(shutil.copytree(index, tmp_path / "used"))
    fresh(ATTACH, copy, cache)
    result = photoseek("use", DEFAULT_FOLDER, "-i", used)
    assert (result.exit_code, result.stderr) == (0, "")
    one, other = Index.open(copy), Index.open(used)
    # The view.
    assert one.facts()["ranker"] == other.facts()["ranker"] == Ranker.default().id
    assert (one.view().rows, one.facts()["tail"]) == (6, 0)
    for name in ("z.f16", "hub.f32", "hidden.f16"):
        assert (view_folder(copy) / name).read_bytes() == (view_folder(used) / name).read_bytes()
    # The text encoder: it is exported, so a search in a new process needs no torch.
    assert {path.name.rpartition("-")[0] for path in (cache / "encoders").iterdir()} == {"minilm"}
    assert fresh(SEARCH, copy, cache) == "3\n[]\n"
    # What the policy says of the photos: the scores are kept, and the photos that are held back are in the audit log.
    (kept,), (also_kept,) = (list(view_folder(folder).glob("policy-*.safetensors")) for folder in (copy, used))
    assert kept.name == also_kept.name
    scores, other_scores = load_file(kept), load_file(also_kept)
    assert scores["values"].shape == scores["prompts"].shape == (6,)
    np.testing.assert_allclose(scores["values"], other_scores["values"], atol=0.01)
    held = [Path(entry["photo"]).name for entry in logged(copy)]
    assert held == [Path(entry["photo"]).name for entry in logged(used)] == ["cat_fur.jpg"]


def test_stages_are_reported_to_their_ends(copy: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    attach_ranker(Index.open(copy), Ranker.default(), on_stage=lambda *step: seen.append(step))
    assert {stage for stage, _, _ in seen} == {"ranker's view", "policy"}
    for stage in ("ranker's view", "policy"):
        steps = [(done, total) for name, done, total in seen if name == stage]
        assert steps[-1][0] == steps[-1][1] == 6


def test_what_cannot_be_kept_is_told_to_on_problem(copy: Path) -> None:
    (copy / "audit.jsonl").mkdir()
    problems: list[str] = []
    attach_ranker(Index.open(copy), Ranker.default(), on_problem=problems.append)
    assert problems == [f"the audit log {copy / 'audit.jsonl'} cannot be written: Is a directory"]
    assert Searcher(Index.open(copy)).ranker.id == Ranker.default().id


def test_a_build_attaches_the_ranker_asked_for_else_the_attached_one_else_the_shipped_one(
    copy: Path, tmp_path: Path
) -> None:
    shipped = Ranker.default()
    first, second = (
        replace(shipped, no_match=replace(shipped.no_match, threshold=threshold)).finished()
        for threshold in (0.25, 0.5)
    )
    second.save(tmp_path / "second")

    def chosen(folder: Path | None = None) -> str:
        ranker = ranker_for(Index.open(copy), folder)
        assert ranker is not None
        return ranker.id

    assert chosen() == shipped.id
    attach_ranker(Index.open(copy), first)
    assert chosen() == first.id
    assert chosen(tmp_path / "second") == second.id


def test_no_ranker_is_attached_where_none_is_shipped_for_the_encoder(copy: Path) -> None:
    values = json.loads((copy / "manifest.json").read_text())
    write_values(copy, {**values, "encoder": values["encoder"].replace("efficientnet-lite@", "another@")})
    assert ranker_for(Index.open(copy)) is None
