import json
import os

import pytest

from indexer.index import Index
from tiny_index import DAMAGED, build, refusal


def test_the_manifest_says_what_the_index_is(photos, folder):
    build(photos, folder)
    assert json.loads((folder / "manifest.json").read_text()) == {
        "format": 1,
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


def test_a_missing_index_is_refused_with_the_command_that_makes_one(folder):
    line = f"no index at {folder}; make one: photoseek build PHOTOS -i {folder}"
    assert refusal(lambda: Index.open(folder)) == line


@pytest.mark.parametrize("content", ["", "no json", "[]", "{}", "null", "\udcff"])
def test_a_damaged_manifest_is_refused(photos, folder, content):
    build(photos, folder)
    (folder / "manifest.json").write_bytes(os.fsencode(content))
    line = f"{folder}/manifest.json cannot be read: {DAMAGED}"
    assert refusal(lambda: Index.open(folder)) == line
    assert refusal(lambda: build(photos, folder)) == line


def test_an_index_of_another_format_is_refused(photos, folder):
    build(photos, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 2}))
    line = f"index {folder} has format 2, this photoseek reads 1; delete it and build it again"
    assert refusal(lambda: Index.open(folder)) == line
    assert refusal(lambda: build(photos, folder)) == line
