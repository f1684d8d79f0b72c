"""Photo folders of an index: several, nested, and under other names."""

import os
import shutil
import sqlite3
import unicodedata
from contextlib import closing

import pytest

from indexer.callbacks import BuildCallbacks
from indexer.embedding.pipeline import Decoding
from indexer.file_checks import FileChecks
from indexer.index import Index
from indexer.photos.rules.patterns import Patterns, PhotoFolders
from tiny_index import build, by_root, grey, last, refusal, rows

ALL = {"a.png": 0, "b.png": 1, "trip/c.png": 2, "trip/d.png": 3}


# Several folders


def test_one_build_takes_several_folders_with_one_progress_and_one_line_of_history(photos, folder, tmp_path):
    grey(tmp_path / "more", e=20, f=30)
    seen = []
    callbacks = BuildCallbacks(on_progress=lambda *done: seen.append(done))
    built = build(PhotoFolders([tmp_path / "more", photos]), folder, callbacks=callbacks)
    assert by_root(built) == {
        str(tmp_path / "more"): {"e.png": 0, "f.png": 1},
        str(photos): {"a.png": 2, "b.png": 3, "trip/c.png": 4, "trip/d.png": 5},
    }
    assert (last(built), len(built.history())) == ({"seen": 6, "added": 6}, 1)
    assert seen == [(done, 6) for done in range(7)]


def test_one_folder_that_cannot_be_read_refuses_all_before_anything_is_changed(photos, folder, tmp_path):
    before = rows(build(photos, folder))
    grey(photos, new=9)
    line = refusal(lambda: build(PhotoFolders([photos, tmp_path / "nowhere"]), folder))
    assert line == f"photo folder '{tmp_path}/nowhere' cannot be read: No such file or directory"
    assert rows(Index.open(folder)) == before


def test_one_known_folder_that_is_empty_now_refuses_all_before_anything_is_changed(photos, folder, tmp_path):
    grey(tmp_path / "more", e=20)
    before = by_root(build(PhotoFolders([photos, tmp_path / "more"]), folder))
    (tmp_path / "more/e.png").rename(tmp_path / "e.png")
    grey(photos, new=9)
    assert refusal(lambda: build(PhotoFolders([photos, tmp_path / "more"]), folder)) == (
        f"no photos found under '{tmp_path}/more', where the index knows 1; is a disk not mounted? Nothing was changed"
    )
    assert by_root(Index.open(folder)) == before


def test_a_new_folder_without_photos_is_named_and_the_others_are_indexed(photos, folder, tmp_path, told, notes):
    (tmp_path / "empty").mkdir()
    (tmp_path / "films").mkdir()
    (tmp_path / "films/a.mp4").touch()
    built = build(PhotoFolders([tmp_path / "empty", photos, tmp_path / "films"]), folder, **told)
    assert built.facts()["roots"] == [str(photos)]
    assert notes == [
        f"no photos found under '{tmp_path}/empty'",
        f"no photos found under '{tmp_path}/films' (passed over: 1 video)",
    ]


# One folder inside another


@pytest.mark.parametrize("names", [("", "trip"), ("trip", ""), ("trip", "trip/", "", "trip/../trip")])
def test_a_folder_inside_another_is_a_part_of_it(photos, folder, names):
    built = build(PhotoFolders([f"{photos}/{name}" for name in names]), folder)
    assert (by_root(built), built.rows) == ({str(photos): ALL}, 4)
    assert last(built) == {"seen": 4, "added": 4}


def test_building_a_part_of_a_known_folder_brings_that_part_up_to_date_and_no_more(photos, folder, told, notes):
    build(photos, folder)
    (photos / "b.png").unlink()
    (photos / "trip/c.png").unlink()
    grey(photos, new=9, trip__new=10)
    (photos / "trip/.photoseekignore").touch()
    built = build(photos / "trip", folder, **told)
    expected = {"a.png": 0, "b.png": 1, "trip/d.png": 3, "trip/new.png": 4}
    assert (by_root(built), notes) == ({str(photos): expected}, [])
    assert last(built) == {"seen": 2, "added": 1, "removed": 1}
    built = build(photos, folder)
    assert rows(built) == {"a.png": 0, "new.png": 5, "trip/d.png": 3, "trip/new.png": 4}


