"""Photos that are left out, what walks passed over, and roots, as rows of a catalogue."""

import sqlite3
from contextlib import closing

import pytest

from indexer.photos.found_files import PhotoFile
from indexer.storage.catalogue import Catalogue
from indexer.storage.records import KnownFile, NewPhoto
from indexer.storage.tables.schema import ADDED_TABLES
from indexer.storage.tables.unindexed import PassedOverFiles


@pytest.fixture
def catalogue(tmp_path):
    opened = Catalogue(tmp_path / "catalogue.sqlite", create=True)
    with opened.transaction():
        for number, name in enumerate((b"a", b"b/c", b"b/d", b"b.x", b"b0")):
            photo = NewPhoto(name, 5, 7, b"digest %d" % number, 2, 2)
            opened.add(opened.root_id(b"/p"), photo, number, new_row=True)
    yield opened
    opened.close()


def take_out(catalogue, *paths):
    with catalogue.transaction():
        catalogue.unindexed.leave_out(1, paths)
        catalogue.remove(1, paths)


def test_a_photo_that_is_left_out_is_none_of_the_photos_and_comes_back_with_its_row(catalogue):
    take_out(catalogue, b"a", b"b/c", b"not there")
    assert catalogue.unindexed.left_out(1) == {b"a": (5, 7), b"b/c": (5, 7)}
    assert (catalogue.unindexed.left_out_count(), catalogue.dead_rows(), catalogue.photo_count()) == (2, [0, 1], 3)
    with catalogue.transaction():
        catalogue.unindexed.take_back(1, [b"a"])
        catalogue.unindexed.forget_left_out(1, [b"b/c"])
    assert (catalogue.unindexed.left_out(1), catalogue.dead_rows()) == ({}, [1])
    assert catalogue.known_files(1)[b"a"] == KnownFile(5, 7, row=0)
    assert [photo.path for photo in catalogue.photos_of_rows([0])[0]] == [b"a"]


def test_a_photo_that_was_skipped_has_nothing_to_keep(catalogue):
    with catalogue.transaction():
        catalogue.add_skipped(1, PhotoFile(b"broken", 3, 8), "empty file", "decoder 1")
    take_out(catalogue, b"broken")
    assert catalogue.unindexed.left_out(1) == {}
    assert b"broken" not in catalogue.known_files(1)


def test_a_skipped_photo_moves_with_its_reason_and_when_to_try_it_again(catalogue):
    with catalogue.transaction():
        catalogue.add_skipped(1, PhotoFile(b"broken", 3, 8), "empty file", "decoder 1")
        catalogue.root_folders.move_photos(1, catalogue.root_id(b"/q"), [(b"broken", b"in/broken")])
    assert b"broken" not in catalogue.known_files(1)
    assert catalogue.known_files(2) == {b"in/broken": KnownFile(3, 8, None, "decoder 1")}
    with catalogue.transaction():
        catalogue.root_folders.forget(2, b"in")
        catalogue.add_skipped(2, PhotoFile(b"in/broken", 3, 8), "empty file", "always")
    assert catalogue.known_files(2) == {b"in/broken": KnownFile(3, 8, None, "always")}


def test_a_photo_that_comes_back_is_skipped_no_more(catalogue):
    take_out(catalogue, b"a")
    with catalogue.transaction():
        catalogue.add_skipped(1, PhotoFile(b"a", 9, 9), "empty file", "decoder 1")
        catalogue.unindexed.take_back(1, [b"a"])
    assert catalogue.known_files(1)[b"a"] == KnownFile(5, 7, row=0)


def test_a_row_that_is_forgotten_is_not_given_back_unread(catalogue):
    take_out(catalogue, b"a")
    with catalogue.transaction():
        catalogue.forget(0)
    assert catalogue.unindexed.left_out(1) == {b"a": (5, -1)}


def test_a_walk_replaces_what_the_one_before_passed_over(catalogue):
    first = [
        PassedOverFiles("videos", 2, paths=[b"a.mp4", b"\xff.mp4"]),
        PassedOverFiles("bins", 0, 1, 7, False, [b"x/"]),
    ]
    with catalogue.transaction():
        catalogue.unindexed.record_walk(1, first, [(b"gone.jpg", "gone"), (b"a", "b")])
    assert catalogue.unindexed.passed_over() == [(b"/p", first[1]), (b"/p", first[0])]
    assert catalogue.unindexed.unseen() == [(b"a", "b"), (b"gone.jpg", "gone")]
    with catalogue.transaction():
        catalogue.unindexed.record_walk(1, first[:1], [])
    assert catalogue.unindexed.passed_over() == [(b"/p", first[0])]
    assert catalogue.unindexed.unseen() == []


