"""photoseek use and info: what is done with an index that is there."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from command_line import ODD, ODD_SHOWN, photoseek, refused
from indexer.index import Index
from reranker.ranker import DEFAULT_FOLDER, Ranker
from search.searcher import Searcher


def test_use_attaches_a_ranker(photos: Path, tmp_path: Path) -> None:
    index, ranker = tmp_path / "index", tmp_path / "ranker"
    Index.build(photos, index)
    shipped = Ranker.default()
    changed = replace(shipped, no_match=replace(shipped.no_match, threshold=0.25)).finished()
    changed.save(ranker)
    result = photoseek("use", ranker, "-i", index)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"index {index} now uses ranker {changed.id}\n"
    assert Searcher(Index.open(index)).ranker.id == changed.id
    none = tmp_path / "none"
    refused(photoseek("use", none, "-i", index), f"no ranker at {none}; train one: photoseek train JUDGED -o {none}")


def test_info_prints_the_state_of_an_index(index: Path, photos: Path) -> None:
    facts = Index.open(index).facts()
    printed = json.loads(photoseek("info", "-i", index, "--json").stdout)
    assert printed == {"format": 1, **json.loads(json.dumps(facts))}
    result = photoseek("info", "-i", index, "--skipped")
    lines = result.stdout.splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    assert lines[:6] == [
        f"index           {index}",
        "photos          8",
        "rows            7",
        "dead rows       0",
        "skipped         2",
        f"roots           {photos}",
    ]
    assert lines[-3:] == [
        "2 skipped",
        "  broken.jpg: not an image, or of a kind that is not read",
        "  empty.png: empty file",
    ]


def test_info_tells_the_policy_and_what_it_holds_back(photos: Path, tmp_path: Path) -> None:
    index, policy = tmp_path / "index", tmp_path / "cats.toml"
    rule = '[photos]\nprompts = ["a cat"]\ncontrast = ["coins", "a field", "a rocket", "a plate"]\npoint = 0.6\n'
    policy.write_text('disclaimer = "No cats."\nterms = ["cat"]\n' + rule)
    assert photoseek("build", photos, "-i", index, "--policy", policy, "-q").exit_code == 0
    moderation = Searcher(Index.open(index)).moderation
    held = moderation.held_back_photos()
    assert [Path(path).name for path, _, _ in held] == [ODD, "cat_fur.jpg"]
    printed = json.loads(photoseek("info", "-i", index, "--json", "--held-back").stdout)
    told = {name: printed[name] for name in ("policy", "policy_digest", "held_back", "held_back_photos")}
    assert told == {
        "policy": str(policy),
        "policy_digest": moderation.policy.digest,
        "held_back": 2,
        "held_back_photos": [list(item) for item in held],
    }
    result = photoseek("info", "-i", index, "--held-back")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [f"  {path.replace(ODD, ODD_SHOWN)}: {score:.3f} for 'a cat'" for path, _, score in held]
    assert result.stdout.splitlines()[-2:] == lines
    # The whole state is told even where the policy is gone, which stops every search.
    policy.unlink()
    problem = f"photoseek: no policy '{policy}'; there are: minors, or a path to a .toml file\n"
    result = photoseek("info", "-i", index)
    assert (result.exit_code, result.stderr) == (0, problem)
    assert f"policy          {policy}" in result.stdout.splitlines()
    result = photoseek("search", "a rocket", "-i", index)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", problem)


@pytest.mark.parametrize("name", ["ranker.json", "weights.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_view_whose_ranker_is_damaged_says_so_and_is_built_anew(
    photos: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    index = tmp_path / "index"
    assert photoseek("build", photos, "-i", index, "-q").exit_code == 0
    found = photoseek("search", "a cat", "-i", index).stdout
    (view,) = (index / "views").iterdir()
    path = view / "ranker" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    result = photoseek("search", "a cat", "-i", index)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"photoseek: view {view} is damaged (")
    assert result.stderr.endswith(
        f"); run: photoseek use RANKER -i {index}, or for the shipped ranker: photoseek build PHOTOS -i {index}\n"
    )
    for mend in (("use", DEFAULT_FOLDER), ("build", photos)):
        repaired = photoseek(*mend, "-i", index, "-q")
        assert (repaired.exit_code, repaired.stderr) == (0, "")
        assert photoseek("search", "a cat", "-i", index).stdout == found
        (view,) = (index / "views").iterdir()
        (view / "ranker" / name).unlink()


def test_files_of_the_current_folder_are_no_modules(photos: Path, tmp_path: Path) -> None:
    """Whatever their names: a photo folder may lie beside anybody's scripts."""
    for name in ("json", "cli", "numpy", "search"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(f'imported {__file__}')\n")
    console = Path(sys.executable).with_name("photoseek")
    for arguments in (("build", photos, "-i", "index"), ("bench", "-i", "index", "--count", "2", "--runs", "1")):
        done = subprocess.run([console, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, "imported" in done.stdout + done.stderr) == (0, False), done.stderr
