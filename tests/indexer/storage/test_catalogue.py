import os
import sqlite3
import tempfile
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest

from indexer.errors import PhotoseekError
from indexer.photos.found_files import PhotoFile
from indexer.storage.catalogue import Catalogue
from indexer.storage.records import ActiveView, BuildCounts, BuildRecord, CataloguedPhoto, KnownFile, NewPhoto
from indexer.storage.tables.database import Database
from indexer.storage.tables.schema import ADDED_TABLES
from indexer.storage.write_lock import write_lock
from tiny_index import damaged

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def catalogue(tmp_path):
    opened = Catalogue(tmp_path / "catalogue.sqlite", create=True)
    yield opened
    opened.close()


def put(catalogue: Catalogue, path: bytes, row: int, root: bytes = b"/photos", size: int = 5) -> None:
    """Add a photo whose digest is its row, so that a second one with the same row is a duplicate."""
    with catalogue.transaction():
        new = catalogue.row_of_digest(b"digest %d" % row) is None
        photo = NewPhoto(path, size, 7, b"digest %d" % row, 30 + row, 20)
        catalogue.add(catalogue.root_id(root), photo, row, new_row=new)


def remove(catalogue: Catalogue, *paths: bytes) -> int:
    with catalogue.transaction():
        return catalogue.remove(catalogue.root_id(b"/photos"), paths)


def paths_of(catalogue: Catalogue, row: int) -> list[bytes]:
    return [photo.path for photo in catalogue.photos_of_rows([row])[row]]


# Photos and rows


def test_a_photo_comes_back_as_it_went_in(catalogue):
    put(catalogue, b"a.jpg", 0)
    put(catalogue, b"b.jpg", 1, size=6)
    assert list(catalogue.all_photos()) == [
        CataloguedPhoto(b"/photos", b"a.jpg", 5, 7, 0, None),
        CataloguedPhoto(b"/photos", b"b.jpg", 6, 7, 1, None),
    ]
    assert catalogue.sizes_of_rows([1, 0]) == {1: (31, 20), 0: (30, 20)}
    assert (catalogue.row_count(), catalogue.photo_count(), catalogue.roots()) == (2, 2, [b"/photos"])


def test_duplicates_share_a_row_and_come_in_path_order(catalogue):
    put(catalogue, b"z.jpg", 0)
    put(catalogue, b"a.jpg", 0)
    put(catalogue, b"a.jpg", 0, root=b"/more")
    assert catalogue.row_count() == 1
    assert [(photo.root, photo.path) for photo in catalogue.photos_of_rows([0])[0]] == [
        (b"/more", b"a.jpg"),
        (b"/photos", b"a.jpg"),
        (b"/photos", b"z.jpg"),
    ]


def test_a_row_dies_with_its_last_photo_and_lives_again_with_a_new_one(catalogue):
    put(catalogue, b"a.jpg", 0)
    put(catalogue, b"copy.jpg", 0)
    put(catalogue, b"b.jpg", 1)
    assert remove(catalogue, b"a.jpg", b"never there.jpg") == 1
    assert catalogue.dead_rows() == []
    assert remove(catalogue, b"copy.jpg") == 1
    assert catalogue.dead_rows() == [0]
    assert (catalogue.row_count(), catalogue.photo_count(), paths_of(catalogue, 0)) == (2, 1, [])
    put(catalogue, b"again.jpg", 0)
    assert (catalogue.dead_rows(), paths_of(catalogue, 0)) == ([], [b"again.jpg"])


def test_the_count_of_rows_includes_the_dead_so_that_no_row_is_given_twice(catalogue):
    put(catalogue, b"a.jpg", 0)
    put(catalogue, b"b.jpg", 1)
    remove(catalogue, b"a.jpg", b"b.jpg")
    assert (catalogue.row_count(), catalogue.dead_rows()) == (2, [0, 1])


def test_a_changed_photo_takes_its_new_row_and_leaves_the_old_one_dead(catalogue):
    put(catalogue, b"a.jpg", 0)
    put(catalogue, b"a.jpg", 1, size=9)
    assert catalogue.dead_rows() == [0]
    assert list(catalogue.all_photos()) == [CataloguedPhoto(b"/photos", b"a.jpg", 9, 7, 1, None)]


def test_a_photo_that_breaks_later_is_listed_with_the_reason_and_its_row_dies(catalogue):
    put(catalogue, b"a.jpg", 0)
    with catalogue.transaction():
        catalogue.add_skipped(catalogue.root_id(b"/photos"), PhotoFile(b"a.jpg", 3, 8), "truncated image", "always")
    assert list(catalogue.all_photos()) == [CataloguedPhoto(b"/photos", b"a.jpg", 3, 8, None, "truncated image")]
    assert (catalogue.dead_rows(), catalogue.photo_count()) == ([0], 0)


