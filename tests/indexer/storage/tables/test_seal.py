"""The seal of a catalogue: written when it is closed, broken by any other byte, void once the tables have changed."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from indexer.storage.catalogue import Catalogue

CHANGED = "bytes that hold no values are not as they were written"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "catalogue.sqlite"
    with closing(Catalogue(path, create=True)) as catalogue:
        catalogue.set_setting("a", "1")
    return path


def problems(path: Path) -> list[str]:
    with closing(Catalogue(path)) as catalogue:
        return catalogue.integrity_problems()


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_changed_byte_that_holds_nothing_is_noticed(path: Path) -> None:
    assert problems(path) == []
    data = path.read_bytes()
    page = int.from_bytes(data[16:18], "big")
    # The middle of the second page: free space of an empty table.
    assert data[page + page // 2] == 0
    flip(path, page + page // 2)
    assert problems(path) == [CHANGED]


def test_a_damaged_seal_is_named(path: Path) -> None:
    seal = path.with_name("catalogue.sqlite.seal")
    for at in (0, 70, 140, len(seal.read_bytes()) - 2):
        whole = seal.read_bytes()
        flip(seal, at)
        assert problems(path) == ["its seal is not as it was written"]
        seal.write_bytes(whole)
    seal.write_text("")
    assert problems(path) == ["its seal is not as it was written"]


def test_without_a_seal_the_tables_are_what_is_checked(path: Path) -> None:
    path.with_name("catalogue.sqlite.seal").unlink()
    assert problems(path) == []


def test_a_seal_from_before_a_killed_writer_says_nothing(path: Path) -> None:
    seal = path.with_name("catalogue.sqlite.seal")
    before = seal.read_bytes()
    with closing(Catalogue(path, writable=True)) as catalogue:
        catalogue.set_setting("b", "2")
    assert seal.read_bytes() != before
    seal.write_bytes(before)  # as if the writer had been killed between its last transaction and its end
    assert problems(path) == []
    with closing(Catalogue(path, writable=True)):
        pass
    assert seal.read_bytes() != before
    assert problems(path) == []


def test_a_copy_that_another_program_rewrote_is_noticed(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")
    copy = path.parent / "copy.sqlite"
    shutil.copy(path, copy)
    assert problems(copy) == []  # it has no seal
    assert problems(path) == [CHANGED]
