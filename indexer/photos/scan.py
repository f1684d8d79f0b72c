"""Walk a folder for its photos: folder -> sorted walk -> photo files and what was passed over."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from indexer.errors import PhotoseekError
from indexer.photos.file_head import holds_photo
from indexer.photos.found_files import PassedOver, PhotoFile, Skipped
from indexer.photos.links import Links
from indexer.photos.rules.default_exclusions import TELLING_NAMES, kind_of_file, kind_of_folder, kind_of_listing
from indexer.photos.rules.endings import OTHER, SUFFIXES, kind_of_ending
from indexer.photos.rules.patterns import IGNORE_FILE, FolderRules, Patterns

# Kinds of what is passed over, beside those of files that are no photos and of what is left out by default.
# `LINKED` is a link to photos that the walk has without it, `LINKS` are links to nowhere.
BY_PATTERN, LINKS, LINKED, ROOTS = "patterns", "links", "linked", "roots"
# Names that a walk looks at inside the folders that it leaves out, to count the photos there.
LOOKED_AT = 10_000
NOT_REGULAR = "not a regular file (pipe, socket or device)"

# Device of a folder and its number there, which tell it from all others.
Identity = tuple[int, int]


def walk(
    root: str | Path,
    patterns: Patterns | None = None,
    other_roots: frozenset[Identity] = frozenset(),
    below: bytes = b"",
) -> Iterator[PhotoFile | Skipped | PassedOver]:
    """Walk a folder, depth first, names in byte order.

    Links are followed, unless the walk has what they lead to without them, so that no photo comes twice; a link back to
    a folder that is being walked is a loop and is skipped. Nothing but regular files is ever opened, now or later on:
    pipes, sockets and devices with a photo's name are skipped and named. Files without an ending are told by their
    first bytes, all others by the ending.

    Args:
        root: The folder, which is walked whatever its name is and whatever lies in it.
        patterns: What to leave out or take beside the defaults.
        other_roots: Folders that are walked on their own, and passed over in this walk.
        below: Path of a folder in the root; nothing beside it is looked at. Empty for all.

    Yields:
        The photos under it, what should have been read and was not, and all else.

    Raises:
        PhotoseekError: `root` is not a folder that can be read, or a pattern is not valid gitignore syntax.
    """
    return _Walk(os.fsencode(root), FolderRules.of(patterns or Patterns()), other_roots, below).run()


def hidden_folders(root: bytes, missing: Iterable[bytes], found: Iterable[PhotoFile]) -> list[Skipped]:
    """Find folders of known photos that are now links to nowhere, as when a disk is not mounted: they are only hidden.

    Args:
        root: The folder that was walked.
        missing: Paths of photos that the index knows and the walk did not find.
        found: The photos that the walk found.
    """
    seen = {os.path.dirname(file.path) for file in found} if missing else set()
    looked_at: dict[bytes, bool] = {b"": False}
    for path in missing:
        folder = os.path.dirname(path)
        while folder not in seen and folder not in looked_at:
            full = os.path.join(root, folder)
            looked_at[folder] = os.path.lexists(full) and not os.path.exists(full)
            folder = os.path.dirname(folder)
    links = sorted(folder for folder, is_hidden in looked_at.items() if is_hidden)
    return [Skipped(link, "link leads nowhere; the photos known below it are kept", is_folder=True) for link in links]


def identity_of(info: os.stat_result) -> Identity:
    """Return what tells a folder from all others."""
    return info.st_dev, info.st_ino


class _Entry(NamedTuple):
    """A name in a folder, and what the listing says it is; pipes and devices are none of these."""

    name: bytes
    is_folder: bool
    is_file: bool
    is_link: bool


class _Listing(NamedTuple):
    """Names in a folder, the last first, so that `pop` gives byte order, and those among them that tell more."""

    entries: list[_Entry]
    telling: set[bytes]


@dataclass(frozen=True, slots=True)
class _OpenFolder:
    """A folder that is being walked.

    `path` ends with a slash below the root; of `entries` the last comes first; `rules` hold in it. `left_out_as` is the
    kind of a folder that is left out, of which only what `--include` names is taken; `real` is where a folder behind a
    link really is; both are None for any other.
    """

    path: bytes
    name: bytes
    identity: Identity
    entries: list[_Entry]
    rules: FolderRules
    left_out_as: str | None
    real: bytes | None


class _Walk:
    """State of one call of `walk`."""

    def __init__(self, top: bytes, rules: FolderRules, other_roots: frozenset[Identity], below: bytes) -> None:
        self.top, self.rules, self.other_roots = top, rules, other_roots
        # Names of the folders that lead to where the walk begins.
        self.way = below.split(b"/") if below else []
        # A stack rather than recursion: folders nest deeper than Python's calls may.
        self.open_folders: list[_OpenFolder] = []
        self.names_left = LOOKED_AT
        self.links = Links(top, rules)

    def run(self) -> Iterator[PhotoFile | Skipped | PassedOver]:
        """Yield what is found."""
        try:
            name = os.path.basename(self.top.rstrip(b"/"))
            root = self._open(b"", name, os.stat(self.top), None, _list(self.top), self.rules, None)
        except OSError as error:
            reason = error.strerror
            raise PhotoseekError(f"photo folder {os.fsdecode(self.top)!r} cannot be read: {reason}") from None
        if isinstance(root, Skipped):
            raise PhotoseekError(f"photo folder {os.fsdecode(self.top)!r}: {root.reason}")
        self.open_folders.append(root)
        while self.open_folders:
            folder = self.open_folders[-1]
            if not folder.entries:
                self.open_folders.pop()
                continue
            found = self._look_at(folder, folder.entries.pop())
            if not isinstance(found, _OpenFolder):
                yield found
                continue
            self.open_folders.append(found)
            if found.left_out_as is not None and folder.left_out_as is None:
                yield PassedOver(found.path.rstrip(b"/"), found.left_out_as, is_folder=True)

    def _look_at(self, folder: _OpenFolder, entry: _Entry) -> "PhotoFile | Skipped | PassedOver | _OpenFolder":
        """Tell what a name in a folder is."""
        path = folder.path + entry.name
        ending = os.path.splitext(entry.name)[1].lower()
        is_photo_name = ending in SUFFIXES
        if entry.is_file and ending and not is_photo_name:
            return PassedOver(path, kind_of_file(entry.name) or kind_of_ending(ending))
        info = None
        if not entry.is_file:
            try:
                info = os.stat(os.path.join(self.top, path))
            except OSError as error:
                return self._unreadable(folder, entry, error)
            if stat.S_ISDIR(info.st_mode):
                return self._look_at_folder(folder, entry, info)
        kind = self._kind_of_file(folder, entry.name)
        if kind is not None:
            return PassedOver(path, kind)
        try:
            info = info or os.stat(os.path.join(self.top, path))
            if not stat.S_ISREG(info.st_mode):
                return Skipped(path, NOT_REGULAR) if is_photo_name else PassedOver(path, OTHER)
            if not is_photo_name and (ending or not holds_photo(os.path.join(self.top, path))):
                return PassedOver(path, kind_of_ending(ending))
        except OSError as error:
            return Skipped(path, f"cannot be read: {error.strerror}")
        real = self._real_path(folder, entry)
        if real is not None and self.links.has_file(real, is_link=entry.is_link):
            return PassedOver(path, LINKED)
        return PhotoFile(path, info.st_size, info.st_mtime_ns)

    def _real_path(self, folder: _OpenFolder, entry: _Entry) -> bytes | None:
        """Return where a name really is that is a link or behind one; None for any other."""
        if entry.is_link:
            return os.path.realpath(os.path.join(self.top, folder.path, entry.name))
        return None if folder.real is None else os.path.join(folder.real, entry.name)

    def _unreadable(self, folder: _OpenFolder, entry: _Entry, error: OSError) -> Skipped | PassedOver:
        """Tell what a name stands for that cannot be looked at."""
        path = folder.path + entry.name
        kind, _ = self._kind_of(folder, entry.name, is_folder=entry.is_folder)
        if kind is not None:
            return PassedOver(path, kind, entry.is_folder)
        if entry.is_folder and error.errno == errno.ENOENT:
            return Skipped(path, "folder vanished during the walk; the photos known below it are kept", is_folder=True)
        is_photo_name = os.path.splitext(entry.name)[1].lower() in SUFFIXES
        if error.errno == errno.ENOENT and not is_photo_name:
            # A link that leads nowhere matters only if it stood for a photo; `hidden_folders` finds lost folders.
            return PassedOver(path, LINKS)
        return Skipped(path, f"cannot be read: {error.strerror}", is_folder=entry.is_folder or not is_photo_name)

    def _look_at_folder(
        self, folder: _OpenFolder, entry: _Entry, info: os.stat_result
    ) -> Skipped | PassedOver | _OpenFolder:
        """Open a folder, unless it is left out."""
        name = entry.name
        path, full = folder.path + name, os.path.join(self.top, folder.path, name)
        kind, is_decided = self._kind_of(folder, name, is_folder=True)
        if kind is not None and not folder.rules.has_includes:
            return self._left_out(path, kind)
        if any(identity_of(info) == above.identity for above in self.open_folders):
            return Skipped(path, "link loop: leads back to a folder that holds it")
        if identity_of(info) in self.other_roots:
            return PassedOver(path, ROOTS, is_folder=True)
        real = self._real_path(folder, entry)
        if real is not None and self.links.has_folder(real, path, is_link=entry.is_link):
            return PassedOver(path, LINKED)
        try:
            listing = _list(full)
        except OSError as error:
            return Skipped(path, f"folder cannot be read: {error.strerror}", is_folder=True)
        if kind is None and not is_decided:
            kind = kind_of_listing(listing.telling)
            if kind is not None and not folder.rules.has_includes:
                return self._left_out(path, kind)
        return self._open(path + b"/", name, info, kind, listing, folder.rules, real)

    def _open(
        self,
        path: bytes,
        name: bytes,
        info: os.stat_result,
        kind: str | None,
        listing: _Listing,
        rules: FolderRules,
        real: bytes | None,
    ) -> Skipped | _OpenFolder:
        """Return a folder that is to be walked, with the rules of its ignore file."""
        if IGNORE_FILE in listing.telling and kind is None:
            # Without its patterns, photos could be taken that nobody may find.
            name_of_file = os.fsdecode(IGNORE_FILE)
            try:
                rules = rules.with_ignore_file(self.top, path)
            except OSError as error:
                reason = f"{name_of_file} in it cannot be read: {error.strerror}"
                return Skipped(path.rstrip(b"/"), reason, is_folder=True)
            except PhotoseekError as error:
                return Skipped(path.rstrip(b"/"), str(error), is_folder=True)
        entries = listing.entries
        if len(self.open_folders) < len(self.way):
            entries = [entry for entry in entries if entry.name == self.way[len(self.open_folders)]]
        return _OpenFolder(path, name, identity_of(info), entries, rules, kind, real)

    def _kind_of(self, folder: _OpenFolder, name: bytes, *, is_folder: bool) -> tuple[str | None, bool]:
        """Return why a name is left out, None if it is not, and whether a pattern says so rather than the defaults."""
        if not folder.rules.is_empty:
            path = folder.path + name + b"/" * is_folder
            if folder.rules.includes(path):
                return None, True
            if folder.left_out_as is not None:
                return folder.left_out_as, True
            verdict = folder.rules.excludes(path)
            if verdict is not None:
                return (BY_PATTERN if verdict else None), True
        return (kind_of_folder(name, folder.name) if is_folder else kind_of_file(name)), False

    def _kind_of_file(self, folder: _OpenFolder, name: bytes) -> str | None:
        """Return why a file is left out, None if it is not; `--include` is asked only of what something leaves out."""
        if folder.left_out_as is not None or folder.rules.is_empty:
            return self._kind_of(folder, name, is_folder=False)[0]
        verdict = folder.rules.excludes(folder.path + name)
        kind = kind_of_file(name) if verdict is None else BY_PATTERN if verdict else None
        return None if kind is not None and folder.rules.includes(folder.path + name) else kind

    def _left_out(self, path: bytes, kind: str) -> PassedOver:
        """Count the photos below a folder that is left out."""
        names = list(islice(_names_below(os.path.join(self.top, path)), self.names_left + 1))
        photos = sum(os.path.splitext(name)[1].lower() in SUFFIXES for name in names)
        all_counted = len(names) <= self.names_left
        self.names_left = max(0, self.names_left - len(names))
        return PassedOver(path, kind, is_folder=True, photos=photos, all_counted=all_counted)


def _list(folder: bytes) -> _Listing:
    """List a folder."""
    entries, telling = [], set()
    with os.scandir(folder) as found:
        for entry in found:
            name = entry.name
            if name in TELLING_NAMES or name == IGNORE_FILE:
                telling.add(name)
                if name.startswith(b"."):
                    continue
            is_folder, is_file = entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False)
            entries.append(_Entry(name, is_folder, is_file, not (is_folder or is_file) and entry.is_symlink()))
    entries.sort(reverse=True)
    return _Listing(entries, telling)


def _names_below(folder: bytes) -> Iterator[bytes]:
    """Yield the names of all files below a folder, b"" for a folder; nothing behind links or that cannot be listed."""
    waiting = [folder]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder:
                    waiting.append(entry.path)
                yield b"" if is_folder else entry.name
