"""A catalogue whose schema was changed by a flipped bit is damaged, for whoever reads it, and no traceback."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from indexer.errors import PhotoseekError
from indexer.storage.catalogue import Catalogue


def rename(path: Path, old: str, new: bytes) -> None:
    """Write another name into the schema, as a flipped bit does."""
    data = path.read_bytes()
    assert old.encode() in data
    path.write_bytes(data.replace(old.encode(), new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("size INTEGER", b"sije INTEGER"),
        ("started REAL", b"stasted REAL"),
        ("total BLOB", b"potal BLOB"),
        ("CREATE TABLE roots", b"CREATE TABLE r\xefots"),
        ("mtime_ns INTEGER", b"mtime_\xffs INTEGER"),
    ],
)
def test_names_that_are_others_are_damage(tmp_path: Path, old: str, new: bytes) -> None:
    path = tmp_path / "catalogue.sqlite"
    Catalogue(path, create=True).close()
    rename(path, old, new)

    def read_all() -> None:
        with closing(Catalogue(path)) as catalogue:
            catalogue.builds()
            catalogue.roots()
            list(catalogue.all_photos())
            catalogue.integrity_problems()

    with pytest.raises(PhotoseekError, match="damaged"):
        read_all()


def test_a_mistake_in_a_statement_of_the_code_is_no_damage(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "catalogue.sqlite", create=True)
    with closing(catalogue), pytest.raises(sqlite3.OperationalError, match="syntax error"):
        catalogue._run("SELEC 1")
