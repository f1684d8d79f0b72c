"""photoseek build: whole stdout, whole stderr and the exit code."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from command_line import SAMPLE, misused, photoseek, refused
from indexer.index import Index
from reranker.ranker import Ranker
from tiny_encoder import TinyEncoder


def test_build_says_what_it_did_and_names_what_it_skipped(photos: Path, tmp_path: Path) -> None:
    first = photoseek("build", photos, "-i", tmp_path / "index")
    assert first.exit_code == 0
    assert re.sub(r"[0-9.]+ s\n", "T s\n", first.stdout) == (
        f"8 photos in {tmp_path / 'index'}: 8 added, 0 changed, 0 removed, 2 skipped, T s\n"
    )
    assert sorted(first.stderr.splitlines()) == [
        "skipped broken.jpg: not an image, or of a kind that is not read",
        "skipped empty.png: empty file",
    ]
    again = photoseek("build", photos, "-i", tmp_path / "index", "--quiet")
    assert (again.exit_code, again.stderr) == (0, "")
    assert again.stdout.startswith(f"8 photos in {tmp_path / 'index'}: 0 added, 0 changed, 0 removed, 2 skipped (2 ")
    loud = photoseek("build", photos, "-i", tmp_path / "index")
    assert (loud.exit_code, loud.stderr) == (0, "")
    assert "2 skipped (2 known from before), " in loud.stdout
    assert "  empty.png: empty file" in photoseek("info", "-i", tmp_path / "index", "--skipped").stdout.splitlines()
    rehashed = photoseek("build", photos, "-i", tmp_path / "index", "--rehash")
    assert len(rehashed.stderr.splitlines()) == 2
    assert "8 photos in" in rehashed.stdout
    assert " 0 added, 0 changed, 0 removed, 2 skipped, " in rehashed.stdout


def test_build_refuses_what_it_cannot_index(tmp_path: Path) -> None:
    nowhere, index = tmp_path / "nowhere", tmp_path / "index"
    line = f"photo folder {str(nowhere)!r} cannot be read: No such file or directory"
    refused(photoseek("build", nowhere, "-i", index), line)
    nowhere.mkdir()
    refused(photoseek("build", nowhere, "-i", index), f"no photos found under {str(nowhere)!r}")
    result = photoseek("build", SAMPLE / "test_images", "-i", index, "--encoder", "resnet")
    assert result.exit_code == 1
    assert result.stderr.startswith("photoseek: no image encoder 'resnet'; there are: ")
    result = photoseek("build", SAMPLE / "test_images", "-i", index, "--policy", "none such")
    refused(result, "no policy 'none such'; there are: minors, or a path to a .toml file")
    assert not (index / "manifest.json").exists()
    misused(photoseek("build"), "build", "Missing argument 'PHOTOS...'.")


def test_build_keeps_regions_where_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.building.builder.load_image_encoder", lambda name, **_: TinyEncoder())
    index = tmp_path / "index"
    for arguments in (("--encoder", "tiny"), ("--regions",), ()):
        result = photoseek("build", SAMPLE / "test_images", "-i", index, "-q", *arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (0, 1)
        facts = json.loads(photoseek("info", "-i", index, "--json").stdout)
        assert facts["regions"] is (arguments != ("--encoder", "tiny"))
    assert np.count_nonzero(Index.open(index).regions()) > 0


def test_build_refuses_regions_of_an_encoder_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without = replace(TinyEncoder(), region_shape=(0, 0))
    monkeypatch.setattr("indexer.building.builder.load_image_encoder", lambda name, **_: without)
    result = photoseek("build", SAMPLE / "test_images", "-i", tmp_path / "index", "--regions", "--encoder", "tiny")
    kinds = "efficientnet-lite, efficientnet-lite2"
    refused(result, f"image encoder tiny gives no region vectors; encoders that do: {kinds}")
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize(("encoder", "dim"), [("efficientnet-lite", 1280), ("efficientnet-lite2", 1792)])
def test_build_attaches_the_shipped_ranker_of_either_encoder(tmp_path: Path, encoder: str, dim: int) -> None:
    index = tmp_path / "index"
    result = photoseek("build", SAMPLE / "test_images", "-i", index, "--encoder", encoder, "--regions", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    facts = json.loads(photoseek("info", "-i", index, "--json").stdout)
    shipped = Ranker.shipped(facts["encoder"])
    assert shipped is not None
    assert (facts["dim"], facts["regions"], facts["ranker"]) == (dim, True, shipped.id)
    assert facts["encoder"].startswith(f"{encoder}@")
    # An update needs neither option again, nor does a search.
    again = photoseek("build", SAMPLE / "test_images", "-i", index, "-q")
    assert again.stdout.startswith(f"6 photos in {index}: 0 added, 0 changed, ")
    of_this = {name: facts[name] for name in ("builds", "megabytes")}
    assert json.loads(photoseek("info", "-i", index, "--json").stdout) | of_this == facts
    assert photoseek("search", "a cat", "-i", index, "-k", 6, "--misses").stdout.count("\n") >= 6
