"""The SQLite file of a catalogue: what is in the file itself, and what is said when that is not all."""

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from indexer.errors import PhotoseekError
from indexer.storage.catalogue import Catalogue
from indexer.storage.records import ActiveView


def alone(path: Path) -> Path:
    """Copy a catalogue without what SQLite keeps beside it."""
    folder = path.parent / "copy"
    folder.mkdir(exist_ok=True)
    return Path(shutil.copy(path, folder / path.name))


def test_the_file_alone_has_every_transaction_although_readers_are_open(tmp_path):
    path = tmp_path / "catalogue.sqlite"
    with closing(Catalogue(path, create=True)) as made, closing(Catalogue(path)) as reader:
        assert Catalogue(alone(path)).active_view() is None
        made.activate_view(ActiveView("a-1", 10))
        assert reader.active_view() == ActiveView("a-1", 10)
        assert Catalogue(alone(path)).active_view() == ActiveView("a-1", 10)


def test_a_writer_leaves_nothing_beside_the_file_although_readers_are_open(tmp_path):
    path = tmp_path / "catalogue.sqlite"
    with closing(Catalogue(path, create=True)) as made, closing(Catalogue(path)) as reader:
        made.set_setting("policy", "minors")
        assert reader.setting("policy") == "minors"
        made.close()
        assert os.path.getsize(f"{path}-wal") == 0
        assert Catalogue(alone(path)).setting("policy") == "minors"


def test_a_file_that_was_copied_before_anything_was_in_it_is_named_so(tmp_path):
    path = tmp_path / "catalogue.sqlite"
    with closing(sqlite3.connect(path)) as made:
        made.executescript("PRAGMA journal_mode=WAL; CREATE TABLE settings (key, value);")
        copy = alone(path)
    with pytest.raises(PhotoseekError) as refusal:
        Catalogue(copy)
    assert str(refusal.value) == (
        f"{copy} is empty: the index was copied without catalogue.sqlite-wal; copy the whole folder again, or run: "
        f"photoseek repair -i {copy.parent}"
    )


@pytest.fixture
def plain_user():
    """Let the test run as a user whom read-only folders hold back, although the suite may run as root."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        yield
        os.seteuid(0)
    else:
        yield


def test_changes_that_cannot_be_read_in_a_read_only_folder_are_not_passed_over(plain_user):
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name) / "index"
        (Path(name) / "written").mkdir()
        path = Path(name) / "written" / "catalogue.sqlite"
        with closing(Catalogue(path, create=True)) as made:
            made.set_setting("policy", "minors")  # not a transaction of its own: beside the file until it is closed
            folder.mkdir()
            for suffix in ("", "-wal"):
                shutil.copy(f"{path}{suffix}", folder)
        folder.chmod(0o555)
        try:
            with pytest.raises(PhotoseekError) as refusal:
                Catalogue(folder / "catalogue.sqlite")
            assert str(refusal.value) == (
                f"index {folder}: the last changes are in catalogue.sqlite-wal, which cannot be read here (unable to "
                "open database file); make the folder writable, or copy it to a local disk"
            )
            folder.chmod(0o755)
            with closing(Catalogue(folder / "catalogue.sqlite")) as reader:
                assert reader.setting("policy") == "minors"
        finally:
            folder.chmod(0o755)
