"""Folders whose files are checked: each holds a list of its files with their checksums, which is written last."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from indexer.storage.atomic_files import fsync
from indexer.storage.integrity.checked_files import has_checksum
from indexer.storage.integrity.checksums import digest_of_file

LIST = "files.json"


def seal_folder(folder: Path) -> None:
    """Write the list of a folder's files, and wait until all are on the disk; folders in it are not listed.

    Args:
        folder: The folder, whose files are finished.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != LIST)
    digests = {path.name: digest_of_file(path).hex() for path in files}
    values = {"files": digests, "sha256": _digest_of(digests)}
    (folder / LIST).write_text(json.dumps(values, indent=1) + "\n")
    for path in [*files, folder / LIST, folder]:
        fsync(path)


def is_sealed(folder: Path) -> bool:
    """Return whether a folder has its list, and every file of it is as it was written.

    Args:
        folder: The folder, which may be missing.
    """
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        values = json.loads((folder / LIST).read_text())
        digests: dict[str, str] = values["files"]
        return values["sha256"] == _digest_of(digests) and all(
            _is_as_written(folder / name, bytes.fromhex(digest)) for name, digest in digests.items()
        )
    return False


def _is_as_written(path: Path, digest: bytes) -> bool:
    with open(path, "rb") as file:
        return has_checksum(file.fileno(), digest)


def _digest_of(digests: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
