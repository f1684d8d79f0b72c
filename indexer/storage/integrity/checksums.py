"""Checksums of files: of whole ones, and of blocks of rows."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Rows of one checksum where an older index gets them, and bytes that are read at a time.
BLOCK_ROWS, READ_BYTES = 4_096, 1 << 22


class BlockChecksum(NamedTuple):
    """The checksum of a block of rows of a file.

    Attributes:
        first_row: Its first row.
        rows: How many rows it has; 0 for a whole file that has no rows.
        digest: SHA-256 of its bytes.
    """

    first_row: int
    rows: int
    digest: bytes


def digest_of_bytes(path: Path, start: int, count: int) -> bytes:
    """Return the SHA-256 of a part of a file.

    Args:
        path: The file.
        start: Its first byte.
        count: How many bytes; a shorter file has the digest of what is there.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        file.seek(start)
        while count and (data := file.read(min(count, READ_BYTES))):
            digest.update(data)
            count -= len(data)
    return digest.digest()


def digest_of_descriptor(file: int) -> bytes:
    """Return the SHA-256 of an open file, whose position stays as it is."""
    digest, at = hashlib.sha256(), 0
    while data := os.pread(file, READ_BYTES, at):
        digest.update(data)
        at += len(data)
    return digest.digest()


def digest_of_file(path: Path) -> bytes:
    """Return the SHA-256 of a whole file. Raises OSError if it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def blocks_of_rows(path: Path, first_row: int, rows: int, row_bytes: int) -> Iterator[BlockChecksum]:
    """Yield the checksums of rows of a file, block by block.

    Args:
        path: The file.
        first_row: The first of the rows.
        rows: How many rows the file has.
        row_bytes: Bytes of a row.

    Raises:
        OSError: It cannot be read.
    """
    for start in range(first_row, rows, BLOCK_ROWS):
        count = min(BLOCK_ROWS, rows - start)
        yield BlockChecksum(start, count, digest_of_bytes(path, start * row_bytes, count * row_bytes))
