"""The catalogue of an index: which photo has which row, what was skipped, the active view, the history."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from indexer.photos.folder_names import places_below
from indexer.photos.found_files import PhotoFile
from indexer.storage.checksums import BlockChecksum
from indexer.storage.records import (
    ActiveView,
    BuildCounts,
    BuildRecord,
    CataloguedPhoto,
    KnownFile,
    NewPhoto,
)
from indexer.storage.tables.checksum_table import ChecksumTable
from indexer.storage.tables.database import Database
from indexer.storage.tables.metadata_table import MetadataTable
from indexer.storage.tables.rebuilt_tables import RebuiltTables
from indexer.storage.tables.root_folders import RootFolders
from indexer.storage.tables.seal import is_sealed
from indexer.storage.tables.stack_tables import StackTables
from indexer.storage.tables.unindexed import Unindexed

# Rows named in one statement; SQLite takes 999 or more values, by its version.
ROWS_PER_STATEMENT = 500


class Catalogue:
    """An open `catalogue.sqlite`. Reads see one snapshot per transaction; writes need `write_lock` around them.

    Every method raises PhotoseekError if the file is damaged, or cannot be read or written. `metadata` is what photos
    are beside their pictures, `stacks` what belongs together.

    Args:
        path: The file.
        create: Whether to make it, empty.
        writable: Whether it may be written; a created one always may.

    Attributes:
        path: The file.
        root_folders: The names of the roots, and what moves between them.
        unindexed: The files that searches do not find.
        checksums: The checksums of the index's files.
        rebuilt: What a catalogue that is made anew is filled with.

    Raises:
        PhotoseekError: There is no file, or it is not a catalogue.
    """

    def __init__(self, path: Path, *, create: bool = False, writable: bool = False) -> None:
        self.path = path
        self._database = Database(path, create=create, writable=writable)
        self._run = self._database.run
        self.metadata = MetadataTable(self._database)
        self.stacks = StackTables(self._database)
        self.root_folders = RootFolders(self._database)
        self.unindexed = Unindexed(self._database)
        self.checksums = ChecksumTable(self._database)
        self.rebuilt = RebuiltTables(self._database)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context in which all changes are made or none, durable when it ends."""
        return self._database.transaction()

    def integrity_problems(self) -> list[str]:
        """Return what SQLite finds wrong in the file, and which tables are not as they were written."""
        return self._database.integrity_problems()

    @property
    def is_sealed(self) -> bool:
        """Whether there is a seal beside the file, right or wrong."""
        return is_sealed(self.path)

    def begin_sums(self) -> None:
        """Compute the sums of all tables, by which a changed value is noticed; later transactions keep them."""
        self._database.begin_sums()

    # settings

    def setting(self, key: str) -> str | None:
        """Return a setting of the index, None if it is not set."""
        found = self._run("SELECT value FROM settings WHERE key = ?", key)
        return str(found[0][0]) if found else None

    def set_setting(self, key: str, value: str | None) -> None:
        """Keep a setting of the index.

        Args:
            key: Its name.
            value: Its value, None to take it away.
        """
        if value is None:
            self._run("DELETE FROM settings WHERE key = ?", key)
        else:
            self._run("INSERT OR REPLACE INTO settings VALUES (?, ?)", key, value)

    # photos, written

    def root_id(self, path: bytes) -> int:
        """Return the id of a root folder, which is added if it is new.

        Args:
            path: Absolute path of the folder, as the bytes on disk.
        """
        self._run("INSERT OR IGNORE INTO roots (path) VALUES (?)", path)
        return int(self._run("SELECT id FROM roots WHERE path = ?", path)[0][0])

    def add(self, root: int, photo: NewPhoto, row: int, *, new_row: bool) -> None:
        """Name a photo's row, inside a transaction.

        Args:
            root: Id of its root folder.
            photo: The photo; any earlier one of its path is replaced.
            row: The row of its embedding.
            new_row: Whether the row is made to exist, too.
        """
        if new_row:
            statement = "INSERT INTO embeddings (row, digest, width, height) VALUES (?, ?, ?, ?)"
            self._run(statement, row, photo.digest, photo.width, photo.height)
            self._add_notes([(row, photo)])
        self._replace_photo(root, (photo.path, photo.size, photo.mtime_ns, row, None))
        self._run("UPDATE embeddings SET live = 1 WHERE row = ? AND live = 0", row)

    def add_many(self, root: int, photos: Iterable[NewPhoto], first_row: int) -> None:
        """Give photos that are not in the catalogue consecutive new rows, inside a transaction.

        Args:
            root: Id of their root folder.
            photos: The photos, no two with the same path or digest.
            first_row: The row of the first.
        """
        numbered = list(enumerate(photos, first_row))
        self._database.run_for_each(
            "INSERT INTO embeddings (row, digest, width, height) VALUES (?, ?, ?, ?)",
            ((row, p.digest, p.width, p.height) for row, p in numbered),
        )
        self._database.run_for_each(
            "INSERT INTO photos VALUES (?, ?, ?, ?, ?, NULL)",
            ((root, p.path, p.size, p.mtime_ns, row) for row, p in numbered),
        )
        self._add_notes(numbered)

    def _add_notes(self, photos: Iterable[tuple[int, NewPhoto]]) -> None:
        notes = [(row, photo.note) for row, photo in photos if photo.note is not None]
        self._database.run_for_each("INSERT OR REPLACE INTO notes VALUES (?, ?)", notes)

    def add_skipped(self, root: int, file: PhotoFile, reason: str, retry: str) -> None:
        """List a photo as skipped, inside a transaction.

        Args:
            root: Id of its root folder.
            file: The file; any earlier photo of its path is replaced.
            reason: Why it was skipped.
            retry: When the same file is worth another try, a word of `indexer.photos.retry`.
        """
        self._replace_photo(root, (file.path, file.size, file.mtime_ns, None, reason))
        self._run("INSERT INTO failures VALUES (?, ?, ?)", root, file.path, retry)

    def _replace_photo(self, root: int, values: tuple[bytes, int, int, int | None, str | None]) -> None:
        before = self._run("SELECT row FROM photos WHERE root = ? AND path = ?", root, values[0])
        self._run("DELETE FROM failures WHERE root = ? AND path = ?", root, values[0])
        self._run("INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?, ?, ?)", root, *values)
        self._mark_dead_rows(row for (row,) in before if row is not None and row != values[3])

    def forget(self, row: int) -> None:
        """Detach a row from its file's digest, so that the next build embeds its photos again; inside a transaction."""
        self._run("UPDATE embeddings SET digest = randomblob(16) WHERE row = ?", row)
        self._run("UPDATE photos SET mtime_ns = -1 WHERE row = ?", row)
        self._run("UPDATE left_out SET mtime_ns = -1 WHERE row = ?", row)

    def remove(self, root: int, paths: Iterable[bytes]) -> int:
        """Remove photos, inside a transaction; rows that no photo has any more become dead.

        Args:
            root: Id of their root folder.
            paths: Their paths below that; one that is not in the catalogue is passed over.

        Returns:
            How many photos were removed.
        """
        count, rows = 0, set()
        for path in paths:
            for (row,) in self._run("SELECT row FROM photos WHERE root = ? AND path = ?", root, path):
                self._run("DELETE FROM photos WHERE root = ? AND path = ?", root, path)
                self._run("DELETE FROM failures WHERE root = ? AND path = ?", root, path)
                count += 1
                if row is not None:
                    rows.add(int(row))
        self._mark_dead_rows(rows)
        return count

    def _mark_dead_rows(self, rows: Iterable[int]) -> None:
        """Mark the given rows that no photo has any more as dead."""
        statement = "UPDATE embeddings SET live = 0 WHERE row = ?1 AND NOT EXISTS (SELECT 1 FROM photos WHERE row = ?1)"
        for row in rows:
            self._run(statement, row)

    # photos, read

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

    # views and history

    def active_view(self) -> ActiveView | None:
        """Return the view that searches use, None if no ranker is attached."""
        found = self._run("SELECT id, rows FROM views WHERE active = 1")
        return ActiveView(str(found[0][0]), int(found[0][1])) if found else None

    def activate_view(self, view: ActiveView, checksums: Iterable[tuple[str, BlockChecksum]] = ()) -> None:
        """Name a finished view as the one that searches use, instead of any other.

        Args:
            view: The view.
            checksums: Those of its files that it has not had before, by path below the index folder.
        """
        with self.transaction():
            self._run("DELETE FROM views")
            self._run("INSERT INTO views VALUES (?, ?, ?, 1)", view.id, view.rows, time.time())
            self.checksums.drop("views", but=f"views/{view.id}")
            for file, block in checksums:
                self.checksums.put(file, block)

    def start_build(self) -> int:
        """Add a build to the history, and return its id."""
        self._run("INSERT INTO builds (started) VALUES (?)", time.time())
        return int(self._run("SELECT last_insert_rowid()")[0][0])

    def finish_build(self, build: int, counts: BuildCounts) -> None:
        """Record in the history that a build is finished.

        Args:
            build: Its id.
            counts: Its photos.
        """
        record = asdict(counts)
        columns = ", ".join(f"{name} = ?" for name in record)
        self._run(f"UPDATE builds SET finished = ?, {columns} WHERE id = ?", time.time(), *record.values(), build)

    def builds(self) -> list[BuildRecord]:
        """Return the builds so far, oldest first."""
        query = "SELECT started, finished, seen, added, changed, removed, skipped FROM builds ORDER BY id"
        return [BuildRecord(s, f, *(n or 0 for n in counts)) for s, f, *counts in self._run(query)]


def _photo_of(values: Sequence[Any]) -> CataloguedPhoto:
    """Make the record of (root, path, size, mtime_ns, row, reason)."""
    return CataloguedPhoto(bytes(values[0]), bytes(values[1]), *values[2:])
