"""The catalogue: which photo has which row, what was skipped, the views, the history. SQLite, one writer."""

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from indexer.errors import DAMAGED, INTACT, PhotoseekError

# What SQLite says about the disk and its permissions, rather than about us.
OUTSIDE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
)

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


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo as the catalogue knows it. `row` is None when it was skipped, for `reason`."""

    root: bytes
    path: bytes
    size: int
    mtime_ns: int
    row: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Embedded:
    """A decoded file on its way in; `digest` is of its bytes, `width` and `height` of the upright photo."""

    path: bytes
    size: int
    mtime_ns: int
    digest: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """One line of the history; times are seconds since 1970. `finished` is None for a build that was cut short."""

    started: float
    finished: float | None
    seen: int
    added: int
    changed: int
    removed: int
    skipped: int


class Catalogue:
    """An open `catalogue.sqlite`. Reads see one snapshot per transaction; writes need `write_lock` around them.

    Every method raises PhotoseekError where the file is damaged, or cannot be read or written.
    """

    def __init__(self, path: Path, *, create: bool = False, writable: bool = False) -> None:
        self.path = path
        if not create and not path.is_file():
            raise PhotoseekError(f"{path.parent} has no catalogue: {DAMAGED}")
        try:
            self.db = self._connect(writable, create)
            if create:
                self.db.executescript("PRAGMA journal_mode=WAL;" + SCHEMA)
            self.db.execute("SELECT count(*) FROM settings").fetchone()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_ERROR:  # no such table
                raise PhotoseekError(f"{path} is not a catalogue ({error}): {DAMAGED}") from None
            raise _refusal(path, error) from None

    def _connect(self, writable: bool, create: bool) -> sqlite3.Connection:
        address = "file:" + quote(os.fsencode(self.path.absolute()))
        if writable or create:
            mode = "rwc" if create else "rw"
            db = sqlite3.connect(f"{address}?mode={mode}", uri=True, isolation_level=None, timeout=30)
            db.execute("PRAGMA synchronous=FULL")
            return db
        db = sqlite3.connect(address + "?mode=ro", uri=True, isolation_level=None, timeout=30)
        try:
            db.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            # WAL needs a writable folder; on read-only media nothing can change, so no lock is missed.
            db.close()
            db = sqlite3.connect(address + "?immutable=1", uri=True, isolation_level=None)
        return db

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable on return."""
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            if self.db.in_transaction:  # SQLite rolls back by itself where the disk is full
                self.db.execute("ROLLBACK")
            raise

    def _run(self, statement: str, *values: Any) -> list[Any]:
        try:
            return self.db.execute(statement, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise _refusal(self.path, error) from None

    # settings

    def setting(self, key: str) -> str | None:
        found = self._run("SELECT value FROM settings WHERE key = ?", key)
        return str(found[0][0]) if found else None

    def set_setting(self, key: str, value: str | None) -> None:
        if value is None:
            self._run("DELETE FROM settings WHERE key = ?", key)
        else:
            self._run("INSERT OR REPLACE INTO settings VALUES (?, ?)", key, value)

    # photos

    def root_id(self, path: bytes) -> int:
        """The id of a root folder, added if new."""
        self._run("INSERT OR IGNORE INTO roots (path) VALUES (?)", path)
        return int(self._run("SELECT id FROM roots WHERE path = ?", path)[0][0])

    def roots(self) -> list[bytes]:
        return [bytes(path) for (path,) in self._run("SELECT path FROM roots ORDER BY id")]

    def row_count(self) -> int:
        """How many rows of the embedding file exist, dead ones included."""
        return int(self._run("SELECT coalesce(max(row) + 1, 0) FROM embeddings")[0][0])

    def photo_count(self) -> int:
        return int(self._run("SELECT count(*) FROM photos WHERE row IS NOT NULL")[0][0])

    def known_files(self, root: int) -> dict[bytes, tuple[int, int]]:
        """path -> (size, mtime_ns) of every photo under a root; size -1 for skipped ones, which are tried again."""
        query = "SELECT path, iif(row IS NULL, -1, size), mtime_ns FROM photos WHERE root = ?"
        return {bytes(path): (size, mtime_ns) for path, size, mtime_ns in self._run(query, root)}

    def row_of_digest(self, digest: bytes) -> int | None:
        found = self._run("SELECT row FROM embeddings WHERE digest = ?", digest)
        return int(found[0][0]) if found else None

    def add(self, root: int, photo: Embedded, row: int, *, new_row: bool) -> None:
        """Name a photo's row (inside a transaction); `new_row` makes the row exist too."""
        if new_row:
            statement = "INSERT INTO embeddings (row, digest, width, height) VALUES (?, ?, ?, ?)"
            self._run(statement, row, photo.digest, photo.width, photo.height)
        self._replace_photo(root, (photo.path, photo.size, photo.mtime_ns, row, None))
        self._run("UPDATE embeddings SET live = 1 WHERE row = ? AND live = 0", row)

    def add_many(self, root: int, photos: Iterable[Embedded], first_row: int) -> None:
        """Give new photos new rows, one after the other from `first_row` on (inside a transaction)."""
        numbered = list(enumerate(photos, first_row))
        try:
            self.db.executemany(
                "INSERT INTO embeddings (row, digest, width, height) VALUES (?, ?, ?, ?)",
                ((row, p.digest, p.width, p.height) for row, p in numbered),
            )
            self.db.executemany(
                "INSERT INTO photos VALUES (?, ?, ?, ?, ?, NULL)",
                ((root, p.path, p.size, p.mtime_ns, row) for row, p in numbered),
            )
        except sqlite3.DatabaseError as error:
            raise _refusal(self.path, error) from None

    def add_skipped(self, root: int, path: bytes, size: int, mtime_ns: int, reason: str) -> None:
        """List a photo as skipped (inside a transaction)."""
        self._replace_photo(root, (path, size, mtime_ns, None, reason))

    def _replace_photo(self, root: int, values: tuple[bytes, int, int, int | None, str | None]) -> None:
        before = self._run("SELECT row FROM photos WHERE root = ? AND path = ?", root, values[0])
        self._run("INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?, ?, ?)", root, *values)
        self._bury(row for (row,) in before if row is not None and row != values[3])

    def forget(self, row: int) -> None:
        """Let a row be found by no file any more (inside a transaction); the next build embeds its photos anew."""
        self._run("UPDATE embeddings SET digest = randomblob(16) WHERE row = ?", row)
        self._run("UPDATE photos SET mtime_ns = -1 WHERE row = ?", row)

    def remove(self, root: int, paths: Iterable[bytes]) -> int:
        """Forget photos (inside a transaction); rows that no photo has any more become tombstones."""
        count, rows = 0, set()
        for path in paths:
            for (row,) in self._run("SELECT row FROM photos WHERE root = ? AND path = ?", root, path):
                self._run("DELETE FROM photos WHERE root = ? AND path = ?", root, path)
                count += 1
                if row is not None:
                    rows.add(int(row))
        self._bury(rows)
        return count

    def _bury(self, rows: Iterable[int]) -> None:
        statement = "UPDATE embeddings SET live = 0 WHERE row = ?1 AND NOT EXISTS (SELECT 1 FROM photos WHERE row = ?1)"
        for row in rows:
            self._run(statement, row)

    def dead_rows(self) -> list[int]:
        return [int(row) for (row,) in self._run("SELECT row FROM embeddings WHERE live = 0 ORDER BY row")]

    def rows_under(self, folder: bytes) -> list[int]:
        """Rows of the photos below a folder, given as a path relative to a root or as an absolute one."""
        rows: set[int] = set()
        for root_id, root in self._run("SELECT id, path FROM roots"):
            prefix = os.path.relpath(folder, root) if os.path.isabs(folder) else os.path.normpath(folder)
            above = os.path.isabs(folder) and set(prefix.split(b"/")) == {b".."}
            if prefix == b"." or above:
                found = self._run("SELECT row FROM photos WHERE root = ? AND row IS NOT NULL", root_id)
            else:
                # "/" + 1 is "0": every path below the folder sorts between the two.
                query = "SELECT row FROM photos WHERE root = ? AND path >= ? AND path < ? AND row IS NOT NULL"
                found = self._run(query, root_id, prefix + b"/", prefix + b"0")
            rows.update(int(row) for (row,) in found)
        return sorted(rows)

    def photos_of_rows(self, rows: Sequence[int]) -> dict[int, list[Photo]]:
        """row -> its photos (more than one for exact duplicates), in path order."""
        found: dict[int, list[Photo]] = {row: [] for row in rows}
        for start in range(0, len(rows), 500):
            block = [int(row) for row in rows[start : start + 500]]
            marks = ",".join("?" * len(block))
            query = (
                "SELECT roots.path, photos.path, size, mtime_ns, row, reason FROM photos "
                f"JOIN roots ON roots.id = root WHERE row IN ({marks}) ORDER BY roots.path, photos.path"
            )
            for values in self._run(query, *block):
                photo = Photo(bytes(values[0]), bytes(values[1]), *values[2:])
                found[values[4]].append(photo)
        return found

    def sizes_of_rows(self, rows: Sequence[int]) -> dict[int, tuple[int, int]]:
        """row -> (width, height) of the upright photo."""
        found: dict[int, tuple[int, int]] = {}
        for start in range(0, len(rows), 500):
            block = [int(row) for row in rows[start : start + 500]]
            query = f"SELECT row, width, height FROM embeddings WHERE row IN ({','.join('?' * len(block))})"
            found.update((row, (width, height)) for row, width, height in self._run(query, *block))
        return found

    def all_photos(self) -> Iterator[Photo]:
        """Every photo, the skipped ones too, in path order."""
        query = (
            "SELECT roots.path, photos.path, size, mtime_ns, row, reason FROM photos "
            "JOIN roots ON roots.id = root ORDER BY roots.path, photos.path"
        )
        for values in self._run(query):
            yield Photo(bytes(values[0]), bytes(values[1]), *values[2:])

    # views and history

    def active_view(self) -> tuple[str, int] | None:
        """(id, rows it covers) of the view that searches use."""
        found = self._run("SELECT id, rows FROM views WHERE active = 1")
        return (str(found[0][0]), int(found[0][1])) if found else None

    def activate_view(self, view: str, rows: int) -> None:
        """Name a finished view as the one that searches use, instead of any other."""
        with self.transaction():
            self._run("DELETE FROM views")
            self._run("INSERT INTO views VALUES (?, ?, ?, 1)", view, rows, time.time())

    def start_build(self) -> int:
        """The id of a new line of the history."""
        self._run("INSERT INTO builds (started) VALUES (?)", time.time())
        return int(self._run("SELECT last_insert_rowid()")[0][0])

    def finish_build(self, build: int, record: dict[str, int]) -> None:
        columns = ", ".join(f"{name} = ?" for name in record)
        self._run(f"UPDATE builds SET finished = ?, {columns} WHERE id = ?", time.time(), *record.values(), build)

    def builds(self) -> list[BuildRecord]:
        query = "SELECT started, finished, seen, added, changed, removed, skipped FROM builds ORDER BY id"
        return [BuildRecord(s, f, *(n or 0 for n in counts)) for s, f, *counts in self._run(query)]


@contextmanager
def write_lock(folder: Path) -> Iterator[None]:
    """Hold the index folder's writer lock; PhotoseekError names the process that has it already."""
    import socket

    from filelock import FileLock, Timeout

    holder = folder / "writer.json"
    lock = FileLock(folder / "writer.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise PhotoseekError(
            f"index {folder} is being written by {_holder(holder)}; try again when it is done"
        ) from None
    except OSError as error:
        raise PhotoseekError(f"index {folder} cannot be written: {error.strerror or error}") from None
    try:
        with suppress(OSError):  # a full disk will be named by what cannot do without
            holder.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        yield
    finally:
        with suppress(OSError):
            holder.unlink()
        lock.release()


def _holder(path: Path) -> str:
    try:
        values = json.loads(path.read_text())
        return f"process {values['pid']} on {values['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _refusal(path: Path, error: sqlite3.DatabaseError) -> Exception:
    """The line for what is wrong with the file or its disk; any other error is a bug and comes back as it is."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return PhotoseekError(f"{path} cannot be read ({error}): {DAMAGED}")
    if code == sqlite3.SQLITE_FULL:
        return PhotoseekError(f"index {path.parent}: disk is full; {INTACT}")
    if code in OUTSIDE:
        return PhotoseekError(f"index {path.parent}: {error}; {INTACT}")
    return error
