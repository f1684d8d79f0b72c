"""The SQLite file below the catalogue: its tables, its connection, its errors as one line each."""

import os
import shlex
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from indexer.errors import INTACT, DamageError, PhotoseekError, damaged_index
from indexer.storage.fork_safe_lock import ForkSafeLock
from indexer.storage.tables.connection import CHANGES, Connection, connect, has_changes_beside
from indexer.storage.tables.schema import SCHEMA, add_tables
from indexer.storage.tables.seal import seal_problem, write_seal
from indexer.storage.tables.shared_descriptor import SharedDescriptor
from indexer.storage.tables.table_sums import TableSums, computed_sums, kept_sums

# Errors of the disk and its permissions, rather than of this code.
OUTSIDE_ERRORS = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
)
# How long readers are waited for when the file is closed, in milliseconds.
MOVE_TIMEOUT_MS = 1000
# What SQLite and Python raise for a file that cannot be used; names in a damaged one may be no Unicode.
UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)
# How SQLite begins to say that the tables are not those that it was asked for; a damaged file may name others.
OTHER_TABLES = ("no such column", "no such table", "table ", "malformed database schema")
# How statements begin that change rows.
CHANGING = ("INSERT", "UPDATE", "DELETE")
# How the file begins, https://www.sqlite.org/fileformat.html.
MAGIC = b"SQLite format 3\0"

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
        if not create and not os.path.lexists(path):
            raise damaged_index(path.parent, f"{path.parent} has no catalogue")
        if create:
            path.touch()
        file = _share(path)
        if _is_cut(path, file.descriptor):
            raise damaged_index(path.parent, f"{path} is shorter than it says")
        try:
            self._connection = connect(path, writable, create)
            self._file = self._connection.file = file
            if create:
                self._connection.executescript("PRAGMA journal_mode=WAL;" + SCHEMA)
                self._move_changes_into_file()
            self._process: int | None = os.getpid()
            self._connection.execute("SELECT count(*) FROM settings").fetchone()
            self._sums = self._prepare()
        except UNREADABLE as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_ERROR:  # no such table
                if _lacks_changes(path, file.descriptor):
                    place = shlex.quote(str(path.parent))
                    raise DamageError(
                        f"{path} is empty: the index was copied without {path.name}{CHANGES}; copy the whole folder "
                        f"again, or run: photoseek repair -i {place}"
                    ) from None
                raise damaged_index(path.parent, f"{path} is not a catalogue ({error})") from None
            raise refusal_of(path, error) from None

        if create:
            self.begin_sums()

    def close(self) -> None:
        """Close the file; what was written is in the file itself then, and in no other."""
        with self._lock:
            if self._process == os.getpid():
                if self._writable:
                    self._move_changes_into_file()
                    if not has_changes_beside(self.path):
                        with suppress(OSError, sqlite3.DatabaseError):
                            write_seal(self.path, self._file.descriptor, self._connection)
                self._connection.close()
                self._file.close()
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
        with self._lock, self._transaction_for(statement):
            while True:
                connection = self._opened()
                try:
                    found = connection.execute(statement, values).fetchall()
                except UNREADABLE as error:
                    if connection.is_outdated(self.path):
                        continue
                    raise refusal_of(self.path, error) from None
                if not connection.is_outdated(self.path):
                    return found

    def live_rows_missing_in(self, table: str) -> list[int]:
        """Return the rows of photos that have no entry in a table, sorted.

        Args:
            table: Name of a table whose entries are of one row each.
        """
        # Counting is quick, and mostly enough.
        rows, entries = (self.run(f"SELECT count(*) FROM {name}")[0][0] for name in ("embeddings", table))
        if rows == entries:
            return []
        query = f"SELECT row FROM embeddings WHERE live = 1 AND row NOT IN (SELECT row FROM {table}) ORDER BY row"
        return [int(row) for (row,) in self.run(query)]

    def run_for_each(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run one statement many times.

        Args:
            statement: SQL with a `?` for each value of a row.
            rows: The values of each time.
        """
        with self._lock, self._transaction_for(statement):
            try:
                self._opened().executemany(statement, rows)
            except UNREADABLE as error:
                raise refusal_of(self.path, error) from None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes of the block or none, durable when it ends."""
        with self._lock:
            self.run("BEGIN IMMEDIATE")
            try:
                yield
                self._write_sums()
                self.run("COMMIT")
                self.run("PRAGMA wal_checkpoint(PASSIVE)")  # a copy of the file alone has it, too
            except BaseException:
                if self._connection.in_transaction:  # SQLite rolls back by itself when the disk is full
                    self._connection.execute("ROLLBACK")
                if self._sums is not None:
                    self._sums.forget()
                raise

    def integrity_problems(self) -> list[str]:
        """Return what SQLite finds wrong in the file, and which tables are not as they were written.

        Raises:
            PhotoseekError: The file cannot be read at all.
        """
        problems = [str(line) for (line,) in self.run("PRAGMA integrity_check(20)") if line != "ok"]
        problems += [f"a row of {table} names what is not there" for table, *_ in self.run("PRAGMA foreign_key_check")]
        with self._lock:
            try:
                kept, computed = kept_sums(self._opened()), computed_sums(self._opened())
            except UNREADABLE as error:
                raise refusal_of(self.path, error) from None
        changed = sorted(table for table in computed if kept and kept.get(table) != computed[table])
        problems += [f"table {table} is not as it was written" for table in changed]
        if not problems and not has_changes_beside(self.path):
            problem = seal_problem(self.path, self._file.descriptor, self._opened())
            problems += [] if problem is None else [problem]
        return [*dict.fromkeys(problems)]

    def begin_sums(self) -> None:
        """Compute the sums of all tables anew, in a transaction; from then on every transaction keeps them."""
        with self.transaction():
            assert self._sums is not None, "only a file that is open for writing has sums to begin"
            try:
                self._sums.begin()
            except UNREADABLE as error:
                raise refusal_of(self.path, error) from None

    def _write_sums(self) -> None:
        if self._sums is not None:
            try:
                self._sums.write()
            except UNREADABLE as error:
                raise refusal_of(self.path, error) from None

    def _transaction_for(self, statement: str) -> AbstractContextManager[None]:
        """Return the transaction that a statement needs for itself: sums change with the tables or not at all."""
        is_alone = self._writable and not self._opened().in_transaction
        return self.transaction() if is_alone and statement.startswith(CHANGING) else nullcontext()

    def _prepare(self) -> TableSums | None:
        """Add what a new connection needs; return the sums that it keeps, None if it only reads."""
        add_tables(self._connection, temporary=not self._writable)
        return TableSums(self._connection) if self._writable else None

    def _opened(self) -> Connection:
        """Return the connection, a new one in a forked child, after `close`, and where SQLite could not look itself."""
        if self._process == os.getpid() and self._connection.is_outdated(self.path):
            self._connection.close()
            self._connection = connect(self.path, writable=False, create=False)
            self._connection.file = self._file
            self._sums = self._prepare()
        if self._process != os.getpid():
            # SQLite forbids a child to use, or to close, what its parent opened.
            _PARENTS.append(self._connection)
            file = self._file if self._file.is_open else _share(self.path)
            self._connection = connect(self.path, self._writable, create=False)
            self._file = self._connection.file = file
            self._sums = self._prepare()
            self._process = os.getpid()
        return self._connection


def _share(path: Path) -> SharedDescriptor:
    """Open a file for reading its bytes beside SQLite."""
    try:
        return SharedDescriptor(path)
    except FileNotFoundError:
        raise PhotoseekError(
            f"index {path.parent} has no {path.name} any more, as when it was compacted since; open it again"
        ) from None
    except OSError as error:
        raise PhotoseekError(f"index {path.parent}: {path.name} cannot be read: {error.strerror}") from None


def _lacks_changes(path: Path, file: int) -> bool:
    """Return whether a file was written as one with changes beside it, and there are none."""
    header = os.pread(file, 20, 0)
    # The versions of the format that are needed to write and to read it (https://www.sqlite.org/fileformat.html).
    return header[18:20] == b"\x02\x02" and not has_changes_beside(path)


def _is_cut(path: Path, file: int) -> bool:
    """Return whether a file lacks pages that its header counts; what is beside it may hold them."""
    header = os.pread(file, 100, 0)
    counts_pages = len(header) == 100 and header.startswith(MAGIC) and header[24:28] == header[92:96]
    if not counts_pages or has_changes_beside(path):
        return False
    page_size = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    return os.fstat(file).st_size < pages * (0x10000 if page_size == 1 else page_size)


def refusal_of(path: Path, error: Exception) -> Exception:
    """Return the line for what is wrong with a file or its disk; any other error is a bug and returned as it is.

    Args:
        path: The file.
        error: What SQLite or Python raised.
    """
    # Python itself refuses a text that is no UTF-8, without a code.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    is_of_others = code == sqlite3.SQLITE_ERROR and str(error).startswith(OTHER_TABLES)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or is_of_others:
        return damaged_index(path.parent, f"{path} cannot be read ({error})")
    if code == sqlite3.SQLITE_FULL:
        return PhotoseekError(f"index {path.parent}: disk is full; {INTACT}")
    if code in OUTSIDE_ERRORS:
        return PhotoseekError(f"index {path.parent}: {error}; {INTACT}")
    return error
