"""Sums of a catalogue's tables, by which a changed value is noticed: how many rows, and the sum of their hashes.

A sum does not depend on the order of the rows, so a change of some rows changes it by their hashes alone (Bellare and
Micciancio 1997, "A New Paradigm for Collision-Free Hashing: Incrementality at Reduced Cost", AdHash).
"""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Sequence

# The table of the sums: of which table, how many rows it has, and the sum of their hashes modulo 2^64 as 8 bytes.
TABLE = "table_sums"
MODULUS = 1 << 64
# The function of a connection that its triggers call.
_FUNCTION = "photoseek_count_row"


class TableSums:
    """Sums that a connection keeps up to date while it writes.

    Triggers of the connection, which no file keeps, hand over every row that is inserted, changed or deleted.

    Args:
        connection: A connection to a catalogue, for writing.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows = Counter[str]()
        self._sums = Counter[str]()
        # Without, SQLite tells no trigger of a row that another one replaces.
        connection.execute("PRAGMA recursive_triggers = ON")
        connection.create_function(_FUNCTION, -1, self._count)
        for table in tables_of(connection):
            columns = [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]
            new, old = (", ".join(f"{row}.{name}" for name in columns) for row in ("NEW", "OLD"))
            added, removed = f"{_FUNCTION}('{table}', 1, {new})", f"{_FUNCTION}('{table}', -1, {old})"
            calls = {"INSERT": added, "DELETE": removed, "UPDATE": f"{removed}, {added}"}
            for event, call in calls.items():
                connection.execute(
                    f"CREATE TEMP TRIGGER sum_of_{table}_{event} AFTER {event} ON main.{table} BEGIN SELECT {call}; END"
                )

    def _count(self, table: str, sign: int, *values: object) -> None:
        self._rows[table] += sign
        self._sums[table] += sign * _hash(values)

    def forget(self) -> None:
        """Forget the changes of a transaction that is rolled back."""
        self._rows.clear()
        self._sums.clear()

    def write(self) -> None:
        """Write the sums of the tables that the open transaction has changed; nothing where no sums are kept yet."""
        changed, before = list(self._sums), kept_sums(self._connection)
        for table in changed if before else ():
            rows, total = before.get(table, (0, 0))
            self._put(table, rows + self._rows[table], total + self._sums[table])
        self.forget()

    def begin(self) -> None:
        """Write the sums of all tables as they are, inside a transaction."""
        for table, (rows, total) in computed_sums(self._connection).items():
            self._put(table, rows, total)
        self.forget()

    def _put(self, table: str, rows: int, total: int) -> None:
        values = (table, rows, (total % MODULUS).to_bytes(8, "little"))
        self._connection.execute(f"INSERT OR REPLACE INTO {TABLE} VALUES (?, ?, ?)", values)


def tables_of(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the tables that have a sum, sorted."""
    query = "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> ?"
    return sorted(name for (name,) in connection.execute(query, (TABLE,)))


def kept_sums(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Return the number of rows and the sum of each table, as they were written; empty if none are kept."""
    query = f"SELECT name, rows, total FROM {TABLE}"
    return {name: (rows, int.from_bytes(total, "little")) for name, rows, total in connection.execute(query)}


def computed_sums(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Compute the number of rows and the sum of each table from its rows."""
    return {table: sum_of_table(connection, table) for table in tables_of(connection)}


def sum_of_table(connection: sqlite3.Connection, table: str, columns: Sequence[str] = ("*",)) -> tuple[int, int]:
    """Compute the number of rows of a table, and the sum of their hashes; no index is read.

    Args:
        connection: A connection to a catalogue.
        table: The table.
        columns: Its columns in their order.
    """
    rows, total = 0, 0
    for values in connection.execute(f"SELECT {', '.join(columns)} FROM main.{table} NOT INDEXED"):
        rows += 1
        total += _hash(values)
    return rows, total % MODULUS


def _hash(values: tuple[object, ...]) -> int:
    """Return the hash of a row, 64 bits."""
    text = repr(values).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
