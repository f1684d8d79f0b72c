"""The tables of what belongs together: the perceptual hash of every row, links between rows, and the stacks."""

from collections.abc import Iterable, Sequence

import numpy as np

from indexer.photos.perceptual_hash import WIDTH
from indexer.storage.tables.database import Database

# The catalogue's setting that is there while the stacks are those of its photos.
CURRENT_SETTING = "stacks_current"
# How the rows of a stack are stored.
ROW = np.dtype("<i8")


class StackTables:
    """The tables of stacks in an open catalogue; a catalogue of an older version has empty ones.

    Args:
        database: The catalogue's file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def put_hashes(self, hashes: Iterable[tuple[int, bytes]]) -> None:
        """Keep the perceptual hashes of rows, inside a transaction.

        Args:
            hashes: Row and hash, in any order.
        """
        self._database.run_for_each("INSERT OR REPLACE INTO perceptual_hashes VALUES (?, ?)", hashes)

    def rows_without_hash(self) -> list[int]:
        """Return the rows of photos that have no perceptual hash, sorted; an older version kept none."""
        return self._database.live_rows_missing_in("perceptual_hashes")

    def hashes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return every row with a perceptual hash.

        Returns:
            Rows (n,) int64, sorted, and their hashes (n, WIDTH) int8.
        """
        found = self._database.run("SELECT row, hash FROM perceptual_hashes ORDER BY row")
        rows = np.array([row for row, _ in found], np.int64)
        return rows, np.frombuffer(b"".join(value for _, value in found), np.int8).reshape(len(found), WIDTH)

    def add_links(self, links: np.ndarray) -> None:
        """Add links between rows of photos that look alike, inside a transaction.

        Args:
            links: (m, 2) int64, the larger row of each first.
        """
        self._database.run_for_each("INSERT OR IGNORE INTO links VALUES (?, ?)", map(tuple, links.tolist()))

    def remove_links(self, links: np.ndarray) -> None:
        """Remove links, inside a transaction.

        Args:
            links: (m, 2) int64, the larger row of each first.
        """
        self._database.run_for_each("DELETE FROM links WHERE row = ? AND other = ?", map(tuple, links.tolist()))

    def links(self) -> np.ndarray:
        """Return the links between rows of photos that look alike: (m, 2) int64, the larger row of each first."""
        return np.array(self._database.run("SELECT row, other FROM links ORDER BY row, other"), np.int64).reshape(-1, 2)

    def replace_stacks(self, stacks: Iterable[Sequence[int]]) -> None:
        """Write the stacks in place of all older ones, inside a transaction.

        Args:
            stacks: The rows of each stack, two or more; no row is in two.
        """
        self._database.run("DELETE FROM stacks")
        members = ((np.array(sorted(rows), ROW).tobytes(),) for rows in stacks)
        self._database.run_for_each("INSERT INTO stacks (rows) VALUES (?)", members)

    def members(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of all stacks, one stack after the other, in the order in which they were written.

        Returns:
            Rows (m,) int64, those of a stack sorted, and the number of rows of each stack (s,) int64.
        """
        stored = [rows for (rows,) in self._database.run("SELECT rows FROM stacks ORDER BY id")]
        lengths = np.array([len(rows) // ROW.itemsize for rows in stored], np.int64)
        return np.frombuffer(b"".join(stored), ROW), lengths

    def stacks(self) -> list[list[int]]:
        """Return the rows of each stack, sorted, in the order in which they were written."""
        rows, lengths = self.members()
        return [part.tolist() for part in np.split(rows, np.cumsum(lengths)[:-1])] if len(lengths) else []
