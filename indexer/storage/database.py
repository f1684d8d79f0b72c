"""The SQLite file below the catalogue: its tables, its connection, its errors as one line each."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from indexer.errors import DAMAGED, INTACT, PhotoseekError
from indexer.storage.fork_safe_lock import ForkSafeLock

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
# Options of every connection. Threads share it; `Database` lets one in at a time.
SHARED: dict[str, Any] = {"uri": True, "isolation_level": None, "check_same_thread": False}
# How long readers are waited for when the file is closed, in milliseconds.
MOVE_TIMEOUT_MS = 1000
# The files beside the catalogue that SQLite keeps: its last changes, before they are copied into the file itself.
CHANGES = "-wal"

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
# Tables that catalogues of older versions lack. A build makes them; a reader of an older catalogue finds them empty.
ADDED_TABLES = {
    "notes": "(row INTEGER PRIMARY KEY, note TEXT NOT NULL)",  # what was damaged in a photo that was indexed
    # What a row's photo is beside its picture. `taken` is what the clock showed where it was taken, in microseconds
    # from 1970 on, `taken_offset` its minutes from UTC; `taken_from` is 'file' if that is when the file was changed.
    "metadata": "(row INTEGER PRIMARY KEY, taken INTEGER NOT NULL, taken_offset INTEGER, taken_from TEXT NOT NULL, "
    "camera TEXT, lens TEXT, latitude REAL, longitude REAL, orientation INTEGER, kind TEXT NOT NULL)",
    # What belongs together: hashes of pictures, pairs of rows that look alike, and the rows of each stack as int64.
    "perceptual_hashes": "(row INTEGER PRIMARY KEY, hash BLOB NOT NULL)",
    "links": "(row INTEGER NOT NULL, other INTEGER NOT NULL, PRIMARY KEY (row, other)) WITHOUT ROWID",
    "stacks": "(id INTEGER PRIMARY KEY, rows BLOB NOT NULL)",
    # when a skipped photo is worth another try: a word of indexer.photos.retry
    "failures": "(root INTEGER, path BLOB, retry TEXT NOT NULL, PRIMARY KEY (root, path)) WITHOUT ROWID",
    # photos that were embedded and are left out now: their rows are dead, and wait for them
    "left_out": "(root INTEGER NOT NULL REFERENCES roots, path BLOB NOT NULL, size INTEGER NOT NULL, "
    "mtime_ns INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (root, path)) WITHOUT ROWID",
    # what the last walk of a root passed over: counts by kind, and the first paths with a NUL between them
    "passed_over": "(root INTEGER NOT NULL REFERENCES roots, kind TEXT NOT NULL, files INTEGER NOT NULL, "
    "folders INTEGER NOT NULL, photos INTEGER NOT NULL, all_counted INTEGER NOT NULL, paths BLOB NOT NULL, "
    "PRIMARY KEY (root, kind)) WITHOUT ROWID",
    # what the last walk of a root should have read and did not
    "unseen": "(root INTEGER NOT NULL REFERENCES roots, path BLOB NOT NULL, reason TEXT NOT NULL, "
    "PRIMARY KEY (root, path)) WITHOUT ROWID",
}
# Indexes of these tables, by which filters find their rows.
ADDED_INDEXES = {
    "metadata_by_time": "metadata (taken)",
    "metadata_by_camera": "metadata (camera) WHERE camera IS NOT NULL",
    "metadata_by_place": "metadata (latitude, longitude) WHERE latitude IS NOT NULL",
    "metadata_by_kind": "metadata (kind)",
}
# Connections that a forked child found open. They are never closed.
_PARENTS: list[sqlite3.Connection] = []


class Database:
    """An open SQLite file with the tables of a catalogue.

    Several threads may use it, one at a time. A forked child, and whoever uses it after `close`, opens the file again.
    Every method raises PhotoseekError if the file is damaged, or cannot be read or written.

    Args:
        path: The file.
        create: Whether to make it, with empty tables.
        writable: Whether it may be written; a created one always may.

    Raises:
        PhotoseekError: There is no file, or none of these tables.
    """

    def __init__(self, path: Path, *, create: bool, writable: bool) -> None:
        # Absolute, so that it can be opened again wherever the process has gone.
        self.path = path = path.absolute()
        self._lock = ForkSafeLock()
        self._writable = writable or create
        if not create and not path.is_file():
            raise PhotoseekError(f"{path.parent} has no catalogue: {DAMAGED}")
        try:
            self._connection = _connect(path, writable, create)
            if create:
                self._connection.executescript("PRAGMA journal_mode=WAL;" + SCHEMA)
                self._move_changes_into_file()
            self._process: int | None = os.getpid()
            self._connection.execute("SELECT count(*) FROM settings").fetchone()
            _add_tables(self._connection, temporary=not (writable or create))
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_ERROR:  # no such table
                if _lacks_changes(path):
                    raise PhotoseekError(
                        f"{path} is empty: the index was copied without {path.name}{CHANGES}; copy the whole folder "
                        "again, or delete it and build it again"
                    ) from None
                raise PhotoseekError(f"{path} is not a catalogue ({error}): {DAMAGED}") from None
            raise _refusal(path, error) from None

    def close(self) -> None:
        """Close the file; what was written is in the file itself then, and in no other."""
        with self._lock:
            if self._process == os.getpid():
                if self._writable:
                    self._move_changes_into_file()
                self._connection.close()
                self._process = None

    def _move_changes_into_file(self) -> None:
        """Copy what SQLite keeps beside the file into it, and empty the file beside it if nobody reads from that.

        SQLite does so when the last process closes the file. An index is copied, or put on a disk that is read-only,
        while a search has it open, too.
        """
        with suppress(sqlite3.DatabaseError):  # the changes are as safe beside the file
            self._connection.execute(f"PRAGMA busy_timeout = {MOVE_TIMEOUT_MS}")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def run(self, statement: str, *values: Any) -> list[Any]:
        """Run one statement and return its rows.

        Args:
            statement: SQL with a `?` for each value.
            values: What stands for them.
        """
        with self._lock:
            try:
                return self._opened().execute(statement, values).fetchall()
            except sqlite3.DatabaseError as error:
                raise _refusal(self.path, error) from None

    def run_for_each(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run one statement many times.

        Args:
            statement: SQL with a `?` for each value of a row.
            rows: The values of each time.
        """
        with self._lock:
            try:
                self._opened().executemany(statement, rows)
            except sqlite3.DatabaseError as error:
                raise _refusal(self.path, error) from None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes of the block or none, durable when it ends."""
        with self._lock:
            self.run("BEGIN IMMEDIATE")
            try:
                yield
                self.run("COMMIT")
                self.run("PRAGMA wal_checkpoint(PASSIVE)")  # a copy of the file alone has it, too
            except BaseException:
                if self._connection.in_transaction:  # SQLite rolls back by itself when the disk is full
                    self._connection.execute("ROLLBACK")
                raise

    def _opened(self) -> sqlite3.Connection:
        """Return the connection, a new one in a forked child or after `close`."""
        if self._process != os.getpid():
            # SQLite forbids a child to use, or to close, what its parent opened.
            _PARENTS.append(self._connection)
            self._connection = _connect(self.path, self._writable, create=False)
            _add_tables(self._connection, temporary=not self._writable)
            self._process = os.getpid()
        return self._connection


def _connect(path: Path, writable: bool, create: bool) -> sqlite3.Connection:
    """Open the file: created, for writing, or for reading, even on read-only media."""
    address = "file:" + quote(os.fsencode(path.absolute()))
    if writable or create:
        mode = "rwc" if create else "rw"
        connection = sqlite3.connect(f"{address}?mode={mode}", timeout=LOCK_TIMEOUT, **SHARED)
        connection.execute("PRAGMA synchronous=FULL")
        return connection
    connection = sqlite3.connect(address + "?mode=ro", timeout=LOCK_TIMEOUT, **SHARED)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if _has_changes_beside(path):
            raise PhotoseekError(
                f"index {path.parent}: the last changes are in {path.name}{CHANGES}, which cannot be read here "
                f"({error}); make the folder writable, or copy it to a local disk"
            ) from None
        # SQLite needs a writable folder; on read-only media nothing can change, so no lock is missed.
        connection = sqlite3.connect(address + "?immutable=1", **SHARED)
    return connection


def _has_changes_beside(path: Path) -> bool:
    """Return whether SQLite keeps changes of a file beside it."""
    try:
        return os.path.getsize(f"{path}{CHANGES}") > 0
    except OSError:
        return False


def _lacks_changes(path: Path) -> bool:
    """Return whether a file was written as one with changes beside it, and there are none."""
    with open(path, "rb") as file:
        header = file.read(20)
    # The versions of the format that are needed to write and to read it (https://www.sqlite.org/fileformat.html).
    return header[18:20] == b"\x02\x02" and not _has_changes_beside(path)


def _add_tables(connection: sqlite3.Connection, *, temporary: bool) -> None:
    """Add tables and indexes that an older version did not make, for this connection alone if the file is only read."""
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    for name, columns in ADDED_TABLES.items():
        if name not in present:
            connection.execute(f"CREATE {'TEMP ' if temporary else ''}TABLE IF NOT EXISTS {name} {columns}")
    if not temporary:
        for name, columns in ADDED_INDEXES.items():
            if name not in present:
                connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {columns}")


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
