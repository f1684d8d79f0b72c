"""A child process is watched in one folder; a call of it fails, or it is killed before."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.soak.system_calls import HAPPEN, KILL, MARK, Call, Ending, Mark, watch
from indexer.errors import PhotoseekError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "watched").mkdir()
    return tmp_path / "watched"


def write_three(folder: Path) -> Callable[[Mark], str]:
    """Return work that writes a file, renames it, and removes another, with a mark between."""

    def work(mark: Mark) -> str:
        descriptor = os.open(folder / "new", os.O_CREAT | os.O_WRONLY)
        os.write(descriptor, b"abc")
        os.pwrite(descriptor, b"de", 1)
        os.fsync(descriptor)
        os.close(descriptor)
        mark()
        os.rename(folder / "new", folder / "named")
        os.unlink(folder / "old")
        return "said"

    return work


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_every_call_that_changes_a_file_is_seen_in_order(folder: Path) -> None:
    (folder / "old").touch()
    seen: list[Call] = []

    def decide(call: Call) -> int:
        seen.append(call)
        return HAPPEN

    assert watch(write_three(folder), folder, decide) == Ending("done", "said")
    new = str(folder / "new")
    assert [call for call in seen if call.name != MARK] == [
        Call("create", new),
        Call("write", new, data=b"abc"),
        Call("write", new, offset=1, data=b"de"),
        Call("fsync", new),
        Call("rename", new, str(folder / "named")),
        Call("unlink", str(folder / "old")),
    ]
    assert [call.name for call in seen].index(MARK) == 4
    assert names(folder) == ["named"]
    assert (folder / "named").read_bytes() == b"ade"


@pytest.mark.parametrize(
    ("call", "left"),
    [("create", ["old"]), ("write", ["new", "old"]), ("rename", ["new", "old"]), ("unlink", ["named", "old"])],
)
def test_a_kill_comes_before_its_call(folder: Path, call: str, left: list[str]) -> None:
    (folder / "old").touch()
    ending = watch(write_three(folder), folder, lambda one: KILL if one.name == call else HAPPEN)
    assert ending == Ending("killed", "")
    assert names(folder) == left
    if call == "write":
        assert (folder / "new").read_bytes() == b""


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_failed_call_does_nothing_and_gives_its_error(folder: Path, number: int) -> None:
    def work(_mark: Mark) -> str:
        try:
            (folder / "file").write_bytes(b"abc")
        except OSError as error:
            return str(error.errno)
        return "no error"

    ending = watch(work, folder, lambda call: number if call.name == "write" else HAPPEN)
    assert ending == Ending("done", str(number))
    assert (folder / "file").read_bytes() == b""


def test_calls_in_other_folders_are_not_touched(folder: Path) -> None:
    other = folder.parent / "watched and more"
    other.mkdir()

    def work(_mark: Mark) -> str:
        (other / "file").write_bytes(b"abc")
        (folder / "file").write_bytes(b"abc")
        return ""

    assert watch(work, folder, lambda _call: KILL).kind == "killed"
    assert ((other / "file").read_bytes(), names(folder)) == (b"abc", [])


def test_calls_of_threads_are_seen_and_kill_the_process(folder: Path) -> None:
    def work(_mark: Mark) -> str:
        thread = threading.Thread(target=lambda: (folder / "file").touch())
        thread.start()
        thread.join()
        (folder / "late").touch()
        return ""

    assert watch(work, folder, lambda _call: KILL).kind == "killed"
    assert names(folder) == []


def test_a_line_is_a_refusal_and_any_other_exception_a_traceback(folder: Path) -> None:
    def refuses(_mark: Mark) -> str:
        raise PhotoseekError("no room")

    def breaks(_mark: Mark) -> str:
        raise KeyError("rows")

    assert watch(refuses, folder, lambda _call: HAPPEN) == Ending("refused", "no room")
    ending = watch(breaks, folder, lambda _call: HAPPEN)
    assert (ending.kind, ending.said.splitlines()[-1]) == ("traceback", "KeyError: 'rows'")