def test_parts_of_parts_are_walked_once(photos, folder):
    build(photos, folder)
    grey(photos, trip__far__e=20, x__f=30)
    seen = []
    parts = PhotoFolders([photos / "trip/far", photos / "x", photos / "trip"])
    callbacks = BuildCallbacks(on_progress=lambda *done: seen.append(done))
    built = build(parts, folder, callbacks=callbacks)
    assert by_root(built) == {str(photos): {**ALL, "trip/far/e.png": 5, "x/f.png": 4}}
    assert (last(built), seen) == ({"seen": 4, "added": 2}, [(0, 2), (1, 2), (2, 2)])


def test_the_rules_above_hold_in_a_part_that_is_built(photos, folder):
    (photos / ".photoseekignore").write_text("/trip/c.png\n")
    build(PhotoFolders([photos], Patterns(exclude=("/trip/d.png",))), folder)
    grey(photos, trip__e=10)
    assert rows(build(photos / "trip", folder)) == {"a.png": 0, "b.png": 1, "trip/e.png": 2}


def test_a_part_that_is_empty_now_is_refused(photos, folder):
    before = rows(build(photos, folder))
    shutil.rmtree(photos / "trip")
    (photos / "trip").mkdir()
    assert refusal(lambda: build(photos / "trip", folder)) == (
        f"no photos found under '{photos}/trip', where the index knows 2; is a disk not mounted? Nothing was changed"
    )
    assert rows(Index.open(folder)) == before


def test_a_part_without_photos_is_named(photos, folder, told, notes):
    build(photos, folder)
    (photos / "empty").mkdir()
    assert (rows(build(photos / "empty", folder, **told)), notes) == (ALL, [f"no photos found under '{photos}/empty'"])


def test_what_a_system_puts_on_an_empty_disk_is_no_sign_of_photos(photos, folder):
    before = rows(build(photos, folder))
    photos.rename(photos.parent / "away")
    for name in ("lost+found", ".Trash-1000", "System Volume Information"):
        (photos / name).mkdir(parents=True)
    assert refusal(lambda: build(photos, folder)) == (
        f"no photos found under '{photos}', where the index knows 4; is a disk not mounted? Nothing was changed"
    )
    assert rows(Index.open(folder)) == before


def test_a_folder_that_the_one_around_it_leaves_out_is_a_folder_of_its_own(photos, folder):
    grey(photos, **{".private__x": 7})
    for order in ([photos, photos / ".private"], [photos / ".private", photos], [photos], [photos / ".private"]):
        built = build(PhotoFolders(order), folder)
        assert by_root(built) == {str(photos): ALL, str(photos / ".private"): {"x.png": 4}}
    # Nor is it a part if something else inside of what is left out is taken.
    built = build(PhotoFolders([photos / ".private"], Patterns(include=("y.png",))), folder)
    assert by_root(built) == {str(photos): ALL, str(photos / ".private"): {"x.png": 4}}
    built = build(PhotoFolders([photos], Patterns(include=(".private/",))), folder)
    assert by_root(built) == {str(photos): {".private/x.png": 4, **ALL}}


def test_a_folder_around_a_known_one_takes_its_photos_over_unread(photos, folder, unread, notes):
    build(photos / "trip", folder)
    for name in ("a.png", "b.png"):
        (photos / name).unlink()
    built = build(photos, folder, **unread())
    assert by_root(built) == {str(photos): {"trip/c.png": 0, "trip/d.png": 1}}
    assert (last(built), built.catalogue.dead_rows()) == ({"seen": 2}, [])
    assert notes == [f"{photos}/trip is a part of {photos} in the index from now on"]


def test_two_folders_of_an_older_index_that_overlap_become_one(photos, folder, unread):
    build(photos, folder)
    with closing(sqlite3.connect(folder / "catalogue.sqlite", isolation_level=None)) as catalogue:
        catalogue.execute("INSERT INTO roots (path) VALUES (?)", (os.fsencode(photos / "trip"),))
        catalogue.execute(
            "INSERT INTO photos SELECT 2, CAST(substr(path, 6) AS BLOB), size, mtime_ns, row, NULL FROM photos "
            "WHERE CAST(path AS TEXT) LIKE 'trip/%'"
        )
    assert by_root(Index.open(folder))[str(photos / "trip")] == {"c.png": 2, "d.png": 3}
    assert by_root(build(photos / "trip", folder, **unread())) == {str(photos): ALL}


