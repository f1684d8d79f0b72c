"""Read the tables of a damaged catalogue whose every value is as it was written, by the sums that it keeps of them."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from indexer.storage.tables.schema import TABLES, columns_of
from indexer.storage.tables.table_sums import kept_sums, sum_of_table

# What SQLite and Python raise for a file that cannot be read, as far as a damaged one goes.
UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError, ValueError, TypeError, OverflowError)


class WholeTables:
    """The whole tables of a damaged catalogue, which is only read; a context that closes it.

    Args:
        path: The file, with its changes beside it.
    """

    def __init__(self, path: Path) -> None:
        self._connection: sqlite3.Connection | None = None
        with suppress(*UNREADABLE):
            address = "file:" + quote(os.fsencode(path.absolute())) + "?mode=ro"
            self._connection = sqlite3.connect(address, uri=True, isolation_level=None)

    def __enter__(self) -> "WholeTables":
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def names(self) -> list[str]:
        """Return the names of the whole tables, sorted."""
        if self._connection is None:
            return []
        with suppress(*UNREADABLE):
            kept = kept_sums(self._connection)
            return [name for name in sorted(TABLES) if name in kept and self._is_whole(name, kept[name])]
        return []

    def _is_whole(self, table: str, kept: tuple[int, int]) -> bool:
        assert self._connection is not None
        with suppress(*UNREADABLE):
            return sum_of_table(self._connection, table, columns_of(table)) == kept
        return False

    def rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a whole table, their values in the order of `columns_of`."""
        assert self._connection is not None
        yield from self._connection.execute(f"SELECT {', '.join(columns_of(table))} FROM main.{table} NOT INDEXED")
