"""Builds that are killed while they add regions, and continue afterwards."""

import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from indexer.index import Index
from tiny_encoder import Refusing, TinyEncoder
from tiny_index import build, halves

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "index"


# Killed

# A build with regions, in blocks of 4, that kills itself at a point given by name.
BUILD = """
import os, signal, sys
photos, folder, point, *paths = sys.argv[1:]
sys.path[:0] = paths
from tiny_encoder import TinyEncoder
from indexer.storage import vector_files
from indexer.storage import manifest
from indexer.embedding import regions
from indexer.building import photo_writer
from indexer.index import Index
from indexer.storage.catalogue import Catalogue

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def dies(function, number, before):
    calls = 0
    def wrapped(*values):
        nonlocal calls
        calls += 1
        if calls == number and before:
            die()
        result = function(*values)
        if calls == number:
            die()
        return result
    return wrapped

photo_writer.COMMIT_ROWS = regions.BLOCK_ROWS = 4
what, _, when = point.partition(": ")
# A commit writes three times: embeddings, regions, records; filling in writes regions only.
calls = {"between embeddings and regions": 4, "before regions": 2, "between regions and their commit": 6}
if when in calls:
    number = 2 if what == "fill" else calls[when]
    vector_files.append = dies(vector_files.append, number, before=when == "before regions")
if when == "inside a block's transaction":
    set_setting, fill = Catalogue.set_setting, dies(Catalogue.set_setting, 2, before=False)
    Catalogue.set_setting = lambda *values: (fill if values[1] == regions.FILLED_SETTING else set_setting)(*values)
if when == "before the manifest":
    manifest.add_regions = die
Index.build(photos, folder, encoder=TinyEncoder(), regions=True)
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    root = tmp_path_factory.mktemp("many")
    halves(root, **{f"{number:02}": (20 * number, 255 - 20 * number) for number in range(11)})
    return root


@pytest.fixture(scope="module")
def whole(many, tmp_path_factory):
    return state(build(many, tmp_path_factory.mktemp("whole"), regions=True))


def state(opened: Index) -> tuple[list, bytes, bytes]:
    photos = [(p.path, p.size, p.mtime_ns, p.row) for p in opened.catalogue.all_photos()]
    return photos, np.asarray(opened.embeddings()).tobytes(), np.asarray(opened.regions()).tobytes()


def kill(photos: Path, folder: Path, point: str) -> None:
    command = [sys.executable, "-c", BUILD, photos, folder, point, CHECKOUT, CHECKOUT / "tests" / "support"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")


@pytest.mark.parametrize("point", ["build: between embeddings and regions", "build: between regions and their commit"])
def test_a_build_killed_around_its_regions_goes_on_to_the_same_rows(many, whole, folder, point):
    kill(many, folder, point)
    opened = Index.open(folder)
    assert opened.rows == 4
    assert state(opened) == (whole[0][:4], whole[1][: 4 * 8], whole[2][: 4 * 8])
    for reopened in (build(many, folder), build(many, folder, encoder=Refusing(), regions=True)):
        assert state(reopened) == whole


@pytest.mark.parametrize(
    ("point", "embedded_again"),
    [
        ("fill: before regions", 7),
        ("fill: between regions and their commit", 7),
        ("fill: inside a block's transaction", 7),
        ("fill: before the manifest", 0),
    ],
)
def test_a_fill_that_is_killed_leaves_an_index_without_and_goes_on(many, whole, folder, point, embedded_again):
    build(many, folder)
    kill(many, folder, point)
    opened = Index.open(folder)
    assert (opened.rows, opened.regions()) == (11, None)
    # A build that does not ask for regions leaves it so.
    assert build(many, folder, encoder=Refusing()).regions() is None
    counting = Counting()
    assert state(build(many, folder, encoder=counting, regions=True)) == whole
    assert sum(counting.blocks) == embedded_again


@dataclass(frozen=True)
class Counting(TinyEncoder):
    """Remembers how many photos it was given."""

    blocks: list[int] = field(default_factory=list)

    def encode_with_regions(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.blocks.append(len(images))
        return super().encode_with_regions(images)
