"""`photoseek build --watch` as a process of its own, on a real folder, with searches of other processes beside it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import ROOT, SAMPLE, fresh, without_progress

SOURCES = sorted((SAMPLE / "test_images").iterdir())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    root.mkdir()
    for source in SOURCES[:2]:
        shutil.copy(source, root)
    return root


@pytest.fixture
def watch(photos: Path, tmp_path: Path) -> Iterator[subprocess.Popen]:
    """Start a watch, in a group of its own as a shell does it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "build", str(photos), "-i", str(tmp_path / "index"), "--watch"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A suite that runs in the background of a shell inherits that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    yield process
    process.kill()
    process.communicate()


def found(index: Path) -> set[str]:
    """Return the names of the photos that a search of another process finds."""
    searched = fresh("search", "a cat", "-i", index, "-k", 50, "--misses", "--paths", cwd=ROOT)
    assert searched.returncode == 0, searched.stderr
    return {Path(line).name for line in searched.stdout.splitlines()}


def told(watch: subprocess.Popen) -> str:
    """Wait for a line on stderr that says more than how far a build is."""
    while not (line := without_progress(watch.stderr.readline())):
        assert watch.poll() is None
    return line


def built(watch: subprocess.Popen) -> str:
    """Wait for the summary of a build, and return it without its seconds."""
    return watch.stdout.readline().rpartition(",")[0]


def test_a_watch_follows_its_folder_while_others_search_and_write(
    watch: subprocess.Popen, photos: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    names = [source.name for source in SOURCES]
    assert built(watch) == f"2 photos in {index}: 2 added, 0 changed, 0 removed, 0 skipped"
    assert told(watch) == "watching for changes; Ctrl-C ends it\n"
    assert found(index) == set(names[:2])
    # A file that is being copied: half of it is no photo to anybody.
    (photos / "trip").mkdir()
    content = SOURCES[2].read_bytes()
    with open(photos / "trip" / names[2], "wb") as file:
        file.write(content[: len(content) // 2])
        file.flush()
        shutil.copy(SOURCES[3], photos)
        file.write(content[len(content) // 2 :])
    assert built(watch) == f"4 photos in {index}: 2 added, 0 changed, 0 removed, 0 skipped"
    assert found(index) == set(names[:4])
    # The lock is free between two builds.
    assert fresh("build", photos, "-i", index, "-q", cwd=ROOT).returncode == 0
    (photos / names[0]).unlink()
    assert built(watch) == f"3 photos in {index}: 0 added, 0 changed, 1 removed, 0 skipped"
    assert found(index) == set(names[1:4])
    # A folder that is gone is no deletion.
    photos.rename(tmp_path / "away")
    assert told(watch).startswith(f"note: {photos} is not there; ")
    line = told(watch)
    assert (
        line
        == f"photoseek: photo folder {str(photos)!r} cannot be read: No such file or directory (watching goes on)\n"
    )
    assert found(index) == set(names[1:4])
    (tmp_path / "away").rename(photos)
    shutil.copy(SOURCES[4], photos)
    assert built(watch) == f"4 photos in {index}: 1 added, 0 changed, 0 removed, 0 skipped"
    os.killpg(watch.pid, signal.SIGTERM)
    out, err = watch.communicate()
    assert (watch.returncode, out, without_progress(err)) == (0, "", "")


def test_ctrl_c_ends_a_watch(watch: subprocess.Popen) -> None:
    built(watch)
    told(watch)
    os.killpg(watch.pid, signal.SIGINT)
    _, err = watch.communicate()
    interrupted = "photoseek: interrupted; the same command goes on where it stopped\n"
    assert (watch.returncode, without_progress(err)) == (130, interrupted)
