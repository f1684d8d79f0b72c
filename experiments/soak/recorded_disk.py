"""Replay calls that change files, and leave of them what a disk may have when its power is cut.

What was fsynced is there: the bytes of a file, the names in a folder. Of later writes each may be there, be missing, or
be there in some sectors only. Of later names in a folder the first few are there, in their order.
"""

import os
import random
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from experiments.soak.system_calls import Call

SECTOR = 512
# Calls that write, but whose bytes are not recorded: none of them is there before an fsync.
UNRECORDED = ("sendfile", "copy_file_range", "fallocate", "writev", "pwritev")


@dataclass(eq=False, slots=True)
class _File:
    """The bytes of a file that are safe, and the writes and truncations since."""

    synced: bytes = b""
    pending: list[Call] = field(default_factory=list)

    def survivor(self, draw: random.Random) -> bytes:
        content = bytearray(self.synced)
        for call in self.pending:
            fate = draw.choice(("there", "missing", "torn"))
            if call.name == "truncate":
                if fate != "missing":
                    content[call.offset :] = bytes(max(0, call.offset - len(content)))
                continue
            for start, piece in _sectors(call):
                if fate == "there" or (fate == "torn" and draw.random() < 0.5):
                    content.extend(bytes(max(0, start - len(content))))
                    content[start : start + len(piece)] = piece
        return bytes(content)


def _sectors(call: Call) -> list[tuple[int, bytes]]:
    """Return the parts of a write that lie in one sector each, with their offsets."""
    first = SECTOR - call.offset % SECTOR
    bounds = [0, *range(first, len(call.data), SECTOR), len(call.data)]
    return [(call.offset + low, call.data[low:high]) for low, high in pairwise(bounds)]


@dataclass(eq=False, slots=True)
class _Folder:
    """The names in a folder, as a running process sees them."""

    entries: "dict[str, _File | _Folder]" = field(default_factory=dict)


@dataclass(slots=True)
class _NameChange:
    """A change of names that happens at once: (folder, name, what it names then); it is safe with `folder`."""

    folder: _Folder
    edits: list[tuple[_Folder, str, _File | _Folder | None]]
    is_synced: bool = False


class RecordedDisk:
    """A disk that begins as a copy of a folder, and to which recorded calls happen.

    Args:
        before: What is there at first, all of it safe.
        folder: The folder that the calls name, where the survivors are written.
    """

    def __init__(self, before: Path, folder: Path) -> None:
        self._place = folder
        self._root = _load(before)
        self._changes: list[_NameChange] = []
        self._initial = _tables(self._root)

    def apply(self, call: Call) -> None:
        """Let a call happen."""
        parent, name = self._find(call.path)
        if call.path.endswith("-shm"):
            return
        node = self._root if call.path == os.fspath(self._place) else parent.entries.get(name)
        if call.name in ("create", "mkdir"):
            if node is None:
                self._change(parent, [(parent, name, _File() if call.name == "create" else _Folder())])
        elif call.name in ("unlink", "rmdir"):
            self._change(parent, [(parent, name, None)])
        elif call.name == "rename":
            target, new = self._find(call.target)
            self._change(target, [(parent, name, None), (target, new, node)])
        elif call.name == "fsync":
            self._sync(node, call)
        elif call.name in ("write", "truncate"):
            assert isinstance(node, _File), call
            node.pending.append(call)
        elif call.name not in UNRECORDED:
            raise ValueError(f"a call that cannot be replayed: {call}")

    def write_survivors(self, draw: random.Random) -> None:
        """Write what is there after a power cut now.

        Args:
            draw: Draws what of the unsynced survives.
        """
        kept: dict[int, int] = {}
        for folder in {id(change.folder): change.folder for change in self._changes}.values():
            unsynced = sum(change.folder is folder and not change.is_synced for change in self._changes)
            kept[id(folder)] = draw.randint(0, unsynced)
        tables = {folder: dict(entries) for folder, entries in self._initial.items()}
        for change in self._changes:
            if not change.is_synced:
                if not kept[id(change.folder)]:
                    continue
                kept[id(change.folder)] -= 1
            for folder, name, node in change.edits:
                table = tables.setdefault(folder, {})
                table.pop(name, None)
                if node is not None:
                    table[name] = node
        _write(self._root, self._place, tables, draw)

    def _change(self, folder: _Folder, edits: list[tuple[_Folder, str, _File | _Folder | None]]) -> None:
        self._changes.append(_NameChange(folder, edits))
        for place, name, node in edits:
            place.entries.pop(name, None)
            if node is not None:
                place.entries[name] = node

    def _sync(self, node: _File | _Folder | None, call: Call) -> None:
        if isinstance(node, _File):
            node.synced, node.pending = call.data, []
        for change in self._changes:
            change.is_synced = change.is_synced or change.folder is node

    def _find(self, path: str) -> tuple[_Folder, str]:
        """Return the folder that a path lies in, and its name there."""
        *above, name = os.path.relpath(path, self._place).split("/")
        folder = self._root
        for part in above:
            inner = folder.entries[part]
            assert isinstance(inner, _Folder), path
            folder = inner
        return folder, name


def _load(place: Path) -> _Folder:
    paths = (path for path in place.iterdir() if not path.name.endswith("-shm"))
    return _Folder({path.name: _load(path) if path.is_dir() else _File(path.read_bytes()) for path in paths})


def _tables(folder: _Folder) -> "dict[_Folder, dict[str, _File | _Folder]]":
    """Return a copy of the names in a folder and in all folders below it."""
    tables = {folder: dict(folder.entries)}
    for node in folder.entries.values():
        if isinstance(node, _Folder):
            tables |= _tables(node)
    return tables


def _write(
    folder: _Folder, place: Path, tables: "dict[_Folder, dict[str, _File | _Folder]]", draw: random.Random
) -> None:
    place.mkdir()
    for name, node in tables.get(folder, {}).items():
        if isinstance(node, _Folder):
            _write(node, place / name, tables, draw)
        else:
            (place / name).write_bytes(node.survivor(draw))