def test_a_walk_that_passed_over_the_same_writes_nothing(catalogue):
    found = [PassedOverFiles("texts", 1, paths=[b"a.txt"])]
    with catalogue.transaction():
        catalogue.unindexed.record_walk(1, found, [(b"gone.jpg", "gone")])
    written = []
    run = catalogue._database.run

    def recording(statement, *values):
        written.append(statement.split()[0])
        return run(statement, *values)

    catalogue.unindexed._run = recording
    catalogue.unindexed.record_walk(1, [PassedOverFiles("texts", 1, paths=[b"a.txt"])], [(b"gone.jpg", "gone")])
    assert written == ["SELECT", "SELECT"]


@pytest.mark.parametrize(
    ("folder", "count", "left"),
    [
        (b"b", 2, [b"a", b"b.x", b"b0"]),
        (b"b/c", 1, [b"a", b"b.x", b"b/d", b"b0"]),
        (b"a", 1, [b"b.x", b"b/c", b"b/d", b"b0"]),
        (b"x", 0, [b"a", b"b.x", b"b/c", b"b/d", b"b0"]),
    ],
)
def test_what_is_below_a_folder_is_forgotten_and_not_what_is_beside_it(catalogue, folder, count, left):
    with catalogue.transaction():
        assert catalogue.root_folders.forget(1, folder) == count
    assert [photo.path for photo in catalogue.all_photos()] == left
    assert (catalogue.roots(), len(catalogue.dead_rows())) == ([b"/p"], count)


def test_photos_move_to_another_root_with_their_rows(catalogue):
    take_out(catalogue, b"a")
    with catalogue.transaction():
        other = catalogue.root_id(b"/q")
        catalogue.root_folders.move_photos(1, other, [(b"b/c", b"x/c"), (b"b/d", b"x/d")])
        catalogue.root_folders.move_left_out(1, other, b"x/\xff/")
    assert [(p.root, p.path, p.row) for p in catalogue.all_photos()] == [
        (b"/p", b"b.x", 3),
        (b"/p", b"b0", 4),
        (b"/q", b"x/c", 1),
        (b"/q", b"x/d", 2),
    ]
    assert catalogue.unindexed.left_out(other) == {b"x/\xff/a": (5, 7)}
    assert catalogue.dead_rows() == [0]


def test_photos_that_other_roots_have_as_well_are_dropped_and_no_others(catalogue):
    with catalogue.transaction():
        other, third = catalogue.root_id(b"/q"), catalogue.root_id(b"/r")
        for root, row in ((other, 0), (third, 1)):
            catalogue.add(root, NewPhoto(b"copy", 5, 7, b"digest %d" % row, 2, 2), row, new_row=False)
        assert catalogue.root_folders.drop_photos_found_in(1, [other]) == 1
    assert [photo.path for photo in catalogue.all_photos() if photo.root == b"/p"] == [b"b.x", b"b/c", b"b/d", b"b0"]
    assert (catalogue.root_folders.photo_count(1), catalogue.dead_rows()) == (4, [])


def test_a_catalogue_of_an_older_version_is_read_as_one_that_passed_nothing_over(catalogue, tmp_path):
    catalogue.close()
    with closing(sqlite3.connect(tmp_path / "catalogue.sqlite", isolation_level=None)) as older:
        for table in ADDED_TABLES:
            older.execute(f"DROP TABLE {table}")
    with closing(Catalogue(tmp_path / "catalogue.sqlite")) as reader:
        found = reader.unindexed
        assert (found.passed_over(), found.unseen(), found.left_out_count()) == ([], [], 0)
    with closing(Catalogue(tmp_path / "catalogue.sqlite", writable=True)) as writer:
        take_out(writer, b"a")
    with closing(Catalogue(tmp_path / "catalogue.sqlite")) as reader:
        assert reader.unindexed.left_out(1) == {b"a": (5, 7)}
