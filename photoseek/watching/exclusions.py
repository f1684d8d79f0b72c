"""Tell whether a change below photo folders may change their index: one of what builds leave out does not."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from indexer.building.roots.updates import read_kept
from indexer.errors import PhotoseekError
from indexer.photos.rules.left_out import LeftOut
from indexer.photos.rules.patterns import IGNORE_FILE, FolderRules, Patterns

# Files that say something of the folder that they are in, though their own names are hidden.
SPEAKING_FILES = (IGNORE_FILE, b".nomedia")


class Exclusions:
    """Paths that builds of an index leave out, by its patterns, the ignore files and the defaults, as they are now.

    Args:
        folders: Absolute paths of the photo folders that are watched, links followed.
        index: Absolute path of the index folder.
    """

    def __init__(self, folders: Sequence[bytes], index: bytes) -> None:
        known: list[bytes] = []
        patterns = Patterns()
        with suppress(PhotoseekError):  # which the next build says
            known, patterns = read_kept(Path(os.fsdecode(index)))
        self._roots = list(map(os.path.realpath, known))
        self._folders = folders
        self._rules = FolderRules.of(patterns)
        self._left_out: dict[bytes, LeftOut] = {}

    def leave_out(self, path: bytes) -> bool:
        """Return whether builds leave a path out.

        Args:
            path: An absolute path, links to photo folders followed; it may be gone.
        """
        if os.path.basename(path) in SPEAKING_FILES:
            # The folder may be left out only since this file came, so what decides is where it lies.
            path = os.path.dirname(os.path.dirname(path))
        inside = [root for root in self._roots if _is_below(path, root)]
        inside = inside or [folder for folder in self._folders if _is_below(path, folder)]
        return bool(inside) and all(self._of_root(root).leaves_out(os.path.relpath(path, root)) for root in inside)

    def _of_root(self, root: bytes) -> LeftOut:
        """Return what the builds of one root leave out."""
        if root not in self._left_out:
            self._left_out[root] = LeftOut(root, self._rules)
        return self._left_out[root]


def _is_below(path: bytes, folder: bytes) -> bool:
    """Return whether a path is inside a folder."""
    return path.startswith(folder.rstrip(b"/") + b"/")
