import json
import os

import pytest

from indexer.index import Index
from indexer.storage import manifest
from indexer.storage.manifest import Manifest
from tiny_index import build, damaged, refusal

# Every byte of a manifest: the format on disk.
TEXT = """{
 "format": 3,
 "encoder": "tiny@1",
 "encoder_name": "tiny",
 "encoder_options": {
  "weights": "/w.pth"
 },
 "dim": 4,
 "dtype": "float16",
 "metric": "inner product",
 "normalisation": "unit rows",
 "embeddings": "embeddings-1.f16",
 "regions": [
  2,
  4
 ],
 "sha256": "fa9315666ba2c3f7c6493bcd67950c3f9e66e4c836254dfcef7159cfa9bc4c13"
}
"""
WRITTEN = Manifest("tiny@1", "tiny", 4, encoder_options={"weights": "/w.pth"}, region_shape=(2, 4))


def test_the_manifest_says_what_the_index_is(photos, folder):
    build(photos, folder)
    values = json.loads((folder / "manifest.json").read_text())
    assert len(values.pop("sha256")) == 64
    assert values == {
        "format": 3,
        "encoder": "tiny@1",
        "encoder_name": "tiny",
        "encoder_options": {},
        "dim": 4,
        "dtype": "float16",
        "metric": "inner product",
        "normalisation": "unit rows",
        "embeddings": "embeddings-1.f16",
        "regions": [0, 0],
    }


def test_a_manifest_is_written_byte_for_byte_and_read_back(tmp_path):
    manifest.write(tmp_path, WRITTEN)
    assert (tmp_path / "manifest.json").read_text() == TEXT
    assert manifest.read(tmp_path) == WRITTEN
    assert (WRITTEN.has_regions, WRITTEN.region_file) == (True, "regions-1.i8")


def test_a_manifest_of_before_lacks_what_has_a_default(tmp_path):
    values = {"format": 1, "encoder": "tiny@1", "encoder_name": "tiny", "dim": 4, "embeddings": "embeddings-7.f16"}
    (tmp_path / "manifest.json").write_text(json.dumps(values))
    read = manifest.read(tmp_path)
    assert read == Manifest("tiny@1", "tiny", 4, embeddings="embeddings-7.f16", format=1)
    assert not read.has_checksums
    assert (read.has_regions, read.region_file, read.encoder_options) == (False, "regions-7.i8", {})


def test_regions_are_added_and_every_other_key_stays(tmp_path):
    values = {"format": 1, "encoder": "tiny@1", "encoder_name": "tiny", "dim": 4, "embeddings": "embeddings-1.f16"}
    (tmp_path / "manifest.json").write_text(json.dumps(values | {"regions": [0, 0], "synthetic": {"seed": 3}}))
    manifest.add_regions(tmp_path, (2, 4))
    written = json.loads((tmp_path / "manifest.json").read_text())
    assert len(written.pop("sha256")) == 64
    assert written == values | {"regions": [2, 4], "synthetic": {"seed": 3}}


@pytest.mark.parametrize("key", ["encoder", "encoder_name", "dim", "embeddings"])
def test_a_manifest_that_lacks_what_it_takes_is_damaged(tmp_path, key):
    values = json.loads(TEXT)
    del values[key], values["sha256"]
    (tmp_path / "manifest.json").write_text(json.dumps({**values, "format": 2}))
    assert refusal(lambda: Index.open(tmp_path)) == f"{tmp_path}/manifest.json cannot be read: {damaged(tmp_path)}"


def test_a_missing_index_is_refused_with_the_command_that_makes_one(folder):
    line = f"no index at {folder}; make one: photoseek build PHOTOS -i {folder}"
    assert refusal(lambda: Index.open(folder)) == line


@pytest.mark.parametrize("content", ["", "no json", "[]", "{}", "null", "\udcff", '{"format": 1, "regions": 7}'])
def test_a_damaged_manifest_is_refused(photos, folder, content):
    build(photos, folder)
    (folder / "manifest.json").write_bytes(os.fsencode(content))
    line = f"{folder}/manifest.json cannot be read: {damaged(folder)}"
    assert refusal(lambda: Index.open(folder)) == line
    assert refusal(lambda: build(photos, folder)) == line


