"""Remember which large files had their checksum when this machine looked, so that each is looked at once."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from indexer.cache_folder import cache_folder
from indexer.errors import PhotoseekError
from indexer.storage.integrity.checksums import digest_of_descriptor

# Files that are remembered at most; the oldest are forgotten.
MOST_REMEMBERED = 1000


def has_checksum(file: int, digest: bytes) -> bool:
    """Return whether an open file has a checksum; a file that this machine has seen with it is not read again.

    A file is taken for the same while its device, inode, size and time of change are the same.

    Args:
        file: Descriptor of the file; its position stays as it is.
        digest: SHA-256 of the bytes that it should have.
    """
    state = os.fstat(file)
    facts = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, digest)
    try:
        stamp = cache_folder() / "checked-files" / hashlib.sha256(repr(facts).encode()).hexdigest()[:32]
    except PhotoseekError:  # no place for a cache: every process looks for itself
        return digest_of_descriptor(file) == digest
    if stamp.exists():
        return True
    if digest_of_descriptor(file) != digest:
        return False
    with suppress(OSError):
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
        _forget_oldest(stamp.parent)
    return True


def _forget_oldest(folder: Path) -> None:
    """Remove the oldest stamps beyond `MOST_REMEMBERED`."""
    stamps = [(path.stat().st_mtime_ns, path) for path in folder.iterdir()]
    for _, path in sorted(stamps)[:-MOST_REMEMBERED]:
        path.unlink(missing_ok=True)
