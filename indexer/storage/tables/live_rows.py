"""Copy a catalogue without its dead rows; the live ones are numbered anew, in their order."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from indexer.storage.tables.database import UNREADABLE, refusal_of
from indexer.storage.tables.table_sums import tables_of

# Tables about the files of the old rows, and of what belongs together, which is written anew from links.
_NOT_COPIED = ("checksums", "views", "stacks")
# Columns that hold the number of a row.
_ROW_COLUMNS = ("row", "other")


def copy_live_rows(old: Path, new: Path) -> None:
    """Copy what a catalogue holds of live rows into an empty one, in one transaction.

    Photos that are left out, and whose row is dead, are forgotten with it. The checksums of files, the view and the
    stacks are for the caller to write, and then the sums of the tables to begin.

    Args:
        old: The catalogue, which nobody writes.
        new: An empty catalogue.

    Raises:
        PhotoseekError: The old one is damaged, or the new one cannot be written.
    """
    with closing(sqlite3.connect(f"{_address(new)}?mode=rw", uri=True, isolation_level=None)) as connection:
        try:
            connection.execute("ATTACH ? AS old", (f"{_address(old)}?mode=ro",))
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(
                "CREATE TEMP TABLE numbers AS SELECT row AS old, row_number() OVER (ORDER BY row) - 1 AS new "
                "FROM old.embeddings WHERE live = 1"
            )
            connection.execute("CREATE UNIQUE INDEX temp.number_of ON numbers (old, new)")
            for table in sorted(set(tables_of(connection)) - {*_NOT_COPIED}):
                connection.execute(_copying(connection, table))
            connection.execute("COMMIT")
        except UNREADABLE as error:
            raise refusal_of(new, error) from None


def _address(path: Path) -> str:
    return "file:" + quote(os.fsencode(path.absolute()))


def _copying(connection: sqlite3.Connection, table: str) -> str:
    """Return the statement that copies a table, with the new numbers of its rows."""
    values, joins, conditions = [], [], []
    for _, column, *_ in connection.execute(f"PRAGMA main.table_info({table})"):
        if column not in _ROW_COLUMNS:
            values.append(f"t.{column}")
            continue
        numbers = f"numbers_of_{column}"
        values.append(f"{numbers}.new")
        joins.append(f"LEFT JOIN temp.numbers AS {numbers} ON {numbers}.old = t.{column}")
        conditions.append(f"(t.{column} IS NULL OR {numbers}.new IS NOT NULL)")
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    return f"INSERT INTO main.{table} SELECT {', '.join(values)} FROM old.{table} AS t {' '.join(joins)}{where}"
