"""The vector store: append-only files of rows, float16 embeddings and int8 regions; SQLite says how many exist."""

import os
from pathlib import Path

import numpy as np

from indexer.errors import DAMAGED, PhotoseekError
from indexer.storage.atomic_files import fsync

DTYPE = np.dtype("<f2")
REGION_DTYPE = np.dtype("i1")


def append(path: Path, rows: int, vectors: np.ndarray, dtype: np.dtype = DTYPE) -> None:
    """Write `vectors` (n, d) after the first `rows` rows of the file, over any dead bytes there, and fsync.

    Rows that no transaction has named are what an interrupted build left behind: they are overwritten.
    Raises PhotoseekError if the file is shorter than `rows` rows, which only damage explains.
    """
    offset = rows * vectors.shape[1] * dtype.itemsize
    is_new = not path.exists()
    if is_new and rows:
        raise _too_short(path, rows)
    with open(path, "xb" if is_new else "r+b") as file:
        if file.seek(0, os.SEEK_END) < offset:
            raise _too_short(path, rows)
        file.seek(offset)
        file.write(vectors.astype(dtype).tobytes())
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        fsync(path.parent)


def read(path: Path, rows: int, dim: int, dtype: np.dtype = DTYPE) -> np.ndarray:
    """The first `rows` rows, memory-mapped read-only: (rows, dim) of `dtype`."""
    if rows == 0:
        return np.zeros((0, dim), dtype)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise PhotoseekError(f"{path}: {error.strerror}: {DAMAGED}") from None
    if size < rows * dim * dtype.itemsize:
        raise _too_short(path, rows)
    return np.memmap(path, dtype, "r", shape=(rows, dim))


def check(vectors: np.ndarray) -> np.ndarray:
    """Which rows may be stored: (n,) bool, False where one is zero, NaN or infinite (as float16 too)."""
    with np.errstate(over="ignore"):
        stored = vectors.astype(DTYPE)
    finite = np.isfinite(stored).all(axis=1)
    return finite & (stored != 0).any(axis=1)


def directions(regions: np.ndarray) -> np.ndarray:
    """Region vectors as they are stored: (n, count, d) float32 -> int8, of which only the direction is meant.

    They are unit vectors, so each is scaled by itself to use all of -127..127; who reads them takes out the norm. A
    vector of zeros, a region that says nothing, stays zeros.
    """
    largest = np.abs(regions).max(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):  # NaN has no place here, and is refused by who stores them
        return np.rint(regions / np.where(largest == 0, 1, largest) * 127).astype(REGION_DTYPE)


def _too_short(path: Path, rows: int) -> PhotoseekError:
    return PhotoseekError(f"{path} is shorter than its {rows} rows: {DAMAGED}")
