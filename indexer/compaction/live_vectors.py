"""Copy the live rows of a file of rows, and check on the way that they are as they were written."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from indexer.errors import PhotoseekError
from indexer.storage.integrity.checksums import BlockChecksum

# Bytes that are read at a time.
READ_BYTES = 1 << 24


def copy_live_vectors(
    old: Path,
    new: Path,
    row_bytes: int,
    is_live: np.ndarray,
    blocks: Sequence[BlockChecksum],
    on_progress: Callable[[int], None],
) -> None:
    """Write the live rows of a file to another one, in their order, durably.

    Args:
        old: The file.
        new: A file that does not exist yet.
        row_bytes: Bytes of a row.
        is_live: (n,) bool, of each row of the old file.
        blocks: The checksums of all rows of the old file, in row order.
        on_progress: Gets how many rows of the old file are read.

    Raises:
        OSError: A file cannot be read or written.
        PhotoseekError: A block of rows has not its checksum.
    """
    at_once = max(1, READ_BYTES // row_bytes)
    with open(old, "rb") as source, open(new, "xb") as target:
        for block in blocks:
            digest, end = hashlib.sha256(), block.first_row + block.rows
            for start in range(block.first_row, end, at_once):
                count = min(at_once, end - start)
                data = source.read(count * row_bytes)
                digest.update(data)
                rows = np.frombuffer(data[: len(data) // row_bytes * row_bytes], np.uint8).reshape(-1, row_bytes)
                target.write(rows[is_live[start : start + len(rows)]])
            if digest.digest() != block.digest:
                raise PhotoseekError(f"rows {block.first_row} to {end - 1} of {old.name} are not as they were written")
            on_progress(end)
        target.flush()
        os.fsync(target.fileno())
