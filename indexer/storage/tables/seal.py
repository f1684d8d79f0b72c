"""The seal of a catalogue: a small file beside it with the checksum of all its bytes, as of its last regular closing.

The sums of its tables cover every value. The seal covers the bytes that hold none, too: free space, and parts of the
header that SQLite seldom reads.
"""

import hashlib
import sqlite3
from contextlib import suppress
from pathlib import Path

from indexer.storage.atomic_files import write_text_durably
from indexer.storage.integrity.checksums import digest_of_descriptor
from indexer.storage.tables.table_sums import kept_sums

SUFFIX = ".seal"
DAMAGED_SEAL = "its seal is not as it was written"
CHANGED_BYTES = "bytes that hold no values are not as they were written"


def write_seal(path: Path, file: int, connection: sqlite3.Connection) -> None:
    """Seal a catalogue that holds all its changes itself; nothing happens if its seal is of this state already.

    Args:
        path: The file.
        file: A descriptor of it that stays open.
        connection: A connection to it.

    Raises:
        OSError: The folder cannot be written.
    """
    state = _state_of(connection)
    words = _words(path)
    if not _is_whole(words) or words[0] != state:
        digest = digest_of_descriptor(file).hex()
        write_text_durably(_place(path), f"{state} {digest} {_own_digest(state, digest)}\n")


def seal_problem(path: Path, file: int, connection: sqlite3.Connection) -> str | None:
    """Return what is wrong if a catalogue has other bytes than when it was sealed, although its tables are the same.

    Args:
        path: The file, which holds all its changes itself.
        file: A descriptor of it that stays open.
        connection: A connection to it.
    """
    if not _place(path).exists():
        return None
    words = _words(path)
    if not _is_whole(words):
        return DAMAGED_SEAL
    state, digest, _ = words
    if state == _state_of(connection) and digest != digest_of_descriptor(file).hex():
        return CHANGED_BYTES
    return None


def is_sealed(path: Path) -> bool:
    """Return whether a catalogue has a seal, right or wrong.

    Args:
        path: The file.
    """
    return _place(path).exists()


def is_of_seal(problem: str) -> bool:
    """Return whether a problem is one of `seal_problem`, so that every value of the catalogue is right."""
    return problem in (DAMAGED_SEAL, CHANGED_BYTES)


def _place(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _words(path: Path) -> list[str]:
    """Return the words of the seal of a file: the state of its tables, its checksum, and that of both words."""
    with suppress(OSError, ValueError):
        return _place(path).read_text().split()
    return []


def _is_whole(words: list[str]) -> bool:
    return len(words) == 3 and words[2] == _own_digest(words[0], words[1])


def _own_digest(state: str, digest: str) -> str:
    return hashlib.sha256(f"{state} {digest}".encode()).hexdigest()


def _state_of(connection: sqlite3.Connection) -> str:
    """Return a digest of the sums of all tables, in hex digits."""
    return hashlib.sha256(repr(sorted(kept_sums(connection).items())).encode()).hexdigest()
