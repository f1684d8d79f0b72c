"""Walk a folder for its photos: folder -> sorted walk -> photo files and what was passed over."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import PhotoseekError

# Suffixes of file names that stand for photos, in lower case.
SUFFIXES = frozenset(
    b".jpg .jpeg .jpe .jfif .png .webp .gif .bmp .dib .tif .tiff .avif .heic .heif "
    b".dng .cr2 .cr3 .nef .arw .orf .rw2 .raf .pef .srw".split()
)


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A regular file whose name says that it is a photo.

    Attributes:
        path: Its path relative to the root, as the bytes on disk.
        size: Its bytes.
        mtime_ns: When it was changed, in nanoseconds since 1970.
    """

    path: bytes
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was passed over.

    Attributes:
        path: Its path relative to the root, as the bytes on disk.
        reason: Why.
        is_folder: Whether nothing below it was seen either.
    """

    path: bytes
    reason: str
    is_folder: bool = False


def walk(root: str | Path) -> Iterator[PhotoFile | Skipped]:
    """Walk a folder, depth first, names in byte order.

    Names that begin with a dot are left out silently, as file managers do. Links are followed, so a photo that two
    paths lead to comes twice; a link back to a folder that is being walked is a loop and is skipped. Nothing but
    regular files is ever opened later on: pipes, sockets and devices with a photo's name are skipped and named.

    Args:
        root: The folder.

    Yields:
        The photos under it, and what had to be passed over.

    Raises:
        PhotoseekError: `root` is not a folder that can be read.
    """
    top = os.fsencode(root)
    try:
        names, identity = _names(top), _identity(os.stat(top))
    except OSError as error:
        raise PhotoseekError(f"photo folder {os.fsdecode(top)!r} cannot be read: {error.strerror}") from None
    # A stack rather than recursion: folders nest deeper than Python's calls may.
    open_folders = [(b"", identity, names)]
    while open_folders:
        folder, _, names = open_folders[-1]
        if not names:
            open_folders.pop()
            continue
        name = names.pop()
        path = os.path.join(folder, name)
        is_photo_name = os.path.splitext(name)[1].lower() in SUFFIXES
        try:
            info = os.stat(os.path.join(top, path))
        except OSError as error:
            # A broken link matters only if it stood for a photo; anything else that hides from us may be a folder.
            if is_photo_name or error.errno != errno.ENOENT:
                yield Skipped(path, f"cannot be read: {error.strerror}", is_folder=not is_photo_name)
            continue
        if stat.S_ISDIR(info.st_mode):
            if any(_identity(info) == identity for _, identity, _ in open_folders):
                yield Skipped(path, "link loop: leads back to a folder that holds it")
                continue
            try:
                open_folders.append((path, _identity(info), _names(os.path.join(top, path))))
            except OSError as error:
                yield Skipped(path, f"folder cannot be read: {error.strerror}", is_folder=True)
        elif not is_photo_name:
            continue
        elif not stat.S_ISREG(info.st_mode):
            yield Skipped(path, "not a regular file (pipe, socket or device)")
        else:
            yield PhotoFile(path, info.st_size, info.st_mtime_ns)


def hidden_folders(root: bytes, known: Iterable[bytes], found: Iterable[PhotoFile]) -> list[Skipped]:
    """Find folders of known photos that are now links to nowhere, as when a disk is not mounted: they are only hidden.

    Args:
        root: The folder that was walked.
        known: Paths of the photos that the index knows.
        found: The photos that the walk found.
    """
    seen = {os.path.dirname(file.path) for file in found}
    looked_at: dict[bytes, bool] = {b"": False}
    for path in known:
        folder = os.path.dirname(path)
        while folder not in seen and folder not in looked_at:
            full = os.path.join(root, folder)
            looked_at[folder] = os.path.lexists(full) and not os.path.exists(full)
            folder = os.path.dirname(folder)
    links = sorted(folder for folder, is_hidden in looked_at.items() if is_hidden)
    return [Skipped(link, "link leads nowhere; the photos known below it are kept", is_folder=True) for link in links]


def _names(folder: bytes) -> list[bytes]:
    """Return the names in a folder that are not hidden, last first, so that `pop` gives them in byte order."""
    with os.scandir(folder) as entries:
        return sorted((entry.name for entry in entries if not entry.name.startswith(b".")), reverse=True)


def _identity(info: os.stat_result) -> tuple[int, int]:
    """Return what tells a folder from all others: its device and its number there."""
    return info.st_dev, info.st_ino
