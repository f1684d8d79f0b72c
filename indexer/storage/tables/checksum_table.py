"""The table of checksums of an index's files: of each block of rows that a transaction committed, of whole files."""

from indexer.storage.integrity.checksums import BlockChecksum
from indexer.storage.tables.database import Database


class ChecksumTable:
    """The checksums of a catalogue. All changes are for inside the transaction that commits the rows.

    Args:
        database: The catalogue's file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._run = database.run

    def put(self, file: str, block: BlockChecksum) -> None:
        """Keep the checksum of a block.

        Args:
            file: Path of the file below the index folder, with "/" between names.
            block: Its rows and their checksum; an earlier one of the same first row is replaced.
        """
        self._run("INSERT OR REPLACE INTO checksums VALUES (?, ?, ?, ?)", file, *block)

    def of_file(self, file: str) -> list[BlockChecksum]:
        """Return the checksums of a file's blocks, in row order."""
        query = "SELECT first_row, rows, digest FROM checksums WHERE file = ? ORDER BY first_row"
        return [BlockChecksum(first_row, rows, bytes(digest)) for first_row, rows, digest in self._run(query, file)]

    def rows_of(self, file: str) -> int:
        """Return how many rows of a file have a checksum."""
        return int(self._run("SELECT coalesce(sum(rows), 0) FROM checksums WHERE file = ?", file)[0][0])

    def files(self) -> list[str]:
        """Return the files that have checksums, sorted."""
        return [str(file) for (file,) in self._run("SELECT DISTINCT file FROM checksums ORDER BY file")]

    def drop(self, folder: str = "", but: str | None = None) -> None:
        """Drop the checksums of the files below a folder.

        Args:
            folder: The folder below the index folder, "" for all.
            but: A folder below it that is kept.
        """
        for file in self.files():
            if file.startswith(f"{folder}/" if folder else "") and not (but and file.startswith(f"{but}/")):
                self._run("DELETE FROM checksums WHERE file = ?", file)
