"""Tell whether a change below photo folders may change their index: one of what builds leave out does not."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from indexer.building.roots.updates import read_kept
from indexer.errors import PhotoseekError
from indexer.photos.rules.default_exclusions import TELLING_NAMES, kind_of_file, kind_of_folder, kind_of_listing
from indexer.photos.rules.patterns import IGNORE_FILE, FolderRules, Patterns

# Files that say something of the folder that they are in, though their own names are hidden.
SPEAKING_FILES = (IGNORE_FILE, b".nomedia")


@dataclass(frozen=True, slots=True)
class _FolderState:
    """What holds in a folder: its name, the patterns, and whether it is left out."""

    name: bytes
    rules: FolderRules
    is_left_out: bool


class Exclusions:
    """What builds of an index leave out, by its patterns, the ignore files and the defaults, as they are now.

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
        self._rules = FolderRules(patterns)
        self._states: dict[bytes, _FolderState] = {}

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
        return bool(inside) and all(self._leaves_out(root, path) for root in inside)

    def _leaves_out(self, root: bytes, path: bytes) -> bool:
        """Return whether the builds of one root leave out a path below it."""
        *folders, name = os.path.relpath(path, root).split(b"/")
        state = self._states.get(root)
        if state is None:
            state = self._states[root] = self._open(root, b"", os.path.basename(root), self._rules, False)
        below = b""
        for folder in folders:
            below = below + folder + b"/"
            inner = self._states.get(root + b"/" + below)
            if inner is None:
                is_left_out = self._decide(root, state, below, folder, is_folder=True)
                inner = self._open(root, below, folder, state.rules, is_left_out)
                self._states[root + b"/" + below] = inner
            state = inner
        is_folder = os.path.isdir(path)
        return self._decide(root, state, below + name + b"/" * is_folder, name, is_folder=is_folder)

    def _open(self, root: bytes, below: bytes, name: bytes, rules: FolderRules, is_left_out: bool) -> _FolderState:
        """Return what holds in a folder, with the rules of its ignore file."""
        if not is_left_out:
            with suppress(OSError, PhotoseekError):  # which the next build says
                rules = rules.with_ignore_file(root, below)
        return _FolderState(name, rules, is_left_out)

    def _decide(self, root: bytes, folder: _FolderState, below: bytes, name: bytes, *, is_folder: bool) -> bool:
        """Return whether a name in a folder is left out, as a walk decides it."""
        if folder.rules.includes(below):
            return False
        if folder.is_left_out:
            return True
        verdict = folder.rules.excludes(below)
        if verdict is not None:
            return verdict
        if not is_folder:
            return kind_of_file(name) is not None
        if kind_of_folder(name, folder.name) is not None:
            return True
        path = os.path.join(root, below)
        return kind_of_listing({n for n in TELLING_NAMES if os.path.lexists(path + n)}) is not None


def _is_below(path: bytes, folder: bytes) -> bool:
    """Return whether a path is inside a folder."""
    return path.startswith(folder.rstrip(b"/") + b"/")
