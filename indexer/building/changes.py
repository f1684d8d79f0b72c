"""Differences between a photo folder and its index: walk + catalogue -> new, changed, left out and gone photos."""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from indexer.embedding.pipeline import Decoding
from indexer.file_checks import files_to_read
from indexer.photos.found_files import PassedOver, PhotoFile, Skipped
from indexer.photos.rules.endings import KIND_OF_ENDING, OTHER
from indexer.photos.rules.patterns import Patterns
from indexer.photos.scan import LINKED, LINKS, ROOTS, Identity, hidden_folders, walk
from indexer.storage.records import KnownFile
from indexer.storage.tables.unindexed import KEPT_PATHS, PassedOverFiles

# Kinds of files that never had a row, or lie in a root of their own; all others are left out.
NOT_LEFT_OUT = frozenset({*KIND_OF_ENDING.values(), OTHER, LINKED, LINKS, ROOTS})
# Names between two reports of a walk.
WALK_STEP = 1000


@dataclass(slots=True)
class Scan:
    """Result of walking a photo folder.

    Attributes:
        root: The folder.
        below: The part of it that was walked, as a path below it; empty for all.
        files: The photos.
        skipped: What should have been read and was not.
        passed_over: What else was passed over, by kind.
        left_out: Paths of the photos that are left out, and of the folders in which photos are.
    """

    root: bytes
    below: bytes = b""
    files: list[PhotoFile] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    passed_over: dict[str, PassedOverFiles] = field(default_factory=dict)
    left_out: set[bytes] = field(default_factory=set)

    def pass_over(self, item: PassedOver) -> None:
        """Count something that was passed over."""
        count = self.passed_over.setdefault(item.kind, PassedOverFiles(item.kind))
        if item.is_folder:
            count.folders += 1
            count.photos += item.photos
            count.all_counted &= item.all_counted
        else:
            count.files += 1
        if len(count.paths) < KEPT_PATHS:
            count.paths.append(item.path + b"/" * item.is_folder)
        if item.kind not in NOT_LEFT_OUT:
            self.left_out.add(item.path)

    @property
    def place(self) -> str:
        """Path of the part that was walked, for messages."""
        return os.fsdecode(os.path.join(self.root, self.below) if self.below else self.root)

    def leaves_out(self, path: bytes) -> bool:
        """Return whether a path below the root, or a folder that it is in, is left out."""
        return _is_in(self.left_out, path)

    def walked(self, path: bytes) -> bool:
        """Return whether a path below the root is in the part that was walked."""
        return not self.below or path == self.below or path.startswith(self.below + b"/")


@dataclass(frozen=True, slots=True)
class Changes:
    """Differences between a photo folder and an index.

    Attributes:
        root_id: Id of the folder.
        known: The files that the index knows, by path.
        new: Files to read, as they are new, changed or perhaps readable by now.
        returned: Paths of photos that were left out and are taken again, unchanged.
        left_out: Paths of known photos that are left out now.
        gone: Paths of known photos that are gone.
        forgotten: Paths of photos that were left out, and have changed or are gone.
        skipped: What the walk should have read and did not, and folders of known photos that are hidden for now.
        skipped_before: How many files were skipped by an earlier build and stay so.
    """

    root_id: int
    known: dict[bytes, KnownFile]
    new: list[PhotoFile]
    returned: list[bytes]
    left_out: list[bytes]
    gone: list[bytes]
    forgotten: list[bytes]
    skipped: list[Skipped]
    skipped_before: int


def scan_folder(
    root: bytes,
    patterns: Patterns,
    other_roots: frozenset[Identity] = frozenset(),
    below: bytes = b"",
    on_walk: Callable[[int], None] = lambda found: None,
) -> Scan:
    """Walk a photo folder.

    Args:
        root: The folder.
        patterns: What to leave out or take beside the defaults.
        other_roots: Folders that are walked on their own.
        below: The part of it to walk, as a path below it; empty for all.
        on_walk: Gets how many photos were found so far, again and again.

    Raises:
        PhotoseekError: The folder cannot be read, or a pattern is not valid gitignore syntax.
    """
    scan = Scan(root, below)
    on_walk(0)
    for number, item in enumerate(walk(os.fsdecode(root), patterns, other_roots, below), 1):
        if number % WALK_STEP == 0:
            on_walk(len(scan.files))
        if isinstance(item, PhotoFile):
            scan.files.append(item)
        elif isinstance(item, Skipped):
            scan.skipped.append(item)
        else:
            scan.pass_over(item)
    return scan


def find_changes(
    scan: Scan,
    root_id: int,
    known: dict[bytes, KnownFile],
    left_out: Mapping[bytes, tuple[int, int]],
    decoding: Decoding,
) -> Changes:
    """Compare a folder with its index.

    Args:
        scan: What a walk found.
        root_id: Id of the folder.
        known: The photos that the index knows.
        left_out: Size and time of the photos that were embedded and left out.
        decoding: How files are checked, and what skipped ones are tried again for.
    """
    new = files_to_read(scan.files, known, decoding.checks, decoding.limits)
    back = set()
    if left_out and not decoding.checks.rehash:  # which trusts neither size nor time
        back = {file.path for file in new if left_out.get(file.path) == (file.size, file.mtime_ns)}
        new = [file for file in new if file.path not in back]
    tried = {file.path for file in new}
    skipped_before = sum(
        file.path not in tried and file.path in known and known[file.path].was_skipped for file in scan.files
    )
    found = {file.path for file in scan.files}
    missing = [path for path in known if path not in found and scan.walked(path)]
    unseen = {item.path for item in scan.skipped if item.is_folder}
    missing = [path for path in missing if not _is_in(unseen, path)]
    skipped = scan.skipped + hidden_folders(scan.root, missing, scan.files)
    unseen = {item.path for item in skipped}
    missing = [path for path in missing if not _is_in(unseen, path)]
    left = [path for path in missing if scan.leaves_out(path)]
    leaving = set(left)
    gone = [path for path in missing if path not in leaving]
    out_of_sight = scan.left_out | unseen
    forgotten = [
        path
        for path in left_out
        if path not in back and scan.walked(path) and (path in found or not _is_in(out_of_sight, path))
    ]
    return Changes(root_id, known, new, sorted(back), left, gone, forgotten, skipped, skipped_before)


def _is_in(places: Collection[bytes], path: bytes) -> bool:
    """Return whether a path or a folder that it is in is one of some places."""
    while path:
        if path in places:
            return True
        path = os.path.dirname(path)
    return False