def test_a_link_to_another_folder_of_the_index_is_not_walked_twice(photos, folder, tmp_path):
    grey(tmp_path / "more", e=20)
    (photos / "link").symlink_to(tmp_path / "more")
    built = build(PhotoFolders([photos, tmp_path / "more"]), folder)
    assert by_root(built) == {str(photos): ALL, str(tmp_path / "more"): {"e.png": 4}}
    # Without that folder, its photos are those of the link.
    built.forget(tmp_path / "more")
    assert by_root(build(photos, folder)) == {str(photos): {"link/e.png": 4, **ALL}}


# Other names of a folder


@pytest.mark.parametrize("name", ["link", "link/", "photos/trip/..", "photos//", "./photos"])
def test_another_name_of_a_folder_is_the_same_folder(photos, folder, unread, monkeypatch, name):
    build(photos, folder)
    (photos.parent / "link").symlink_to(photos)
    monkeypatch.chdir(photos.parent)
    assert by_root(build(name, folder, **unread())) == {str(photos): ALL}
    assert Index.open(folder).catalogue.rows_under(os.fsencode(f"{photos.parent}/link/trip")) == [2, 3]


def test_a_linked_folder_is_the_same_as_its_target(photos, folder, unread):
    link = photos.parent / "link"
    link.symlink_to(photos)
    build(link, folder)
    built = build(photos, folder, **unread())
    assert by_root(built) == {str(link): ALL}
    assert built.catalogue.rows_under(os.fsencode(photos / "trip")) == [2, 3]


def test_two_names_of_one_folder_in_an_older_index_become_one(photos, folder, unread, notes):
    build(photos, folder)
    link = photos.parent / "link"
    link.symlink_to(photos)
    with closing(sqlite3.connect(folder / "catalogue.sqlite", isolation_level=None)) as catalogue:
        catalogue.execute("INSERT INTO roots (path) VALUES (?)", (os.fsencode(link),))
        catalogue.execute("INSERT INTO photos SELECT 2, path, size, mtime_ns, row, NULL FROM photos")
    assert by_root(build(link, folder, **unread())) == {str(photos): ALL}
    assert notes == [f"{link} is a part of {photos} in the index from now on"]


@pytest.mark.parametrize(("there", "typed"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_accents_of_either_form_name_the_same_folder(tmp_path, folder, unread, there, typed):
    on_disk, by_hand = (tmp_path / unicodedata.normalize(form, "\u00c9t\u00e9") for form in (there, typed))
    inside = unicodedata.normalize(there, "caf\u00e9")
    grey(on_disk, **{f"{inside}__a": 1, "b": 2})
    build(on_disk, folder)
    built = build(by_hand, folder, **unread())
    assert by_root(built) == {str(on_disk): {f"{inside}/a.png": 1, "b.png": 0}} or by_root(built) == {
        str(on_disk): {f"{inside}/a.png": 0, "b.png": 1}
    }
    row = rows(built)[f"{inside}/a.png"]
    for form in ("NFC", "NFD"):
        assert built.catalogue.rows_under(os.fsencode(by_hand / unicodedata.normalize(form, "caf\u00e9"))) == [row]
        assert built.catalogue.rows_under(os.fsencode(unicodedata.normalize(form, "caf\u00e9"))) == [row]


def test_files_that_are_still_being_written_are_left_out_in_every_folder_after_one_wait(
    photos, folder, tmp_path, monkeypatch
):
    grey(tmp_path / "more", e=20, growing=30)
    whole = (tmp_path / "more/growing.png").read_bytes()
    growing = [tmp_path / "more/growing.png", photos / "growing.png"]
    for path in growing:
        path.write_bytes(whole[:40])
    waits, unsettled, found = [], [], []
    callbacks = BuildCallbacks(on_unsettled=lambda file: unsettled.append(file.path), on_walk=found.append)

    def sleep(seconds):
        waits.append(seconds)
        for path in growing:
            path.write_bytes(whole)

    with monkeypatch.context() as patch:
        patch.setattr("indexer.file_checks.time.sleep", sleep)
        decoding = Decoding(workers=2, checks=FileChecks(settle_seconds=0.01))
        built = build(PhotoFolders([photos, tmp_path / "more"]), folder, decoding=decoding, callbacks=callbacks)
    assert (waits[0], unsettled, found) == (0.01, [b"growing.png", b"growing.png"], [0, 5])
    assert last(built) == {"seen": 7, "added": 5}
    assert last(build(PhotoFolders([photos, tmp_path / "more"]), folder)) == {"seen": 7, "added": 2}
