"""Builds that would remove very many photos, or all of a disk that is not mounted, are refused before they do."""

import os
import shutil
from pathlib import Path

import pytest

from indexer.building.roots import removals
from indexer.building.roots.removals import mount_points
from indexer.photos.found_files import PhotoFile
from indexer.photos.rules.patterns import PhotoFolders
from tiny_encoder import Refusing
from tiny_index import build, grey, last, refusal, rows


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make two removed photos many."""
    monkeypatch.setattr(removals, "MOST_REMOVED", 1)


def test_a_build_that_loses_a_large_part_is_refused_and_changes_nothing(few, photos, folder):
    before = build(photos, folder)
    shutil.rmtree(photos / "trip")
    line = refusal(lambda: build(photos, folder))
    assert line == (
        f"2 of 4 photos under '{photos}' are gone; is a disk not mounted? no photo was removed; if they were deleted "
        "on purpose, build with --accept-removals"
    )
    assert len(rows(before)) == 4
    assert len(before.history()) == 1
    built = build(PhotoFolders([photos], accept_removals=True), folder)
    assert (rows(built), last(built)) == ({"a.png": 0, "b.png": 1}, {"seen": 2, "removed": 2})


def test_a_small_part_and_a_few_photos_are_removed_unasked(photos, folder, monkeypatch):
    build(photos, folder)
    shutil.rmtree(photos / "trip")
    assert last(build(photos, folder)) == {"seen": 2, "removed": 2}  # two are few
    grey(photos, **{f"n{i}": 2 * i + 1 for i in range(9)})
    build(photos, folder)
    monkeypatch.setattr(removals, "MOST_REMOVED", 0)
    (photos / "n0.png").unlink()
    assert last(build(photos, folder)) == {"seen": 10, "removed": 1}  # one of eleven is a small part


def test_photos_that_were_renamed_are_not_lost(few, photos, folder):
    build(photos, folder)
    (photos / "trip").rename(photos / "holiday")
    built = build(photos, folder, encoder=Refusing())
    assert rows(built) == {"a.png": 0, "b.png": 1, "holiday/c.png": 2, "holiday/d.png": 3}


def test_photos_that_others_replaced_are_lost(few, photos, folder):
    build(photos, folder)
    shutil.rmtree(photos / "trip")
    grey(photos, trip__e=77, trip__f=78)
    assert "2 of 4 photos" in refusal(lambda: build(photos, folder))


def test_photos_that_are_left_out_or_were_skipped_are_not_lost(few, photos, folder):
    (photos / "x.png").write_bytes(b"broken")
    (photos / "y.png").write_bytes(b"broken, too")
    build(photos, folder)
    for name in "xy":
        (photos / f"{name}.png").unlink()
    (photos / "trip" / ".photoseekignore").write_text("*\n")
    assert rows(build(photos, folder)) == {"a.png": 0, "b.png": 1}


def test_a_part_is_measured_against_what_was_known_in_it(few, photos, folder):
    build(photos, folder)
    for name in "cd":
        (photos / "trip" / f"{name}.png").unlink()
    grey(photos / "trip", e=9)
    assert "2 of 2 photos" in refusal(lambda: build(photos / "trip", folder))


@pytest.fixture
def disk(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the folder `trip` be on a disk of its own, as far as the build can see, while a file beside it says so."""
    real = os.lstat
    mounted = photos.parent / "mounted"
    mounted.touch()

    def lstat(path, *rest, **options):
        info = real(path, *rest, **options)
        if os.fsencode(path).startswith(os.fsencode(photos / "trip")) and mounted.exists():
            return os.stat_result([*info[:2], info.st_dev + 1, *info[3:]])
        return info

    monkeypatch.setattr(removals.os, "lstat", lstat)
    return photos / "trip"


def unmount(disk: Path) -> None:
    (disk.parent.parent / "mounted").unlink()
    disk.rename(disk.parent.parent / "elsewhere")
    disk.mkdir()


def test_a_disk_that_is_not_mounted_is_no_deletion_however_few_its_photos(photos, folder, disk):
    build(photos, folder)
    unmount(disk)
    for _ in range(2):
        assert refusal(lambda: build(photos, folder)) == (
            f"'{disk}' was a disk of its own with 2 photos, and holds none now; is it not mounted? no photo was "
            "removed; if they were deleted on purpose, build with --accept-removals"
        )
    built = build(PhotoFolders([photos], accept_removals=True), folder)
    assert last(built) == {"seen": 2, "removed": 2}
    grey(photos, new=3)
    assert last(build(photos, folder)) == {"seen": 3, "added": 1}


def test_photos_may_be_deleted_from_a_disk_that_is_there(photos, folder, disk):
    build(photos, folder)
    (disk / "c.png").unlink()
    assert last(build(photos, folder)) == {"seen": 3, "removed": 1}


def test_a_folder_that_was_no_disk_may_be_emptied(photos, folder):
    build(photos, folder)
    for name in "cd":
        (photos / "trip" / f"{name}.png").unlink()
    assert last(build(photos, folder)) == {"seen": 2, "removed": 2}


def test_mount_points_are_found_by_the_device_of_the_folder_above(photos, disk):
    grey(photos, trip__deep__e=5, other__f=6)
    paths = [b"a.png", b"other/f.png", b"trip/c.png", b"trip/deep/e.png"]
    files = [PhotoFile(path, 1, 1) for path in paths]
    assert mount_points(os.fsencode(photos), files) == [b"trip"]
    (photos.parent / "mounted").unlink()
    assert mount_points(os.fsencode(photos), files) == []