def test_roots_are_told_apart(catalogue):
    put(catalogue, b"a.jpg", 0)
    put(catalogue, b"b.jpg", 1, root=b"/more")
    assert catalogue.roots() == [b"/photos", b"/more"]
    assert catalogue.known_files(catalogue.root_id(b"/more")) == {b"b.jpg": KnownFile(5, 7, 1)}
    assert remove(catalogue, b"b.jpg") == 0


@pytest.mark.parametrize(
    ("folder", "rows"),
    [
        (b"a", [0, 1, 2]),
        (b"a/b", [0, 1]),
        (b"a/b/", [0, 1]),
        (b"a/../a/./b", [0, 1]),
        (b"a/bc", [2]),
        (b".", [0, 1, 2, 3, 4]),
        (b"/photos", [0, 1, 2, 3]),
        (b"/photos/a/b", [0, 1]),
        (b"/more", [4]),
        (b"/", [0, 1, 2, 3, 4]),  # above both roots
        (b"/photo", []),
        (b"..", []),
        (b"../photos", []),
        (b"a/b.jpg", []),
        (b"A", []),
    ],
)
def test_rows_under_a_folder_are_those_below_it_and_not_beside_it(catalogue, folder, rows):
    for row, path in enumerate([b"a/b/1.jpg", b"a/b/c/2.jpg", b"a/bc/3.jpg", b"a.jpg"]):
        put(catalogue, path, row)
    put(catalogue, b"x/5.jpg", 4, root=b"/more")
    assert catalogue.rows_under(folder) == rows


def test_a_folder_named_with_dots_is_not_the_one_above(catalogue):
    put(catalogue, b"a.jpg", 0)
    put(catalogue, b".../b.jpg", 1)
    assert catalogue.rows_under(b"/photos/...") == [1]


def test_paths_are_any_bytes(catalogue):
    names = [b"\xff\xfe.jpg", b"line\nbreak.jpg", b"\x1b[31m.jpg"]
    for row, name in enumerate(names):
        put(catalogue, b"odd \xff/" + name, row)
    assert [paths_of(catalogue, row) for row in range(3)] == [[b"odd \xff/" + name] for name in names]
    assert catalogue.rows_under(b"odd \xff") == [0, 1, 2]


def test_more_rows_than_one_statement_may_name_are_looked_up(catalogue):
    with catalogue.transaction():
        root = catalogue.root_id(b"/photos")
        for row in range(1201):
            catalogue.add(root, NewPhoto(b"%d.jpg" % row, 1, 1, b"%d" % row, 1, 1), row, new_row=True)
    found = catalogue.photos_of_rows(range(1201))
    assert [found[row][0].path for row in (0, 499, 500, 1200)] == [b"0.jpg", b"499.jpg", b"500.jpg", b"1200.jpg"]


def test_a_row_that_is_forgotten_is_found_by_no_digest_and_its_photos_are_no_longer_known_as_they_are(catalogue):
    put(catalogue, b"a.jpg", 0)
    put(catalogue, b"b.jpg", 0)
    put(catalogue, b"c.jpg", 1)
    with catalogue.transaction():
        catalogue.forget(0)
    assert [catalogue.row_of_digest(b"digest %d" % row) for row in (0, 1)] == [None, 1]
    assert catalogue.known_files(1) == {
        b"a.jpg": KnownFile(5, -1, 0),
        b"b.jpg": KnownFile(5, -1, 0),
        b"c.jpg": KnownFile(5, 7, 1),
    }
    assert (paths_of(catalogue, 0), catalogue.dead_rows()) == ([b"a.jpg", b"b.jpg"], [])
    put(catalogue, b"a.jpg", 2)
    put(catalogue, b"b.jpg", 2)
    assert catalogue.dead_rows() == [0]


# Settings, views, history


def test_a_setting_is_kept_replaced_and_taken_away(catalogue):
    assert catalogue.setting("policy") is None
    catalogue.set_setting("policy", "minors")
    catalogue.set_setting("policy", "\u5199 'quoted'")
    assert catalogue.setting("policy") == "\u5199 'quoted'"
    catalogue.set_setting("policy", None)
    assert catalogue.setting("policy") is None


def test_one_view_is_active_at_a_time(catalogue):
    assert catalogue.active_view() is None
    catalogue.activate_view(ActiveView("a-1", 10))
    catalogue.activate_view(ActiveView("b-2", 12))
    assert catalogue.active_view() == ActiveView("b-2", 12)
    assert catalogue.active_view().ranker_id == "b"


def test_the_history_tells_a_finished_build_from_one_cut_short(catalogue, monkeypatch):
    clock = iter([100.0, 130.0, 200.0])
    monkeypatch.setattr("time.time", lambda: next(clock))
    counts = BuildCounts(seen=9, added=4, changed=3, removed=2, skipped=1)
    catalogue.finish_build(catalogue.start_build(), counts)
    catalogue.start_build()
    assert catalogue.builds() == [BuildRecord(100.0, 130.0, 9, 4, 3, 2, 1), BuildRecord(200.0, None, 0, 0, 0, 0, 0)]


# Transactions and readers


