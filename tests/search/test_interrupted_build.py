"""Searches of an index whose first build was ended by a signal, after some of the photos."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import ROOT, SAMPLE, photoseek
from indexer.index import Index
from indexer.storage.write_lock import write_lock
from reranker.ranker import Ranker
from search.searcher import Searcher

PHOTOS = sorted(path.name for path in (SAMPLE / "train_images").iterdir())
# A build of commits of 4 that ends itself by a signal after ten photos.
BUILD = """
import os, signal, sys
from indexer.building import photo_writer
from indexer.callbacks import BuildCallbacks
from indexer.index import Index
photo_writer.COMMIT_ROWS = 4
photos, folder, number = sys.argv[1:]
# A shell may start what runs in the background with Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
end = lambda done, total: os.kill(os.getpid(), int(number)) if done == 10 else None
Index.build(photos, folder, callbacks=BuildCallbacks(on_progress=end))
"""
NOTE = f"8 of about {len(PHOTOS)} photos are indexed so far; run the build again"


def interrupted(folder: Path, number: signal.Signals) -> Path:
    command = [sys.executable, "-c", BUILD, SAMPLE / "train_images", folder, str(int(number))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode in (-number, 1)
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an index whose build was killed after 8 photos. Tests take copies."""
    return interrupted(tmp_path_factory.mktemp("killed") / "index", signal.SIGKILL)


@pytest.fixture
def copy(killed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(killed, tmp_path / "index"))


def names(result: dict) -> list[str]:
    return sorted(Path(hit["path"]).name for hit in result["hits"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_committed_is_found_after_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    folder = interrupted(tmp_path / "index", number)
    answer = json.loads(photoseek("search", "a cat", "-i", folder, "--json", "-k", 50).stdout)
    assert (names(answer), answer["notes"]) == (PHOTOS[:8], [NOTE])


def test_the_first_search_after_a_kill_attaches_the_shipped_ranker_and_notes_what_is_missing(copy: Path) -> None:
    first = photoseek("search", "a cat", "-i", copy, "--json", "-k", 50)
    assert first.stderr == f"note: preparing 8 photos for the first search\nnote: {NOTE}\n"
    answer = json.loads(first.stdout)
    assert (names(answer), answer["notes"]) == (PHOTOS[:8], [NOTE])
    active = Index.open(copy).catalogue.active_view()
    assert active is not None
    assert (active.ranker_id, active.rows) == (Ranker.default().id, 8)
    assert photoseek("search", "a cat", "-i", copy, "--json", "-k", 50).stderr == f"note: {NOTE}\n"
    assert photoseek("info", "-i", copy).stderr == f"note: {NOTE}\n"
    # The build goes on, and the note goes.
    built = photoseek("build", SAMPLE / "train_images", "-i", copy, "-q")
    assert built.stdout.startswith(f"{len(PHOTOS)} photos in {copy}: {len(PHOTOS) - 8} added, ")
    done = photoseek("search", "a cat", "-i", copy, "--json", "-k", 50)
    assert (names(json.loads(done.stdout)), done.stderr) == (PHOTOS, "")


def test_while_the_build_runs_a_search_makes_a_view_of_its_own(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(copy.parent))
    monkeypatch.setattr("tempfile.tempdir", None)
    with write_lock(copy):
        searcher = Searcher(Index.open(copy))
        answer = searcher.answer("a cat", 50)
        assert sorted(Path(hit.path).name for hit in answer.hits) == PHOTOS[:8]
        assert answer.notes == (NOTE.replace("run the build again", "a build is running"),)
        assert Index.open(copy).catalogue.active_view() is None
        (own,) = copy.parent.glob("photoseek-view-*")
        del searcher
        assert not own.exists()
    attached = Searcher(Index.open(copy)).answer("a cat", 50)
    assert [(hit.path, hit.score, hit.relevance) for hit in attached.hits] == [
        (hit.path, hit.score, hit.relevance) for hit in answer.hits
    ]


def test_an_index_without_a_photo_says_why(tmp_path: Path) -> None:
    photos, index = tmp_path / "photos", tmp_path / "index"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"no photo")
    assert photoseek("build", photos, "-i", index).exit_code == 1
    line = (
        f"photoseek: index {index} holds no photos: its build was interrupted before the first were kept, or none "
        "could be read; run the build again\n"
    )
    result = photoseek("search", "a cat", "-i", index)
    assert (result.exit_code, result.stderr) == (1, line)
    with write_lock(index):
        running = photoseek("search", "a cat", "-i", index).stderr
    assert running == f"photoseek: index {index} holds no photos yet; a build is running, search again in a while\n"


def test_a_copy_without_sqlites_side_file_has_the_view(copy: Path, tmp_path: Path) -> None:
    with Index.open(copy).catalogue._database._connection as reader:  # keeps the side file in use
        reader.execute("SELECT 1 FROM photos").fetchone()
        found = photoseek("search", "a cat", "-i", copy, "--json", "-k", 50).stdout
        moved = Path(shutil.copytree(copy, tmp_path / "moved", ignore=shutil.ignore_patterns("*-wal", "*-shm")))
    again = photoseek("search", "a cat", "-i", moved, "--json", "-k", 50)
    assert (again.stdout, again.stderr) == (found, f"note: {NOTE}\n")


def test_a_copy_whose_catalogue_names_an_older_view_says_what_is_missing(copy: Path, tmp_path: Path) -> None:
    photoseek("search", "a cat", "-i", copy)
    before = (copy / "catalogue.sqlite").read_bytes()
    (old,) = (copy / "views").iterdir()
    shutil.rmtree(old)
    Index.open(copy).attach(Ranker.default())
    moved = Path(shutil.copytree(copy, tmp_path / "moved", ignore=shutil.ignore_patterns("*-wal", "*-shm")))
    (moved / "catalogue.sqlite").write_bytes(before)
    result = photoseek("search", "a cat", "-i", moved)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"photoseek: index {moved} has another view than its catalogue says, as when it is copied without "
        f"catalogue.sqlite-wal; copy the whole folder again, or run: photoseek use RANKER -i {moved}, or for the "
        f"shipped ranker: photoseek build PHOTOS -i {moved}\n"
    )
    assert os.path.exists(copy / "catalogue.sqlite")
