"""The command line with terminals, pipes, interruption and bugs, and its version."""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_line import ROOT, SAMPLE, fresh, photoseek, without_progress
from indexer.errors import PhotoseekError
from indexer.index import Index
from search.searcher import Searcher


def test_off_a_terminal_there_is_no_bar_and_no_colour(photos: Path, tmp_path: Path) -> None:
    done = fresh("build", photos, "-i", tmp_path / "index", env={**os.environ, "FORCE_COLOR": "1", "TERM": "xterm"})
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert len(without_progress(done.stderr).splitlines()) == 2


@pytest.mark.parametrize(("settings", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_bar_moves_on_a_terminal_and_has_no_colour_if_asked(
    photos: Path, tmp_path: Path, settings: dict[str, str], coloured: bool
) -> None:
    master, slave = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    done = subprocess.Popen(
        [sys.executable, "-m", "cli", "build", str(photos), "-i", str(tmp_path / "index")],
        stdout=subprocess.PIPE,
        stderr=slave,
        env={**environment, "TERM": "xterm-256color", "COLUMNS": "100", **settings},
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            shown += os.read(master, 65536)
        except OSError:  # the terminal is gone with its last process
            break
    assert done.communicate()[0].startswith(b"8 photos in ")
    assert done.returncode == 0
    assert b"indexing" in shown
    assert bool(re.search(rb"\x1b\[[0-9;]*3[0-9]", shown)) is coloured


def test_an_interrupted_build_says_so_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    photos, index = tmp_path / "photos", tmp_path / "index"
    photos.mkdir()
    sources = sorted((SAMPLE / "train_images").iterdir())
    total = 900
    for number in range(total):
        # Bytes after the end of a JPEG are no part of the picture, but make it another file.
        content = sources[number % len(sources)].read_bytes() + number.to_bytes(4, "big")
        (photos / f"{number:04}.jpg").write_bytes(content)
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "build", str(photos), "-i", str(index)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A suite that runs in the background of a shell inherits that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    committed = 0
    while committed == 0 and process.poll() is None:
        time.sleep(0.01)
        try:
            committed = Index.open(index).catalogue.photo_count()
        except PhotoseekError:
            continue  # not begun
    # As a terminal does it: the signal goes to the workers, too.
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert without_progress(err) == "photoseek: interrupted; the same command goes on where it stopped\n"
    found = json.loads(photoseek("search", "a cat", "-i", index, "--json").stdout)
    assert len(found["hits"]) == 10
    assert re.fullmatch(r"[\d]+ of about 900 photos are indexed so far; run the build again", found["notes"][0])
    committed = Index.open(index).catalogue.photo_count()
    assert 0 < committed < total
    done = fresh("build", photos, "-i", index)
    assert (done.returncode, without_progress(done.stderr)) == (0, "")
    assert done.stdout.startswith(f"{total} photos in {index}: {total - committed} added, 0 changed, 0 removed, ")
    assert json.loads(photoseek("info", "-i", index, "--json").stdout)["unfinished"] == 1


def test_a_reader_that_closes_the_pipe_is_no_error(index: Path) -> None:
    command = f"{shlex.quote(sys.executable)} -m cli search 'a cat' -i {shlex.quote(str(index))} -k 9 | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_bug_keeps_its_traceback(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Searcher, "__init__", broken)
    result = photoseek("search", "a cat", "-i", index)
    assert isinstance(result.exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--version"], 0), (["search"], 2), (["search", "a cat", "-i", "none"], 1)]
)
def test_the_console_script_leaves_at_once_with_the_commands_code_and_nothing_undone(
    arguments: list[str], code: int, tmp_path: Path
) -> None:
    # What an interpreter takes down last is left standing; what was registered for the exit is done, all is written.
    program = f"""
import atexit, sys
class Last:
    def __del__(self):
        print("taken down")
sys.last = Last()
atexit.register(print, "registered")
sys.argv = ["photoseek", *{arguments!r}]
from cli import run
run()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    plain = photoseek(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (code, f"{plain.stdout}registered\n", plain.stderr)


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"photoseek \d+\.\d+\.\d+\n", photoseek("--version").stdout)
