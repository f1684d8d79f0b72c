"""Descriptors beside SQLite's own: they are shared, and no lock of SQLite is lost while a connection is open."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from indexer.errors import PhotoseekError
from indexer.storage.catalogue import Catalogue
from indexer.storage.tables.shared_descriptor import _OPEN, SharedDescriptor

# Tries to lock the bytes that SQLite locks for reading (os_unix.c: SHARED_FIRST, SHARED_SIZE).
LOCKER = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
    except OSError:
        print("locked")
"""


def is_locked(path: Path) -> bool:
    """Return whether another process finds the file locked for reading."""
    found = subprocess.run([sys.executable, "-c", LOCKER, path], capture_output=True, text=True, check=True)
    return found.stdout == "locked\n"


def test_whoever_opens_and_closes_a_catalogue_again_leaves_the_locks_of_others(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    Catalogue(path, create=True).close()
    assert not is_locked(path)
    with closing(Catalogue(path)) as reader:
        assert reader.setting("policy") is None
        assert is_locked(path)
        with closing(Catalogue(path)) as other:
            assert other.integrity_problems() == []
        with closing(Catalogue(path, writable=True)) as writer:
            writer.set_setting("policy", "minors")
        with pytest.raises(PhotoseekError):
            Catalogue(tmp_path / "none")
        assert is_locked(path)
        assert reader.setting("policy") == "minors"
    assert not is_locked(path)


def is_shared(path: Path) -> bool:
    """Return whether this process has a shared descriptor of a file."""
    return (path.stat().st_dev, path.stat().st_ino) in _OPEN


def test_a_descriptor_is_one_until_the_last_user_leaves(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    first, second = SharedDescriptor(path), SharedDescriptor(path)
    assert first.descriptor == second.descriptor
    first.close()
    first.close()
    assert (first.is_open, second.is_open, os.pread(second.descriptor, 3, 0)) == (False, True, b"con")
    descriptor = second.descriptor
    del second
    assert not is_shared(path)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_catalogue_that_was_closed_opens_its_descriptor_again(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite"
    with closing(Catalogue(path, create=True)) as catalogue:
        catalogue.set_setting("a", "1")
        catalogue.close()
        assert not is_shared(path)
        assert catalogue.setting("a") == "1"
        assert (is_shared(path), catalogue.integrity_problems()) == (True, [])
    assert not is_shared(path)