@pytest.mark.parametrize(
    "content",
    [
        '{"manifest_version": 3, "name": "an extension of a browser"}',
        '{"name": "a web page", "icons": []}',
        '{"format": "zip", "encoder": "x"}',
        "[1, 2]",
        "// of another program",
        "",
    ],
)
@pytest.mark.parametrize("has_catalogue", [False, True])
def test_a_folder_with_the_manifest_of_another_program_is_no_index_and_nobody_is_told_to_delete_it(
    photos, tmp_path, content, has_catalogue
):
    folder = tmp_path / "somebody's"
    folder.mkdir()
    (folder / "manifest.json").write_text(content)
    if has_catalogue:
        (folder / "catalogue.sqlite").touch()
    line = f"{folder} is not a photoseek index (manifest.json in it is of another program); name another folder with -i"
    assert refusal(lambda: Index.open(folder)) == line
    assert refusal(lambda: build(photos, folder)) == line
    assert (folder / "manifest.json").read_text() == content


def test_a_manifest_that_is_a_folder_is_of_another_program(tmp_path):
    (tmp_path / "manifest.json").mkdir()
    assert refusal(lambda: Index.open(tmp_path)).startswith(f"{tmp_path} is not a photoseek index (")


def test_an_index_that_may_not_be_read_is_not_damaged(photos, folder, monkeypatch):
    build(photos, folder)

    def refuse(*_arguments, **_options):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.read_bytes", refuse)
        assert refusal(lambda: Index.open(folder)) == f"index {folder}: manifest.json cannot be read: Permission denied"
    opened = Index.open(folder)
    opened.close()
    monkeypatch.setattr("os.stat", refuse)
    assert refusal(opened.embeddings) == f"{folder}/embeddings-1.f16: Permission denied"


def test_a_folder_of_photos_is_no_index_and_none_is_begun_in_it(photos):
    assert refusal(lambda: Index.open(photos)) == f"{photos} is not a photoseek index; name the folder of one with -i"
    line = f"{photos} is not an index and not empty; give another folder with -i"
    assert refusal(lambda: build(photos, photos)) == line


def test_the_command_that_trains_a_ranker_names_the_options_of_the_encoder():
    options = {"weights": "/my models/w.pth", "device": "cpu"}
    made = Manifest("torchvision:resnet18@1", "torchvision:resnet18", 4, encoder_options=options)
    assert made.training_command == (
        "photoseek train JUDGED -o RANKER --image-encoder torchvision:resnet18 --weights '/my models/w.pth'"
    )


def test_an_index_of_another_format_is_refused(photos, folder):
    build(photos, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 4}))
    line = f"index {folder} has format 4, this photoseek reads 1 to 3; update photoseek"
    assert refusal(lambda: Index.open(folder)) == line
    assert refusal(lambda: build(photos, folder)) == line


def test_a_manifest_with_any_other_byte_in_an_entry_is_damaged(tmp_path):
    line = f"{tmp_path}/manifest.json cannot be read: {damaged(tmp_path)}"
    for old, new in (("tiny@1", "tiny@3"), ('"dim": 4', '"dim": 5'), ("  4\n", "  6\n"), ("s-1.f16", "s-2.f16")):
        assert TEXT.count(old) == 1
        (tmp_path / "manifest.json").write_text(TEXT.replace(old, new))
        assert refusal(lambda: manifest.read(tmp_path)) == line, new


@pytest.mark.parametrize(
    "entry",
    [
        {"embeddings": "../embeddings-1.f16"},
        {"embeddings": "/etc/passwd"},
        {"embeddings": "catalogue.sqlite"},
        {"dim": "4"},
        {"dim": -4},
        {"dim": True},
        {"dim": 4.0},
        {"regions": [2, -4]},
        {"regions": [2]},
        {"regions": ["2", "4"]},
    ],
    ids=str,
)
def test_a_manifest_of_other_types_or_that_leads_out_of_the_index_is_damaged(tmp_path, entry):
    manifest.write_values(tmp_path, {**WRITTEN.to_json(), **entry})
    assert refusal(lambda: manifest.read(tmp_path)) == f"{tmp_path}/manifest.json cannot be read: {damaged(tmp_path)}"


def test_a_file_is_no_damaged_index(tmp_path):
    file = tmp_path / "queries.csv"
    file.write_text("query\na cat\n")
    assert refusal(lambda: Index.open(file)) == f"{file} is a file and no index; name the folder of one with -i"
    assert file.read_text() == "query\na cat\n"
