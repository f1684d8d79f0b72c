"""Changes below photo folders that start a build: those of what builds take, and of what says what they take."""

import os
from pathlib import Path

import pytest

from indexer.photos.rules.patterns import Patterns, PhotoFolders
from photo_tree import write
from photoseek.watching.exclusions import Exclusions
from photoseek.watching.folder_events import FolderEvents, Pace
from tiny_index import build, grey

QUICK = Pace(quiet=0.1, longest_burst=1.0, settle=0.5, unsettled=1e9, poll=1e9, failed=1e9, walk=1e9)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    grey(root, a=0, trip__c=102)
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


def left_out(root: Path, index: Path, *names: str) -> list[str]:
    """Return which of some paths below a watched folder are left out."""
    exclusions = Exclusions([os.fsencode(os.path.realpath(root))], os.fsencode(index))
    return [name for name in names if exclusions.leave_out(os.fsencode(os.path.realpath(root) + "/" + name))]


def test_the_defaults_hold_before_there_is_an_index(tmp_path: Path) -> None:
    write(tmp_path / "photos", "a.jpg", "@eaDir/a.jpg/S.jpg", "app/.nomedia", "app/x.jpg", "trip/b.jpg", ".c/d.jpg")
    names = ["a.jpg", "new.jpg", ".a.jpg.part", "@eaDir/a.jpg/S.jpg", "app/x.jpg", "trip/b.jpg", ".c/d.jpg", "@eaDir"]
    out = [".a.jpg.part", "@eaDir/a.jpg/S.jpg", "app/x.jpg", ".c/d.jpg", "@eaDir"]
    assert left_out(tmp_path / "photos", tmp_path / "index", *names) == out


def test_the_patterns_of_the_index_and_the_ignore_files_hold(photos: Path, folder: Path) -> None:
    write(photos, "skip/a.jpg", ".thumbs/a.gif", ".thumbs/a.jpg")
    write(photos, "trip/.photoseekignore", content=b"*.webp\n")
    patterns = Patterns(exclude=("/skip/", "!.keep/"), include=("*.gif",))
    build(PhotoFolders([photos], patterns), folder)
    names = ["skip/a.jpg", "skip/a.gif", ".thumbs/a.gif", ".thumbs/a.jpg", "trip/a.webp", "a.webp", ".keep/a.jpg"]
    assert left_out(photos, folder, *names) == ["skip/a.jpg", ".thumbs/a.jpg", "trip/a.webp"]
    # A part of a folder of the index goes by the patterns of that.
    (photos / "skip" / "deeper").mkdir()
    assert left_out(photos / "skip", folder, "a.jpg", "deeper/b.jpg", "a.gif") == ["a.jpg", "deeper/b.jpg"]


def test_what_says_what_is_left_out_counts_wherever_photos_are(photos: Path, folder: Path) -> None:
    build(PhotoFolders([photos], Patterns(exclude=("/skip/",))), folder)
    write(photos, "trip/.nomedia", ".photoseekignore", "skip/inner/.photoseekignore")
    names = [".photoseekignore", "trip/.nomedia", "trip/.photoseekignore", "skip/inner/.photoseekignore"]
    assert left_out(photos, folder, *names) == ["skip/inner/.photoseekignore"]


@pytest.mark.parametrize("place", ["one", "two"])
def test_a_change_of_any_watched_folder_counts(tmp_path: Path, place: str) -> None:
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        grey(root, a=1)
        (root / "@eaDir").mkdir()
    events = FolderEvents([os.fsencode(root) for root in roots], os.fsencode(tmp_path / "index"), QUICK, pytest.fail)
    try:
        grey(tmp_path / place / "@eaDir", thumb=2)
        assert not events._changed()
        grey(tmp_path / place, b=2)
        assert any(events._changed() for _ in range(60))
    finally:
        events.close()
