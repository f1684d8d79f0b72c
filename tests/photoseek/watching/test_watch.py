"""Watching folders: what is said, what is built when; with a build that only notes its calls."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import watchfiles

from indexer.errors import PhotoseekError
from photoseek.watching import folder_events
from photoseek.watching.folder_events import FolderEvents, Pace
from photoseek.watching.watch import watch_folders

# Nothing but a change ends a wait, and a burst ends at once.
QUICK = Pace(quiet=0.1, longest_burst=1.0, settle=0.5, unsettled=1e9, poll=1e9, failed=1e9, walk=1e9)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "trip").mkdir(parents=True)
    (tmp_path / "index").mkdir()
    return tmp_path / "photos"


def watched(root: Path, acts: list[Callable[[], object]], pace: Pace = QUICK) -> tuple[list[str], int]:
    """Watch a folder whose n-th build does the n-th act; after the last one comes Ctrl-C.

    Returns:
        What was said, and how many builds there were.
    """
    said: list[str] = []
    builds = 0

    def build(settle: float) -> bool:
        nonlocal builds
        builds += 1
        assert settle == pace.settle
        if builds > len(acts):
            raise KeyboardInterrupt
        return acts[builds - 1]() is True

    with pytest.raises(KeyboardInterrupt):
        watch_folders([os.fsencode(root)], os.fsencode(root.parent / "index"), build, said.append, pace)
    return said, builds


def test_what_changes_during_a_build_is_built_next(root: Path) -> None:
    acts = [
        lambda: (root / "a.jpg").write_bytes(b"1"),
        lambda: (root / "trip" / "b.jpg").write_bytes(b"2"),
        lambda: (root / "new").mkdir(),
        lambda: shutil.rmtree(root / "trip"),
        lambda: (root / "a.jpg").unlink(),
    ]
    assert watched(root, acts) == (["watching for changes; Ctrl-C ends it"], 6)


def test_an_error_of_a_later_build_is_told_once_and_does_not_end_the_watch(root: Path) -> None:
    def failing() -> None:
        raise PhotoseekError("index i: disk is full")

    acts = [lambda: None, failing, failing, lambda: None, failing]
    said, builds = watched(root, acts, replace(QUICK, walk=0, failed=0))
    line = "photoseek: index i: disk is full (watching goes on)"
    assert (said, builds) == (["watching for changes; Ctrl-C ends it", line, line], 6)


def test_an_error_of_the_first_build_is_the_commands(root: Path) -> None:
    def failing(_settle: float) -> bool:
        raise PhotoseekError("no photos")

    with pytest.raises(PhotoseekError, match="no photos"):
        watch_folders([os.fsencode(root)], os.fsencode(root.parent / "index"), failing, print, QUICK)


def test_files_that_were_left_out_are_built_soon(root: Path) -> None:
    said, builds = watched(root, [lambda: True, lambda: None, lambda: None], replace(QUICK, unsettled=0, walk=0))
    assert (len(said), builds) == (1, 4)


def test_a_root_that_goes_and_comes_back_is_followed(root: Path) -> None:
    away = root.parent / "away"

    def refusing() -> None:
        raise PhotoseekError("photo folder cannot be read")

    def back() -> None:
        away.rename(root)
        refusing()

    said, builds = watched(root, [lambda: root.rename(away), back, lambda: (root / "c.jpg").write_bytes(b"3")])
    assert builds == 4
    assert said == [
        "watching for changes; Ctrl-C ends it",
        f"note: {root} is not there; changes are looked for every {1e9 / 60:g} minutes instead",
        "photoseek: photo folder cannot be read (watching goes on)",
    ]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError("OS file watch limit reached. about [...]"),
            "note: the system's limit of watched folders is reached; this raises it: sudo sysctl "
            "fs.inotify.max_user_watches=1048576; changes are looked for every 0 minutes instead",
        ),
        (
            OSError("Too many open files (os error 24)"),
            "note: the system reports no changes (Too many open files (os error 24)); changes are looked for every 0 "
            "minutes instead",
        ),
    ],
)
def test_where_the_system_refuses_the_folder_is_looked_at_now_and_then(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, line: str
) -> None:
    def refusing(*_folders: str, **_options: object):
        raise error
        yield set()

    monkeypatch.setattr(watchfiles, "watch", refusing)
    assert watched(root, [lambda: None, lambda: None], replace(QUICK, poll=0)) == (
        [line, "watching for changes; Ctrl-C ends it"],
        3,
    )


def test_reports_that_end_are_said_once_and_the_folder_is_looked_at_from_then_on(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ending(*_folders: str, **_options: object):
        yield set()
        raise OSError("OS file watch limit reached. about [...]")

    monkeypatch.setattr(watchfiles, "watch", ending)
    said, builds = watched(root, [lambda: None, lambda: None, lambda: None], replace(QUICK, poll=0, walk=60))
    assert builds == 4
    assert [line.partition(";")[0] for line in said] == [
        "watching for changes",
        "note: the system's limit of watched folders is reached",
    ]


def test_a_network_disk_is_looked_at_now_and_then(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_events, "network_type", lambda _folder: "cifs")
    said, builds = watched(root, [lambda: None, lambda: None], replace(QUICK, poll=0))
    assert builds == 3
    assert said[0] == (
        f"note: {root} is on a network disk (cifs), which does not report what other machines change; "
        "changes are looked for every 0 minutes instead"
    )


def test_changes_of_the_index_and_of_hidden_folders_do_not_count(root: Path) -> None:
    inside = root / "index"
    inside.mkdir()
    (root / ".cache").mkdir()
    events = FolderEvents([os.fsencode(root)], os.fsencode(inside), QUICK, pytest.fail)
    try:
        (inside / "catalogue.sqlite").write_bytes(b"1")
        (root / ".cache" / "a.jpg").write_bytes(b"1")
        (root / ".a.jpg.part").write_bytes(b"1")
        assert not any(events._changed() for _ in range(3))
        assert not events._counts(str(inside / "catalogue.sqlite"))
        assert not events._counts(str(inside))
        assert not events._counts(str(root / ".cache" / "a.jpg"))
        assert events._counts(str(root / "index 2" / "a.jpg"))
        assert events._counts(str(root / "a.jpg"))
        (root / "a.jpg").write_bytes(b"1")
        assert any(events._changed() for _ in range(60))
    finally:
        events.close()
