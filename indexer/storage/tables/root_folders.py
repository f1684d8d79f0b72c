"""The root folders of a catalogue: their names, what moves between them, what is forgotten."""

from collections.abc import Iterable

from indexer.storage.tables.database import Database
from indexer.storage.tables.schema import ADDED_TABLES

# Tables beside `photos` whose rows are of a root, and those of them whose rows are of a path in it.
OF_ROOT = [name for name, columns in ADDED_TABLES.items() if columns.startswith("(root ")]
OF_PATH = [name for name in OF_ROOT if " path BLOB" in ADDED_TABLES[name]]


class RootFolders:
    """The roots of a catalogue. All changes are for inside a transaction.

    Args:
        database: The catalogue's file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._run = database.run

    def ids(self) -> dict[bytes, int]:
        """Return the id of every root by its path, in the order in which they were added."""
        return {bytes(path): int(root) for path, root in self._run("SELECT path, id FROM roots ORDER BY id")}

    def not_found(self) -> list[bytes]:
        """Return the roots of which no photo is known, as when a catalogue was made anew and their disk was away."""
        known = "SELECT root FROM photos UNION SELECT root FROM left_out"
        return [bytes(path) for (path,) in self._run(f"SELECT path FROM roots WHERE id NOT IN ({known}) ORDER BY id")]

    def move_photos(self, old: int, new: int, paths: Iterable[tuple[bytes, bytes]]) -> None:
        """Give photos of a root to another, with their rows, or the reason why they have none.

        Args:
            old: Id of the root that they were in.
            new: Id of the root that they are in now.
            paths: The path of each below the old root, and below the new one.
        """
        named = [(new, new_path, old, old_path) for old_path, new_path in paths]
        for table in ("photos", "failures"):
            statement = f"UPDATE OR REPLACE {table} SET root = ?, path = ? WHERE root = ? AND path = ?"
            self._database.run_for_each(statement, named)

    def move_left_out(self, old: int, new: int, prefix: bytes) -> None:
        """Give the photos of a root that are left out to another root.

        Args:
            old: Id of the root that they were in.
            new: Id of the root that they are in now.
            prefix: What goes before their paths there.
        """
        statement = "UPDATE OR REPLACE left_out SET root = ?, path = CAST(? || path AS BLOB) WHERE root = ?"
        self._run(statement, new, prefix, old)

    def drop_photos_found_in(self, root: int, others: Iterable[int]) -> int:
        """Remove the photos of a root that other roots have as well, by their rows.

        Args:
            root: Id of the root.
            others: Ids of the other roots.

        Returns:
            How many photos were removed.
        """
        statement = (
            "DELETE FROM photos WHERE root = ?1 AND EXISTS "
            "(SELECT 1 FROM photos AS other WHERE other.row = photos.row AND other.root = ?2) RETURNING 1"
        )
        return sum(len(self._run(statement, root, other)) for other in others)

    def photo_count(self, root: int) -> int:
        """Return how many photos of a root have a row.

        Args:
            root: Id of the root.
        """
        return int(self._run("SELECT count(*) FROM photos WHERE root = ? AND row IS NOT NULL", root)[0][0])

    def forget(self, root: int, folder: bytes = b"") -> int:
        """Forget a root, or a folder or photo in it; rows that no photo has any more become dead.

        Args:
            root: Id of the root.
            folder: Path of the folder or photo below the root; empty for all, and the root itself.

        Returns:
            How many photos with a row were forgotten; one that is left out counts, too.
        """
        # "/" + 1 is "0": every path below the folder sorts between the two.
        where = "WHERE root = ?"
        values: list[int | bytes] = [root]
        if folder:
            where += " AND (path = ? OR path >= ? AND path < ?)"
            values += [folder, folder + b"/", folder + b"0"]
        rows = [row for (row,) in self._run(f"DELETE FROM photos {where} RETURNING row", *values)]
        left_out = len(self._run(f"SELECT 1 FROM left_out {where}", *values))
        for table in OF_PATH if folder else OF_ROOT:
            self._run(f"DELETE FROM {table} {where}", *values)
        self._database.run_for_each(
            "UPDATE embeddings SET live = 0 WHERE row = ?1 AND NOT EXISTS (SELECT 1 FROM photos WHERE row = ?1)",
            ((row,) for row in set(rows) - {None}),
        )
        if not folder:
            self._run("DELETE FROM roots WHERE id = ?", root)
        return sum(row is not None for row in rows) + left_out
