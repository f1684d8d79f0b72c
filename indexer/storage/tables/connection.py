"""Connections to a SQLite file: for writing, for reading, even where nobody may write."""

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from indexer.errors import PhotoseekError
from indexer.storage.tables.shared_descriptor import SharedDescriptor

# How long another process's transaction is waited for, in seconds.
LOCK_TIMEOUT = 30.0


class Connection(sqlite3.Connection):
    """A connection that keeps the descriptor of its file.

    One that is not closed lives until the garbage is collected, longer than its `Database`. Without its locks, which
    the descriptor takes along, it would spoil what the next connection of the process reads.

    Attributes:
        file: The descriptor.
        assumed: The state of the file that SQLite was told will stay; None if it looks itself.
    """

    file: SharedDescriptor
    assumed: tuple[int, ...] | None = None

    def is_outdated(self, path: Path) -> bool:
        """Return whether the file has changed that was taken for one that nobody writes."""
        return self.assumed is not None and self.assumed != _state_of(path)


# Options of every connection. Threads share it; `Database` lets one in at a time.
_SHARED: dict[str, Any] = {"uri": True, "isolation_level": None, "check_same_thread": False, "factory": Connection}
# The files beside the catalogue that SQLite keeps: its last changes, before they are copied into the file itself.
CHANGES = "-wal"


def connect(path: Path, writable: bool, create: bool) -> Connection:
    """Open a file: created, for writing, or for reading, even on read-only media.

    Args:
        path: The file.
        writable: Whether it may be written.
        create: Whether it is made if it is missing.

    Raises:
        PhotoseekError: It may only be read, and its last changes beside it cannot be.
    """
    address = "file:" + quote(os.fsencode(path.absolute()))
    if writable or create:
        mode = "rwc" if create else "rw"
        connection = sqlite3.connect(f"{address}?mode={mode}", timeout=LOCK_TIMEOUT, **_SHARED)
        connection.execute("PRAGMA synchronous=FULL")
        return connection
    connection = sqlite3.connect(address + "?mode=ro", timeout=LOCK_TIMEOUT, **_SHARED)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if has_changes_beside(path):
            raise PhotoseekError(
                f"index {path.parent}: the last changes are in {path.name}{CHANGES}, which cannot be read here "
                f"({error}); make the folder writable, or copy it to a local disk"
            ) from None
        # SQLite needs a writable folder. Nobody writes now, or a file would lie beside this one; but the folder may
        # be another user's, who writes later, so the file is looked at after every statement.
        assumed = _state_of(path)
        connection = sqlite3.connect(address + "?immutable=1", **_SHARED)
        connection.assumed = assumed
    return connection


def _state_of(path: Path) -> tuple[int, ...]:
    """Return what differs once a file is written by SQLite: itself, or what is beside it."""
    try:
        state = path.stat()
    except OSError:
        return ()
    return state.st_ino, state.st_size, state.st_mtime_ns, has_changes_beside(path)


def has_changes_beside(path: Path) -> bool:
    """Return whether SQLite keeps changes of a file beside it.

    Args:
        path: The file, which may be missing.
    """
    try:
        return os.path.getsize(f"{path}{CHANGES}") > 0
    except OSError:
        return False
