"""Decide of a file whether a build reads it again, and whether it is still being written."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

from indexer.photos.found_files import PhotoFile
from indexer.photos.retry import Limits
from indexer.storage.records import KnownFile


@dataclass(frozen=True, slots=True)
class FileChecks:
    """Settings of how files are compared with the catalogue.

    Attributes:
        rehash: Trust neither size nor time: read every file, and embed those whose bytes have changed.
        settle_seconds: How long size and time of a new file must stay as they are before it is read. 0 reads it at
            once; while folders are watched, files may be just being copied into them.
        retry_skipped: Read every file that was skipped again, whatever it was skipped for.
    """

    rehash: bool = False
    settle_seconds: float = 0.0
    retry_skipped: bool = False


def files_to_read(
    files: Iterable[PhotoFile], known: dict[bytes, KnownFile], checks: FileChecks, limits: Limits
) -> list[PhotoFile]:
    """Return the files that are new or changed, or that may be readable now; their digests tell what is new in them.

    Args:
        files: What the walk found.
        known: What the catalogue holds of the same root, by path.
        checks: How they are compared.
        limits: What a skipped photo is tried again for.
    """
    if checks.rehash:
        return list(files)
    worth_it = {before.retry: limits.allow_retry(before.retry) for before in known.values() if before.was_skipped}

    def is_as_it_was(file: PhotoFile) -> bool:
        before = known.get(file.path)
        if before is None or before.size != file.size or before.mtime_ns != file.mtime_ns:
            return False
        return before.row is not None or not (checks.retry_skipped or worth_it[before.retry])

    return [file for file in files if not is_as_it_was(file)]


def unsettled_files(root: bytes, files: Iterable[PhotoFile], checks: FileChecks) -> list[PhotoFile]:
    """Return the files that are still being written, or have gone.

    Args:
        root: Folder that the files' paths are relative to.
        files: New files as the walk found them.
        checks: How long to wait between two looks.
    """
    looked_at = list(files)
    if not looked_at or not checks.settle_seconds:
        return []
    time.sleep(checks.settle_seconds)
    return [file for file in looked_at if not _is_still(os.path.join(root, file.path), file)]


def _is_still(path: bytes, file: PhotoFile) -> bool:
    """Return whether a file has the size and time that it had."""
    try:
        info = os.stat(path)
    except OSError:
        return False
    return (info.st_size, info.st_mtime_ns) == (file.size, file.mtime_ns)
