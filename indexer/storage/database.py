"""The SQLite file below the catalogue: its tables, its connection, its errors as one line each."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from indexer.errors import DAMAGED, INTACT, PhotoseekError

# Errors of the disk and its permissions, rather than of this code.
OUTSIDE_ERRORS = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
)
# How long another process's transaction is waited for, in seconds.
LOCK_TIMEOUT = 30.0

SCHEMA = """
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE roots (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE);
CREATE TABLE embeddings (
    row INTEGER PRIMARY KEY,           -- the row in the embedding file
    digest BLOB NOT NULL UNIQUE,       -- of the file's bytes: exact duplicates share a row
    width INTEGER NOT NULL, height INTEGER NOT NULL,
    live INTEGER NOT NULL DEFAULT 1    -- 0: no photo has this row any more
);
CREATE INDEX dead_rows ON embeddings (row) WHERE live = 0;
CREATE TABLE photos (
    root INTEGER NOT NULL REFERENCES roots, path BLOB NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    row INTEGER REFERENCES embeddings, -- NULL: skipped, for `reason`
    reason TEXT,
    PRIMARY KEY (root, path)
) WITHOUT ROWID;
CREATE INDEX photos_by_row ON photos (row);
CREATE TABLE views (id TEXT PRIMARY KEY, rows INTEGER NOT NULL, created REAL NOT NULL, active INTEGER NOT NULL);
CREATE TABLE builds (
    id INTEGER PRIMARY KEY, started REAL NOT NULL, finished REAL,
    seen INTEGER, added INTEGER, changed INTEGER, removed INTEGER, skipped INTEGER
);
"""


class Database:
    """An open SQLite file with the tables of a catalogue.

    Every method raises PhotoseekError if the file is damaged, or cannot be read or written.

    Args:
        path: The file.
        create: Whether to make it, with empty tables.
        writable: Whether it may be written; a created one always may.

    Raises:
        PhotoseekError: There is no file, or none of these tables.
    """

    def __init__(self, path: Path, *, create: bool, writable: bool) -> None:
        self.path = path
        if not create and not path.is_file():
            raise PhotoseekError(f"{path.parent} has no catalogue: {DAMAGED}")
        try:
            self._connection = _connect(path, writable, create)
            if create:
                self._connection.executescript("PRAGMA journal_mode=WAL;" + SCHEMA)
            self._connection.execute("SELECT count(*) FROM settings").fetchone()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_ERROR:  # no such table
                raise PhotoseekError(f"{path} is not a catalogue ({error}): {DAMAGED}") from None
            raise _refusal(path, error) from None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def run(self, statement: str, *values: Any) -> list[Any]:
        """Run one statement and return its rows.

        Args:
            statement: SQL with a `?` for each value.
            values: What stands for them.
        """
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise _refusal(self.path, error) from None

    def run_for_each(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run one statement many times.

        Args:
            statement: SQL with a `?` for each value of a row.
            rows: The values of each time.
        """
        try:
            self._connection.executemany(statement, rows)
        except sqlite3.DatabaseError as error:
            raise _refusal(self.path, error) from None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes of the block or none, durable when it ends."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # SQLite rolls back by itself when the disk is full
                self._connection.execute("ROLLBACK")
            raise


def _connect(path: Path, writable: bool, create: bool) -> sqlite3.Connection:
    """Open the file: created, for writing, or for reading, even on read-only media."""
    address = "file:" + quote(os.fsencode(path.absolute()))
    if writable or create:
        mode = "rwc" if create else "rw"
        connection = sqlite3.connect(f"{address}?mode={mode}", uri=True, isolation_level=None, timeout=LOCK_TIMEOUT)
        connection.execute("PRAGMA synchronous=FULL")
        return connection
    connection = sqlite3.connect(address + "?mode=ro", uri=True, isolation_level=None, timeout=LOCK_TIMEOUT)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # WAL needs a writable folder; on read-only media nothing can change, so no lock is missed.
        connection.close()
        connection = sqlite3.connect(address + "?immutable=1", uri=True, isolation_level=None)
    return connection


def _refusal(path: Path, error: sqlite3.DatabaseError) -> Exception:
    """Return the line for what is wrong with the file or its disk; any other error is a bug and returned as it is."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return PhotoseekError(f"{path} cannot be read ({error}): {DAMAGED}")
    if code == sqlite3.SQLITE_FULL:
        return PhotoseekError(f"index {path.parent}: disk is full; {INTACT}")
    if code in OUTSIDE_ERRORS:
        return PhotoseekError(f"index {path.parent}: {error}; {INTACT}")
    return error
