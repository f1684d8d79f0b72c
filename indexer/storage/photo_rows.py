"""What a catalogue says of photos and their rows, read only."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from indexer.photos.folder_names import places_below
from indexer.storage.records import CataloguedPhoto, KnownFile
from indexer.storage.tables.database import Database
from indexer.storage.tables.root_folders import RootFolders

# Rows named in one statement; SQLite takes 999 or more values, by its version.
ROWS_PER_STATEMENT = 500


class PhotoRows:
    """The photos of a catalogue and their rows.

    Args:
        database: The catalogue's file.

    Attributes:
        root_folders: The names of the roots, and what moves between them.
    """

    def __init__(self, database: Database) -> None:
        self._run = database.run
        self.root_folders = RootFolders(database)

    def roots(self) -> list[bytes]:
        """Return the absolute paths of the root folders, in the order in which they were added."""
        return [bytes(path) for (path,) in self._run("SELECT path FROM roots ORDER BY id")]

    def row_count(self) -> int:
        """Return how many rows of the embedding file exist, dead ones included."""
        return int(self._run("SELECT coalesce(max(row) + 1, 0) FROM embeddings")[0][0])

    def row_counts(self, files: Sequence[str]) -> tuple[int, int, dict[str, int]]:
        """Return what must fit together, all of the same moment.

        Args:
            files: Files whose rows have checksums.

        Returns:
            How many rows there are, the last row that a photo has (-1 if none has), and how many rows of each file have
            a checksum.
        """
        sums = "".join(", (SELECT coalesce(sum(rows), 0) FROM checksums WHERE file = ?)" for _ in files)
        query = "SELECT (SELECT coalesce(max(row) + 1, 0) FROM embeddings), (SELECT coalesce(max(row), -1) FROM photos)"
        rows, last_photo_row, *checked = self._run(query + sums, *files)[0]
        return rows, last_photo_row, dict(zip(files, checked, strict=True))

    def present_rows(self) -> int:
        """Return how many rows are in the catalogue one by one, which takes a moment where there are millions."""
        return int(self._run("SELECT count(*) FROM embeddings")[0][0])

    def damaged_indexes(self) -> list[str]:
        """Return the indexes of the tables that lack entries or have others, by count and sum."""
        compared = {
            "photos_by_row": ("photos INDEXED BY sqlite_autoindex_photos_1", "photos INDEXED BY photos_by_row", "row"),
            "embeddings by digest": (
                "embeddings NOT INDEXED",
                "embeddings INDEXED BY sqlite_autoindex_embeddings_1",
                "digest",
            ),
        }
        query = "SELECT count(*), sum(row) FROM {} WHERE {} IS NOT NULL"
        return [
            name
            for name, (table, index, column) in compared.items()
            if self._run(query.format(table, column)) != self._run(query.format(index, column))
        ]

    def photo_count(self) -> int:
        """Return how many photos have a row; exact duplicates count each."""
        return int(self._run("SELECT count(*) FROM photos WHERE row IS NOT NULL")[0][0])

    def known_files(self, root: int) -> dict[bytes, KnownFile]:
        """Return every photo under a root by its path, the skipped ones too."""
        retries = dict(self._run("SELECT path, retry FROM failures WHERE root = ?", root))
        query = "SELECT path, size, mtime_ns, row FROM photos WHERE root = ?"
        return {
            path: KnownFile(size, mtime_ns, row, retries.get(path))
            for path, size, mtime_ns, row in self._run(query, root)
        }

    def digest_beginnings(self) -> np.ndarray:
        """Return the first 8 bytes of every row's digest as big-endian numbers, (rows,) uint64, sorted."""
        digests = b"".join(digest[:8] for (digest,) in self._run("SELECT digest FROM embeddings ORDER BY digest"))
        return np.frombuffer(digests, ">u8").astype(np.uint64)

    def row_of_digest(self, digest: bytes) -> int | None:
        """Return the row of the file with these 16 bytes of digest, None if it has none."""
        found = self._run("SELECT row FROM embeddings WHERE digest = ?", digest)
        return int(found[0][0]) if found else None

    def dead_rows(self) -> list[int]:
        """Return the rows that no photo has any more, sorted."""
        return [int(row) for (row,) in self._run("SELECT row FROM embeddings WHERE live = 0 ORDER BY row")]

    def rows_under(self, folder: bytes) -> list[int]:
        """Return the rows of the photos below a folder, sorted.

        Args:
            folder: An absolute path, or one relative to a root; through links and with accents of either form, too.
        """
        rows: set[int] = set()
        for follow_links in (False, True):
            for root, root_id in self.root_folders.ids().items():
                for place in places_below(root, folder, follow_links=follow_links):
                    # "/" + 1 is "0": every path below the folder sorts between the two.
                    inside = (" AND path >= ? AND path < ?", place + b"/", place + b"0") if place else ("",)
                    query = f"SELECT row FROM photos WHERE root = ? AND row IS NOT NULL{inside[0]}"
                    rows.update(int(row) for (row,) in self._run(query, root_id, *inside[1:]))
            if rows:
                break
        return sorted(rows)

    def rows_of_duplicates(self) -> list[int]:
        """Return the rows that two photos or more have, sorted."""
        query = "SELECT row FROM photos WHERE row IS NOT NULL GROUP BY row HAVING count(*) > 1 ORDER BY row"
        return [int(row) for (row,) in self._run(query)]

    def photos_of_rows(self, rows: Sequence[int]) -> dict[int, list[CataloguedPhoto]]:
        """Return the photos of each row, more than one for exact duplicates, in path order."""
        found: dict[int, list[CataloguedPhoto]] = {row: [] for row in rows}
        query = (
            "SELECT roots.path, photos.path, size, mtime_ns, row, reason FROM photos "
            "JOIN roots ON roots.id = root WHERE row IN ({}) ORDER BY roots.path, photos.path"
        )
        for values in self._run_for_rows(query, rows):
            found[values[4]].append(_photo_of(values))
        return found

    def sizes_of_rows(self, rows: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Return (width, height) of each row's upright photo, in pixels."""
        query = "SELECT row, width, height FROM embeddings WHERE row IN ({})"
        return {row: (width, height) for row, width, height in self._run_for_rows(query, rows)}

    def digests_of_rows(self, rows: Sequence[int]) -> dict[int, bytes]:
        """Return the digest of each row's file, 16 bytes."""
        query = "SELECT row, digest FROM embeddings WHERE row IN ({})"
        return {row: bytes(digest) for row, digest in self._run_for_rows(query, rows)}

    def _run_for_rows(self, query: str, rows: Sequence[int]) -> Iterator[Any]:
        """Run a query once per block of rows; its `{}` is replaced by placeholders for the row numbers."""
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            block = [int(row) for row in rows[start : start + ROWS_PER_STATEMENT]]
            yield from self._run(query.format(",".join("?" * len(block))), *block)

    def all_photos(self) -> Iterator[CataloguedPhoto]:
        """Yield every photo, the skipped ones too, in path order."""
        query = (
            "SELECT roots.path, photos.path, size, mtime_ns, row, reason FROM photos "
            "JOIN roots ON roots.id = root ORDER BY roots.path, photos.path"
        )
        for values in self._run(query):
            yield _photo_of(values)

    def notes(self) -> list[tuple[bytes, str]]:
        """Return the photos that were indexed although they are damaged, in path order.

        Returns:
            (path below its root as the bytes on disk, what was damaged) per photo.
        """
        query = (
            "SELECT photos.path, note FROM notes JOIN photos ON photos.row = notes.row "
            "JOIN roots ON roots.id = root ORDER BY roots.path, photos.path"
        )
        return [(bytes(path), str(note)) for path, note in self._run(query)]


def _photo_of(values: Sequence[Any]) -> CataloguedPhoto:
    """Make the record of (root, path, size, mtime_ns, row, reason)."""
    return CataloguedPhoto(bytes(values[0]), bytes(values[1]), *values[2:])
