"""Sums of tables: they follow every change, whatever its order, and tell what was changed behind their back."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.errors import PhotoseekError
from indexer.storage.catalogue import Catalogue
from indexer.storage.records import ActiveView, NewPhoto
from indexer.storage.tables.database import Database
from indexer.storage.tables.table_sums import computed_sums, kept_sums

VALUES = st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(max_size=5), st.binary(max_size=5), st.floats(-9, 9))
# What is done to the table of settings, whose values may be anything, or to that of rows without a row id.
CHANGES = st.lists(
    st.tuples(st.sampled_from(["put", "update", "delete", "all"]), st.integers(0, 4), VALUES), max_size=12
)


def sums(path: Path) -> tuple[dict, dict]:
    """Return the sums of a catalogue as they are kept, and as its rows give them."""
    with closing(sqlite3.connect(path)) as connection:
        return kept_sums(connection), computed_sums(connection)


@given(changes=CHANGES)
def test_sums_follow_every_change(tmp_path_factory: pytest.TempPathFactory, changes: list) -> None:
    path = tmp_path_factory.mktemp("sums") / "catalogue.sqlite"
    with closing(Database(path, create=True, writable=True)) as database:
        for what, key, value in changes:
            if what == "put":
                database.run("INSERT OR REPLACE INTO settings VALUES (?, ?)", str(key), value)
            elif what == "update":
                database.run("UPDATE OR REPLACE settings SET key = ? WHERE key >= ?", str(key), "2")
            elif what == "delete":
                database.run("DELETE FROM settings WHERE key = ?", str(key))
            else:
                database.run("DELETE FROM settings")
    kept, computed = sums(path)
    assert kept == computed
    assert {"settings", "photos", "embeddings", "checksums", "stacks"} < set(kept)


def test_sums_follow_numbers_that_a_column_makes_another_type_of(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    with closing(Database(path, create=True, writable=True)) as database:
        database.run("INSERT INTO metadata VALUES (1, 5, NULL, 'exif', 'X', NULL, 52, '13.5', 1, 'photo')")
        database.run("INSERT INTO builds (started) VALUES (7)")
    kept, computed = sums(path)
    assert kept == computed
    assert (kept["metadata"][0], kept["builds"][0]) == (1, 1)


def test_a_transaction_that_is_rolled_back_changes_no_sum(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    with closing(Catalogue(path, create=True)) as catalogue:
        catalogue.set_setting("a", "1")
        with suppress(ZeroDivisionError), catalogue.transaction():
            catalogue.set_setting("b", "2")
            catalogue.set_setting("b", str(1 // 0))
        catalogue.set_setting("c", "3")
    kept, computed = sums(path)
    assert kept == computed
    assert kept["settings"][0] == 2


def test_the_sums_of_a_table_do_not_depend_on_the_order_of_its_rows(tmp_path: Path) -> None:
    found = []
    for name, order in (("a", (0, 1, 2)), ("b", (2, 0, 1))):
        with closing(Catalogue(tmp_path / name, create=True)) as catalogue, catalogue.transaction():
            root = catalogue.root_id(b"/photos")
            for i in order:
                catalogue.add(root, NewPhoto(b"%d.jpg" % i, 1, 1, b"digest %d" % i, 4, 3), i, new_row=True)
        found.append(sums(tmp_path / name))
    assert found[0] == found[1]
    assert found[0][0] == found[0][1]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE views SET rows = 11",
        "UPDATE embeddings SET digest = x'00' WHERE row = 1",
        "UPDATE embeddings SET live = 0 WHERE row = 2",
        "UPDATE photos SET path = x'62' WHERE row = 0",
        "DELETE FROM photos WHERE row = 2",
        "INSERT INTO notes VALUES (1, 'x')",
        "UPDATE settings SET value = '2'",
    ],
)
def test_a_value_that_was_changed_behind_its_back_is_named(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "catalogue.sqlite"
    with closing(Catalogue(path, create=True)) as catalogue:
        root = catalogue.root_id(b"/photos")
        with catalogue.transaction():
            for i in range(3):
                catalogue.add(root, NewPhoto(b"%d.jpg" % i, 1, 1, b"digest %d" % i, 4, 3), i, new_row=True)
        catalogue.set_setting("a", "1")
        catalogue.activate_view(ActiveView("a-1", 3))
        assert catalogue.integrity_problems() == []
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()
    table = statement.replace("INTO ", "").replace("FROM ", "").split()[1]
    with closing(Catalogue(path)) as catalogue:
        assert catalogue.integrity_problems() == [f"table {table} is not as it was written"]


def test_an_older_catalogue_keeps_no_sums_before_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    Catalogue(path, create=True).close()
    with closing(sqlite3.connect(path)) as older:
        older.execute("DROP TABLE table_sums")
        older.execute("INSERT INTO settings VALUES ('policy', 'minors')")
        older.commit()
    with closing(Catalogue(path, writable=True)) as catalogue:
        catalogue.set_setting("a", "1")
        assert sums(path)[0] == {}
        assert catalogue.integrity_problems() == []
        catalogue.begin_sums()
        catalogue.set_setting("b", "2")
    kept, computed = sums(path)
    assert kept == computed
    assert kept["settings"][0] == 3


def test_text_that_is_no_unicode_is_damage_and_no_traceback(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    with closing(Catalogue(path, create=True)) as catalogue:
        catalogue.set_setting("policy", "minors")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE settings SET value = CAST(x'ff' AS TEXT)")
        connection.commit()
    with closing(Catalogue(path)) as catalogue:
        for read in (catalogue.integrity_problems, lambda: catalogue.setting("policy")):
            with pytest.raises(PhotoseekError, match="the index is damaged"):
                read()
