"""The embedding store: one append-only file of float16 rows; SQLite says how many of them exist."""

import os
from pathlib import Path

import numpy as np

from indexer.durable import fsync
from indexer.errors import DAMAGED, PhotoseekError

DTYPE = np.dtype("<f2")


def append(path: Path, rows: int, vectors: np.ndarray) -> None:
    """Write `vectors` (n, d) after the first `rows` rows of the file, over any dead bytes there, and fsync.

    Rows that no transaction has named are what an interrupted build left behind: they are overwritten.
    Raises PhotoseekError if the file is shorter than `rows` rows, which only damage explains.
    """
    offset = rows * vectors.shape[1] * DTYPE.itemsize
    is_new = not path.exists()
    if is_new and rows:
        raise _too_short(path, rows)
    with open(path, "xb" if is_new else "r+b") as file:
        if file.seek(0, os.SEEK_END) < offset:
            raise _too_short(path, rows)
        file.seek(offset)
        file.write(vectors.astype(DTYPE).tobytes())
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        fsync(path.parent)


def read(path: Path, rows: int, dim: int) -> np.ndarray:
    """The first `rows` rows, memory-mapped read-only: (rows, dim) float16."""
    if rows == 0:
        return np.zeros((0, dim), DTYPE)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise PhotoseekError(f"{path}: {error.strerror}: {DAMAGED}") from None
    if size < rows * dim * DTYPE.itemsize:
        raise _too_short(path, rows)
    return np.memmap(path, DTYPE, "r", shape=(rows, dim))


def check(vectors: np.ndarray) -> np.ndarray:
    """Which rows may be stored: (n,) bool, False where one is zero, NaN or infinite (as float16 too)."""
    with np.errstate(over="ignore"):
        stored = vectors.astype(DTYPE)
    finite = np.isfinite(stored).all(axis=1)
    return finite & (stored != 0).any(axis=1)


def _too_short(path: Path, rows: int) -> PhotoseekError:
    return PhotoseekError(f"{path} is shorter than its {rows} rows: {DAMAGED}")
