"""The tables of files that searches do not find: photos that are left out, and all that the last walk passed over."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from indexer.storage.tables.database import Database

# Paths of one kind and root that are kept, so that a folder of a million videos costs a megabyte at most.
KEPT_PATHS = 10_000


@dataclass(slots=True)
class PassedOverFiles:
    """Files and folders of one kind that one walk passed over.

    Attributes:
        kind: "videos", "thumbnails", "patterns", ...
        files: How many files.
        folders: How many folders, of which nothing was taken.
        photos: How many photos were counted in these folders.
        all_counted: Whether these are all; False for folders of more names than are looked at.
        paths: The first `KEPT_PATHS` of the files and folders, below the root; those of folders end with a slash.
    """

    kind: str
    files: int = 0
    folders: int = 0
    photos: int = 0
    all_counted: bool = True
    paths: list[bytes] = field(default_factory=list)


class Unindexed:
    """The files of a catalogue that have no row, or whose row is dead because they are left out.

    Args:
        database: The catalogue's file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._run = database.run

    # photos that are left out

    def left_out(self, root: int) -> dict[bytes, tuple[int, int]]:
        """Return size and time of the photos of a root that are left out, by path."""
        query = "SELECT path, size, mtime_ns FROM left_out WHERE root = ?"
        return {bytes(path): (size, mtime_ns) for path, size, mtime_ns in self._run(query, root)}

    def left_out_count(self) -> int:
        """Return how many photos are left out that have been embedded."""
        return int(self._run("SELECT count(*) FROM left_out")[0][0])

    def dead_left_out_count(self) -> int:
        """Return how many photos are left out that have a dead row."""
        query = "SELECT count(*) FROM left_out JOIN embeddings ON embeddings.row = left_out.row WHERE live = 0"
        return int(self._run(query)[0][0])

    def leave_out(self, root: int, paths: Iterable[bytes]) -> None:
        """Remember photos that are about to be removed, inside a transaction; one that was skipped has nothing to keep.

        Args:
            root: Id of their root.
            paths: Their paths below that.
        """
        statement = (
            "INSERT OR REPLACE INTO left_out SELECT root, path, size, mtime_ns, row FROM photos "
            "WHERE root = ? AND path = ? AND row IS NOT NULL"
        )
        self._database.run_for_each(statement, ((root, path) for path in paths))

    def take_back(self, root: int, paths: Iterable[bytes]) -> None:
        """Give photos that were left out their rows back, inside a transaction.

        Args:
            root: Id of their root.
            paths: Their paths below that.
        """
        named = [(root, path) for path in paths]
        self._database.run_for_each(
            "INSERT OR REPLACE INTO photos (root, path, size, mtime_ns, row) "
            "SELECT root, path, size, mtime_ns, row FROM left_out WHERE root = ? AND path = ?",
            named,
        )
        self._database.run_for_each(
            "UPDATE embeddings SET live = 1 WHERE live = 0 AND row = "
            "(SELECT row FROM left_out WHERE root = ? AND path = ?)",
            named,
        )
        self._database.run_for_each("DELETE FROM failures WHERE root = ? AND path = ?", named)
        self.forget_left_out(root, (path for _, path in named))

    def forget_left_out(self, root: int, paths: Iterable[bytes]) -> None:
        """Forget photos that were left out and have changed or are gone, inside a transaction.

        Args:
            root: Id of their root.
            paths: Their paths below that.
        """
        named = ((root, path) for path in paths)
        self._database.run_for_each("DELETE FROM left_out WHERE root = ? AND path = ?", named)

    # what the last walk passed over

    def record_walk(
        self, root: int, passed_over: Iterable[PassedOverFiles], skipped: Iterable[tuple[bytes, str]]
    ) -> None:
        """Replace what the walk before passed over, inside a transaction; nothing is written where it is the same.

        Args:
            root: Id of the folder that was walked.
            passed_over: What is no photo, or is left out.
            skipped: Path and reason of what should have been read and was not.
        """
        new = sorted(
            (f.kind, f.files, f.folders, f.photos, int(f.all_counted), b"\0".join(f.paths)) for f in passed_over
        )
        query = "SELECT kind, files, folders, photos, all_counted, paths FROM passed_over WHERE root = ? ORDER BY kind"
        if new != self._run(query, root):
            self._run("DELETE FROM passed_over WHERE root = ?", root)
            statement = "INSERT INTO passed_over VALUES (?, ?, ?, ?, ?, ?, ?)"
            self._database.run_for_each(statement, ((root, *values) for values in new))
        unseen = sorted(set(skipped))
        if unseen != self._run("SELECT path, reason FROM unseen WHERE root = ? ORDER BY path, reason", root):
            self._run("DELETE FROM unseen WHERE root = ?", root)
            statement = "INSERT OR REPLACE INTO unseen VALUES (?, ?, ?)"
            self._database.run_for_each(statement, ((root, *values) for values in unseen))

    def passed_over(self) -> list[tuple[bytes, PassedOverFiles]]:
        """Return what the last walk of each root passed over, with the path of the root."""
        query = (
            "SELECT roots.path, kind, files, folders, photos, all_counted, paths FROM passed_over "
            "JOIN roots ON roots.id = root ORDER BY kind, roots.path"
        )
        return [
            (bytes(root), PassedOverFiles(kind, files, folders, photos, bool(all_counted), bytes(paths).split(b"\0")))
            for root, kind, files, folders, photos, all_counted, paths in self._run(query)
        ]

    def unseen(self) -> list[tuple[bytes, str]]:
        """Return path and reason of what the last walks should have read and did not, in path order."""
        query = "SELECT unseen.path, reason FROM unseen JOIN roots ON roots.id = root ORDER BY roots.path, unseen.path"
        return [(bytes(path), str(reason)) for path, reason in self._run(query)]
