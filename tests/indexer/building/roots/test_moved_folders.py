"""Photo folders that are renamed or moved, lost during a walk, or forgotten."""

import os
import shutil
import unicodedata

import pytest

from indexer.callbacks import BuildCallbacks
from indexer.photos.found_files import Skipped
from indexer.photos.rules.patterns import Patterns, PhotoFolders
from tiny_encoder import Refusing
from tiny_index import build, by_root, grey, last, refusal, rows

ALL = {"a.png": 0, "b.png": 1, "trip/c.png": 2, "trip/d.png": 3}


# Folders that moved


def test_photos_of_a_renamed_folder_follow_unread_and_the_old_name_goes(photos, folder, unread, notes, tmp_path):
    built = build(PhotoFolders([photos], Patterns(exclude=("trip/d.png",))), folder)
    photos.rename(tmp_path / "new name")
    built = build(tmp_path / "new name", folder, **unread())
    assert by_root(built) == {f"{tmp_path}/new name": {"a.png": 0, "b.png": 1, "trip/c.png": 2}}
    assert (last(built), built.catalogue.dead_rows()) == ({"seen": 3}, [])
    assert notes == [f"3 photos moved from {photos} to {tmp_path}/new name"]


def test_photos_of_a_folder_that_moved_into_another_follow_without_embedding(photos, folder, told, notes, tmp_path):
    build(photos, folder)
    (tmp_path / "library").mkdir()
    photos.rename(tmp_path / "library" / "old")
    built = build(tmp_path / "library", folder, encoder=Refusing(), **told)
    assert by_root(built) == {str(tmp_path / "library"): {f"old/{path}": row for path, row in ALL.items()}}
    assert notes == [f"{photos} is gone, and all its photos were found elsewhere: the index forgets it"]


def test_photos_of_a_lost_folder_that_are_found_nowhere_stay(photos, folder, told, notes, tmp_path):
    build(photos, folder)
    (tmp_path / "new").mkdir()
    shutil.copy(photos / "a.png", tmp_path / "new/copy.png")
    photos.rename(tmp_path / "unplugged")
    built = build(tmp_path / "new", folder, **told)
    kept = {path: row for path, row in ALL.items() if path != "a.png"}
    assert by_root(built) == {str(photos): kept, str(tmp_path / "new"): {"copy.png": 0}}
    assert notes == [
        f"{photos} is gone, and 1 of its photos were found elsewhere; the other 3 are kept until "
        f"photoseek forget {photos} -i {folder}"
    ]
    # When the disk is back, nothing is embedded again.
    (tmp_path / "unplugged").rename(photos)
    assert by_root(build(photos, folder, encoder=Refusing()))[str(photos)] == ALL


def test_a_folder_that_is_only_unplugged_stays_as_it_is(photos, folder, told, notes, tmp_path):
    build(photos, folder)
    grey(tmp_path / "new", e=20)
    photos.rename(tmp_path / "unplugged")
    built = build(tmp_path / "new", folder, **told)
    assert (by_root(built)[str(photos)], notes) == (ALL, [])


def test_a_copy_of_a_folder_that_is_still_there_takes_nothing_from_it(photos, folder, tmp_path):
    build(photos, folder)
    shutil.copytree(photos, tmp_path / "copy")
    built = build(tmp_path / "copy", folder, encoder=Refusing())
    assert by_root(built) == {str(photos): ALL, str(tmp_path / "copy"): ALL}


# Faults during a walk


@pytest.mark.parametrize(("fault", "reason"), [(2, "vanished"), (5, "Input/output error"), (116, "Stale file handle")])
def test_a_folder_that_is_lost_during_the_walk_is_no_deletion(photos, folder, monkeypatch, fault, reason):
    build(photos, folder)
    look = os.stat

    def failing(path, **options):
        if os.fsencode(path).endswith(b"photos/trip"):
            raise OSError(fault, os.strerror(fault))
        return look(path, **options)

    monkeypatch.setattr(os, "stat", failing)
    named = []
    built = build(photos, folder, callbacks=BuildCallbacks(on_skip=named.append))
    assert (rows(built), [item.path for item in named]) == (ALL, [b"trip"])
    assert reason in named[0].reason


def test_a_folder_that_is_truly_removed_between_listing_and_looking_is_no_deletion(photos, folder, monkeypatch):
    build(photos, folder)
    listing = os.scandir

    class Removing:
        def __init__(self, path):
            self.path, self.entries = os.fsencode(path), listing(path)

        def __enter__(self):
            return list(self.entries)

        def __exit__(self, *_):
            if self.path == os.fsencode(photos):
                (photos / "trip").rename(photos.parent / "away")

    monkeypatch.setattr(os, "scandir", Removing)
    named = []
    built = build(photos, folder, callbacks=BuildCallbacks(on_skip=named.append))
    reason = "folder vanished during the walk; the photos known below it are kept"
    assert (rows(built), named) == (ALL, [Skipped(b"trip", reason, is_folder=True)])


