"""Fill the tables of a new catalogue from what is whole of a damaged one, and from records of its rows."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from indexer.storage.tables.database import Database
from indexer.storage.tables.schema import columns_of
from indexer.storage.tables.whole_tables import WholeTables

# The catalogue's setting that says what is still to do after it was made anew, words with blanks between.
REBUILDING = "rebuilding"
FIND_PHOTOS, RENEW_VIEW = "photos", "view"


class RebuiltTables:
    """The tables of a catalogue that is made anew. All changes are for inside a transaction.

    Args:
        database: The catalogue's file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._run = database.run

    def copy_whole_tables(self, source: Path) -> frozenset[str]:
        """Copy those tables of a damaged catalogue whose every value is as it was written.

        Args:
            source: The damaged catalogue.

        Returns:
            Their names; none where the file cannot be read.
        """
        copied = set()
        with WholeTables(source) as tables:
            for table in tables.names():
                columns = columns_of(table)
                marks = ", ".join("?" * len(columns))
                statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
                self._database.run_for_each(statement, tables.rows(table))
                copied.add(table)
        return frozenset(copied)

    def clear(self, tables: Iterable[str]) -> None:
        """Empty tables.

        Args:
            tables: Their names.
        """
        for table in tables:
            self._run(f"DELETE FROM {table}")

    def add_rows(self, first_row: int, digests: Sequence[bytes], sizes: Sequence[tuple[int, int]]) -> None:
        """Make consecutive rows exist.

        Args:
            first_row: The first of them.
            digests: The digest of each row's photo file, 16 bytes, none twice in the catalogue.
            sizes: Width and height of each, in pixels.
        """
        statement = "INSERT INTO embeddings (row, digest, width, height) VALUES (?, ?, ?, ?)"
        numbered = enumerate(zip(digests, sizes, strict=True), first_row)
        self._database.run_for_each(statement, ((row, digest, *size) for row, (digest, size) in numbered))

    def mark_live_rows(self) -> None:
        """Mark the rows that photos have as live, and all others as dead."""
        self._run("UPDATE embeddings SET live = EXISTS (SELECT 1 FROM photos WHERE photos.row = embeddings.row)")

    def to_do(self) -> list[str]:
        """Return what is still to do after the catalogue was made anew, `FIND_PHOTOS` and `RENEW_VIEW`."""
        found = self._run("SELECT value FROM settings WHERE key = ?", REBUILDING)
        return str(found[0][0]).split() if found else []
