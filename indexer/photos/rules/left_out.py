"""Tell by its path alone whether a walk of a root leaves something out, as the walk itself decides it on its way."""

import os
from contextlib import suppress
from dataclasses import dataclass

from indexer.errors import PhotoseekError
from indexer.photos.rules.default_exclusions import TELLING_NAMES, kind_of_file, kind_of_folder, kind_of_listing
from indexer.photos.rules.patterns import FolderRules


@dataclass(frozen=True, slots=True)
class _FolderState:
    """A folder: its name, the patterns that hold in it, and whether it is left out."""

    name: bytes
    rules: FolderRules
    is_left_out: bool


class LeftOut:
    """Paths that walks of one root leave out, by the patterns, ignore files and defaults as they are at first sight.

    Args:
        root: Absolute path of the root.
        rules: The patterns that hold in it, without its ignore file.
    """

    def __init__(self, root: bytes, rules: FolderRules) -> None:
        self._root = root
        self._top = rules
        self._states: dict[bytes, _FolderState] = {}

    def leaves_out(self, path: bytes) -> bool:
        """Return whether a path below the root is left out.

        Args:
            path: The path below the root; it may be gone.
        """
        *folders, name = path.split(b"/")
        state = self._states.get(b"")
        if state is None:
            state = self._states[b""] = self._open(b"", os.path.basename(self._root), self._top, False)
        below = b""
        for folder in folders:
            below = below + folder + b"/"
            inner = self._states.get(below)
            if inner is None:
                is_left_out = self._decide(state, below, folder, is_folder=True)
                inner = self._states[below] = self._open(below, folder, state.rules, is_left_out)
            state = inner
        is_folder = os.path.isdir(os.path.join(self._root, path))
        return self._decide(state, below + name + b"/" * is_folder, name, is_folder=is_folder)

    def _open(self, below: bytes, name: bytes, rules: FolderRules, is_left_out: bool) -> _FolderState:
        """Return what holds in a folder, with the rules of its ignore file."""
        if not is_left_out:
            with suppress(OSError, PhotoseekError):  # which the walk says
                rules = rules.with_ignore_file(self._root, below)
        return _FolderState(name, rules, is_left_out)

    def _decide(self, folder: _FolderState, below: bytes, name: bytes, *, is_folder: bool) -> bool:
        """Return whether a name in a folder is left out."""
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
        path = os.path.join(self._root, below)
        return kind_of_listing({n for n in TELLING_NAMES if os.path.lexists(path + n)}) is not None