def test_a_listing_that_breaks_half_way_is_no_deletion(photos, folder, monkeypatch):
    build(photos, folder)
    listing = os.scandir

    class Breaking:
        def __init__(self, path):
            self.path, self.entries = os.fsencode(path), listing(path)

        def __enter__(self):
            yield from ([next(self.entries)] if self.path.endswith(b"trip") else self.entries)
            if self.path.endswith(b"trip"):
                raise OSError(116, "Stale file handle")

        def __exit__(self, *_):
            self.entries.close()

    monkeypatch.setattr(os, "scandir", Breaking)
    named = []
    built = build(photos, folder, callbacks=BuildCallbacks(on_skip=named.append))
    assert (rows(built), named) == (ALL, [Skipped(b"trip", "folder cannot be read: Stale file handle", True)])


# Forgetting


def test_forgetting_a_folder_leaves_its_photo_files_and_the_others(photos, folder, tmp_path):
    grey(tmp_path / "more", e=20)
    shutil.copy(photos / "a.png", tmp_path / "more/copy.png")
    built = build(PhotoFolders([photos, tmp_path / "more"]), folder)
    files = sorted(photos.rglob("*"))
    assert built.forget(photos) == 4
    assert by_root(built) == {str(tmp_path / "more"): {"copy.png": 0, "e.png": 4}}
    assert (built.catalogue.dead_rows(), built.facts()["roots"]) == ([1, 2, 3], [str(tmp_path / "more")])
    assert sorted(photos.rglob("*")) == files
    assert rows(build(photos, folder, encoder=Refusing())) == {**ALL, "copy.png": 0, "e.png": 4}


@pytest.mark.parametrize(
    ("part", "left"), [("trip", ["a.png", "b.png"]), ("trip/c.png", ["a.png", "b.png", "trip/d.png"])]
)
def test_a_part_of_a_folder_is_forgotten_until_the_next_build(photos, folder, part, left):
    built = build(photos, folder)
    assert built.forget(f"{photos}/{part}/") == 4 - len(left)
    assert list(rows(built)) == left
    assert rows(build(photos, folder, encoder=Refusing())) == ALL


def test_a_part_is_forgotten_by_a_name_through_a_link_and_with_accents_of_either_form(photos, folder):
    (photos / "trip").rename(photos / unicodedata.normalize("NFD", "\u00e9t\u00e9"))
    (photos.parent / "link").symlink_to(photos)
    built = build(photos, folder)
    assert built.forget(photos.parent / "link" / unicodedata.normalize("NFC", "\u00e9t\u00e9")) == 2
    assert list(rows(built)) == ["a.png", "b.png"]


def test_a_folder_that_is_gone_is_forgotten_by_its_old_name_and_with_all_that_was_passed_over(photos, folder):
    (photos / "a.txt").touch()
    (photos / "gone.jpg").symlink_to("nowhere")
    (photos / "broken.png").touch()
    build(photos, folder)
    built = build(PhotoFolders([photos], Patterns(exclude=("trip/",))), folder)
    assert built.facts()["left_out"] == 2
    shutil.rmtree(photos)
    assert built.forget(str(photos)) == 4
    facts = built.facts()
    told = {name: facts[name] for name in ("photos", "skipped", "left_out", "passed_over", "roots", "dead_rows")}
    assert told == {"photos": 0, "skipped": 0, "left_out": 0, "passed_over": {}, "roots": [], "dead_rows": 4}


def test_what_is_no_folder_of_the_index_is_not_forgotten(photos, folder):
    built = build(photos, folder)
    nowhere = photos.parent / "nowhere"
    assert refusal(lambda: built.forget(nowhere)) == (
        f"no photos of the index lie under {nowhere}; its folders: {photos}"
    )
    assert refusal(lambda: built.forget(photos.parent)) == (
        f"{photos.parent} is above {photos}, a folder of the index; name that one"
    )
    assert rows(built) == ALL


def test_what_was_skipped_moves_with_its_folder_and_is_not_tried_again(photos, folder, unread):
    (photos / "broken.png").write_bytes(b"no")
    (photos / "trip/broken.png").write_bytes(b"no picture")
    before = rows(build(photos, folder))
    photos.rename(photos.with_name("renamed"))
    built = build(photos.with_name("renamed"), folder, **unread())
    assert rows(built) == before
    assert last(built) == {"seen": 6, "skipped": 2}
