"""Photos of a folder: folder -> sorted walk -> photo files and what was passed over."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import PhotoseekError

SUFFIXES = frozenset(
    b".jpg .jpeg .jpe .jfif .png .webp .gif .bmp .dib .tif .tiff .avif .heic .heif "
    b".dng .cr2 .cr3 .nef .arw .orf .rw2 .raf .pef .srw".split()
)


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A regular file whose name says that it is a photo; `path` is relative to the root, as the raw bytes on disk."""

    path: bytes
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was passed over, with the reason. `is_folder`: nothing below it was seen either."""

    path: bytes
    reason: str
    is_folder: bool = False


def walk(root: str | Path) -> Iterator[PhotoFile | Skipped]:
    """Yield the photos under `root`, depth first, names in byte order, and what had to be passed over.

    Names that begin with a dot are left out silently, as file managers do. Links are followed; a link to a folder
    that is already being walked is a loop and is skipped. Nothing but regular files is ever opened later on: pipes,
    sockets and devices are skipped by name.

    Raises PhotoseekError if `root` is not a folder that can be read.
    """
    top = os.fsencode(root)
    try:
        top_stat = os.stat(top)
    except OSError as error:
        raise PhotoseekError(f"photo folder {os.fsdecode(top)!r}: {error.strerror}") from None
    if not stat.S_ISDIR(top_stat.st_mode):
        raise PhotoseekError(f"photo folder {os.fsdecode(top)!r} is not a folder")
    yield from _walk_folder(top, b"", ((top_stat.st_dev, top_stat.st_ino),))


def _walk_folder(top: bytes, relative: bytes, open_folders: tuple[tuple[int, int], ...]) -> Iterator[PhotoFile | Skipped]:
    try:
        with os.scandir(os.path.join(top, relative)) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(b"."))
    except OSError as error:
        if not relative:
            raise PhotoseekError(f"photo folder {os.fsdecode(top)!r}: {error.strerror}") from None
        yield Skipped(relative, f"folder cannot be read: {error.strerror}", is_folder=True)
        return
    for name in names:
        path = os.path.join(relative, name)
        is_photo_name = os.path.splitext(name)[1].lower() in SUFFIXES
        try:
            info = os.stat(os.path.join(top, path))
        except OSError as error:
            if is_photo_name or error.errno is not None and os.path.islink(os.path.join(top, path)):
                yield Skipped(path, f"cannot be read: {error.strerror}")
            continue
        if stat.S_ISDIR(info.st_mode):
            identity = (info.st_dev, info.st_ino)
            if identity in open_folders:
                yield Skipped(path, "link loop: leads back to a folder that holds it")
            else:
                yield from _walk_folder(top, path, (*open_folders, identity))
        elif not is_photo_name:
            continue
        elif not stat.S_ISREG(info.st_mode):
            yield Skipped(path, "not a regular file (pipe, socket or device)")
        else:
            yield PhotoFile(path, info.st_size, info.st_mtime_ns)