def test_a_transaction_that_fails_leaves_nothing(catalogue):
    root = catalogue.root_id(b"/photos")

    def fail():
        with catalogue.transaction():
            catalogue.add(root, NewPhoto(b"a", 1, 1, b"d", 1, 1), 0, new_row=True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (catalogue.row_count(), list(catalogue.all_photos())) == (0, [])
    put(catalogue, b"a.jpg", 0)
    assert catalogue.row_count() == 1


def test_a_reader_sees_what_is_committed_and_nothing_else(catalogue):
    reader = Catalogue(catalogue.path)
    put(catalogue, b"a.jpg", 0)
    with catalogue.transaction():
        catalogue.add(catalogue.root_id(b"/photos"), NewPhoto(b"b", 1, 1, b"d", 1, 1), 1, new_row=True)
        assert (reader.row_count(), catalogue.row_count()) == (1, 2)
    assert reader.row_count() == 2
    reader.close()


@pytest.fixture
def plain_user():
    """For the superuser no folder is read-only, so these tests run as nobody."""
    if os.geteuid() == 0:
        import_module("filelock")  # which nobody may not be allowed to read here
        os.seteuid(65534)
        yield
        os.seteuid(0)
    else:
        yield


def test_a_catalogue_in_a_read_only_folder_is_read_and_a_write_is_refused(plain_user):
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        path = folder / "catalogue.sqlite"
        made = Catalogue(path, create=True)
        put(made, b"a.jpg", 0)
        made.close()
        path.chmod(0o444)
        folder.chmod(0o555)
        try:
            reader = Catalogue(path)
            assert paths_of(reader, 0) == [b"a.jpg"]
            reader.close()
            with pytest.raises(PhotoseekError) as refusal, write_lock(folder):
                pass
            assert str(refusal.value) == f"index {folder} cannot be written: Permission denied"
        finally:
            folder.chmod(0o755)


# Damage


def test_a_missing_catalogue_is_refused_and_not_made_anew(tmp_path):
    for writable in (False, True):
        with pytest.raises(PhotoseekError) as refusal:
            Catalogue(tmp_path / "catalogue.sqlite", writable=writable)
        assert str(refusal.value) == f"{tmp_path} has no catalogue: {damaged(tmp_path)}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writable", [False, True])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"no database at all " * 100, "cannot be read (file is not a database)"),
        (b"", "is not a catalogue (no such table: settings)"),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused(tmp_path, content, what, writable):
    path = tmp_path / "catalogue.sqlite"
    path.write_bytes(content)
    with pytest.raises(PhotoseekError) as refusal:
        Catalogue(path, writable=writable)
    assert str(refusal.value) == f"{path} {what}: {damaged(tmp_path)}"


def test_damage_that_shows_only_later_is_one_line_too(tmp_path):
    path = tmp_path / "catalogue.sqlite"
    made = Catalogue(path, create=True)
    with made.transaction():
        root = made.root_id(b"/photos")
        for row in range(2000):
            made.add(root, NewPhoto(b"%d.jpg" % row, 1, 1, b"%d" % row, 1, 1), row, new_row=True)
    made.close()
    pages = bytearray(path.read_bytes())
    pages[4096 * 12 :] = b"\xa5" * len(pages[4096 * 12 :])  # the tables' roots stay, their pages do not
    path.write_bytes(pages)
    reader = Catalogue(path)
    with pytest.raises(PhotoseekError) as refusal:
        list(reader.all_photos())
    assert str(refusal.value) == f"{path} cannot be read (database disk image is malformed): {damaged(tmp_path)}"


def test_a_mistake_of_ours_keeps_its_own_error(catalogue):
    put(catalogue, b"a.jpg", 0)
    with pytest.raises(Exception, match="UNIQUE constraint failed") as mistake, catalogue.transaction():
        catalogue.add(1, NewPhoto(b"b.jpg", 1, 1, b"another", 1, 1), 0, new_row=True)
    assert not isinstance(mistake.value, PhotoseekError)


def test_a_catalogue_of_an_older_version_is_read_as_it_is_and_gets_the_added_tables_when_it_is_written(tmp_path):
    path = tmp_path / "catalogue.sqlite"
    Catalogue(path, create=True).close()
    with closing(sqlite3.connect(path)) as old:
        tables = "SELECT count(*) FROM sqlite_master WHERE name IN ({})".format(",".join("?" * len(ADDED_TABLES)))
        for name in ADDED_TABLES:
            old.execute(f"DROP TABLE {name}")
        with closing(Database(path, create=False, writable=False)) as reader:
            assert [reader.run(f"SELECT count(*) FROM {name}") for name in ADDED_TABLES] == [[(0,)]] * len(ADDED_TABLES)
        assert old.execute(tables, [*ADDED_TABLES]).fetchone() == (0,)
        Database(path, create=False, writable=True).close()
        assert old.execute(tables, [*ADDED_TABLES]).fetchone() == (len(ADDED_TABLES),)
