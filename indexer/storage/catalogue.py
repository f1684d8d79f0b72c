"""The catalogue of an index: which photo has which row, what was skipped, the active view, the history."""

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from indexer.photos.found_files import PhotoFile
from indexer.storage.integrity.checksums import BlockChecksum
from indexer.storage.photo_rows import PhotoRows
from indexer.storage.records import (
    ActiveView,
    BuildCounts,
    BuildRecord,
    NewPhoto,
)
from indexer.storage.tables.checksum_table import ChecksumTable
from indexer.storage.tables.database import Database
from indexer.storage.tables.metadata_table import MetadataTable
from indexer.storage.tables.rebuilt_tables import RebuiltTables
from indexer.storage.tables.seal import is_sealed
from indexer.storage.tables.stack_tables import StackTables
from indexer.storage.tables.unindexed import Unindexed


class Catalogue(PhotoRows):
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
        super().__init__(self._database)
        self.metadata = MetadataTable(self._database)
        self.stacks = StackTables(self._database)
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

    def state(self) -> tuple[Any, ...]:
        """Return a value that differs once anything in the catalogue has changed; it is kept by all that it holds."""
        return (
            self.row_count(),
            self.active_view(),
            *self._run("SELECT name, rows, total FROM table_sums ORDER BY name"),
        )

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
