import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer import PhotoseekError
from indexer.index import Index
from tiny_encoder import TinyEncoder
from tiny_ranker import TinyRanker

CHECKOUT = Path(__file__).parents[3]

# A build of commits of 8 that kills itself at a point given by name.
BUILD = """
import os, signal, sys
photos, folder, point, *paths = sys.argv[1:]
sys.path[:0] = paths
from tiny_encoder import TinyEncoder
from indexer.storage import vector_files
from indexer.storage import manifest
from indexer.building import photo_writer
from indexer.callbacks import BuildCallbacks
from indexer.index import Index
from indexer.storage.catalogue import Catalogue

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

calls = 0

def dies_on_call(function, number, before):
    def wrapped(*values, **options):
        global calls
        calls += 1
        if calls == number and before:
            die()
        result = function(*values, **options)
        if calls == number:
            die()
        return result
    return wrapped

photo_writer.COMMIT_ROWS = 8
if point == "before the first row is written":
    vector_files.append = dies_on_call(vector_files.append, 1, before=True)
if point == "between rows and their commit":
    # embeddings and records of the first block, then those of the second
    vector_files.append = dies_on_call(vector_files.append, 4, before=False)
if point == "inside a commit":
    Catalogue.add = dies_on_call(Catalogue.add, 13, before=False)
if point == "before the removals":
    Catalogue.remove = die
if point == "before the manifest":
    manifest.write_text_durably = die
progress = (lambda done, total: die() if point == "between commits" and done == 20 else None)
if point == "from outside":
    def progress(done, total):
        print(done, flush=True)
        sys.stdin.read(1)
Index.build(photos, folder, encoder=TinyEncoder(), callbacks=BuildCallbacks(on_progress=progress))
print("finished")
"""


def start(photos: Path, folder: Path, point: str) -> subprocess.Popen:
    command = [sys.executable, "-c", BUILD, photos, folder, point, CHECKOUT, CHECKOUT / "tests" / "support"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def state(index: Index) -> tuple[list, bytes]:
    photos = [(p.path, p.size, p.row, p.reason) for p in index.catalogue.all_photos()]
    return photos, np.asarray(index.embeddings()).tobytes()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for number in range(30):
        Image.new("RGB", (8, 8), (8 * number, 255 - 8 * number, number % 7)).save(root / f"{number:02}.png")
    shutil.copy(root / "01.png", root / "25.png")  # a duplicate, across commits
    (root / "11.png").write_bytes(b"broken")
    return root


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    return state(Index.build(photos, tmp_path_factory.mktemp("whole"), encoder=TinyEncoder()))


@pytest.mark.parametrize(
    ("point", "committed"),
    [
        ("before the first row is written", 0),
        ("between rows and their commit", 8),
        ("inside a commit", 8),
        ("between commits", 16),
        ("before the removals", 30),
    ],
)
def test_a_killed_build_leaves_a_readable_index_and_the_next_one_completes_it(
    photos, whole, tmp_path, point, committed
):
    with start(photos, tmp_path / "index", point) as child:
        said, _ = child.communicate()
    assert (child.returncode, said) == (-signal.SIGKILL, "")
    opened = Index.open(tmp_path / "index")
    found, stored = state(opened)
    assert found == whole[0][:committed]
    assert stored == whole[1][: opened.rows * 4 * 2]
    assert opened.facts()["unfinished"] == 1
    assert state(Index.build(photos, tmp_path / "index", encoder=TinyEncoder())) == whole
    assert [record.finished is None for record in opened.history()] == [True, False]


def test_a_build_that_is_killed_from_outside_while_another_one_waits(photos, whole, tmp_path):
    folder = tmp_path / "index"
    with start(photos, folder, "from outside") as child:
        for number in range(13):
            assert child.stdout.readline() == f"{number}\n"
            if number < 12:
                child.stdin.write("\n")
                child.stdin.flush()
        with pytest.raises(PhotoseekError) as refusal:
            Index.build(photos, folder, encoder=TinyEncoder())
        with pytest.raises(PhotoseekError) as attaching:
            Index.open(folder).attach(TinyRanker())
        child.kill()
    line = (
        f"index {folder} is being written by process {child.pid} on {socket.gethostname()}; try again when it is done"
    )
    assert (str(refusal.value), str(attaching.value)) == (line, line)
    assert state(Index.open(folder))[0] == whole[0][:8]
    assert state(Index.build(photos, folder, encoder=TinyEncoder())) == whole


def test_a_build_killed_before_the_manifest_is_begun_again(photos, whole, tmp_path):
    with start(photos, tmp_path / "index", "before the manifest") as child:
        child.wait()
    assert not (tmp_path / "index/manifest.json").exists()
    assert state(Index.build(photos, tmp_path / "index", encoder=TinyEncoder())) == whole


def test_a_reader_that_is_open_while_a_build_is_killed_and_completed_keeps_its_rows(photos, tmp_path):
    folder = tmp_path / "index"
    with start(photos, folder, "between rows and their commit") as child:
        child.wait()
    reader = Index.open(folder)
    stored = reader.embeddings()
    before = np.array(stored)
    assert os.path.getsize(folder / "embeddings-1.f16") > before.nbytes  # dead bytes lie behind
    Index.build(photos, folder, encoder=TinyEncoder())
    assert np.array_equal(stored, before)
    assert reader.rows == 8
