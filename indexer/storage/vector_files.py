"""The vector store: append-only files of rows, float16 embeddings and int8 regions; the catalogue counts the rows."""

import hashlib
import os
from pathlib import Path

import numpy as np

from indexer.errors import PhotoseekError, damaged_index
from indexer.storage.atomic_files import fsync
from indexer.storage.integrity.checksums import BlockChecksum

EMBEDDING_DTYPE = np.dtype("<f2")
REGION_DTYPE = np.dtype("i1")


def append(path: Path, rows: int, vectors: np.ndarray, dtype: np.dtype = EMBEDDING_DTYPE) -> BlockChecksum:
    """Write vectors behind the first rows of a file, and fsync.

    Bytes behind those rows, which an interrupted build left and no transaction has named, are overwritten.

    Args:
        path: The file, made if `rows` is 0 and it is missing.
        rows: How many rows the file has.
        vectors: (n, d), finite in `dtype`.
        dtype: What the file holds.

    Returns:
        The checksum of the new rows, which the transaction that makes them exist keeps.

    Raises:
        PhotoseekError: The file is shorter than `rows` rows, which only damage explains.
    """
    data = vectors.astype(dtype).tobytes()
    offset = rows * vectors.shape[1] * dtype.itemsize
    is_new = not path.exists()
    if is_new and rows:
        raise _too_short(path, rows)
    with open(path, "xb" if is_new else "r+b") as file:
        if file.seek(0, os.SEEK_END) < offset:
            raise _too_short(path, rows)
        file.seek(offset)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        fsync(path.parent)
    return BlockChecksum(rows, len(vectors), hashlib.sha256(data).digest())


def read(
    path: Path, rows: int, dim: int, dtype: np.dtype = EMBEDDING_DTYPE, descriptor: int | None = None
) -> np.ndarray:
    """Map the first rows of a file into memory, read-only.

    Args:
        path: The file.
        rows: How many rows it has.
        dim: Numbers of a row.
        dtype: What the file holds.
        descriptor: A descriptor of the file, which may have no name any more; None to open it.

    Returns:
        (rows, dim) of `dtype`.

    Raises:
        PhotoseekError: The file is missing or shorter than `rows` rows.
    """
    if rows == 0:
        return np.zeros((0, dim), dtype)
    try:
        size = os.stat(path if descriptor is None else descriptor).st_size
        if size < rows * dim * dtype.itemsize:
            raise _too_short(path, rows)
        if descriptor is None:
            return np.memmap(path, dtype, "r", shape=(rows, dim))
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return np.memmap(file, dtype, "r", shape=(rows, dim))
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise damaged_index(path.parent, f"{path}: {error.strerror}") from None
        # What a permission or a network disk withholds is not damaged.
        raise PhotoseekError(f"{path}: {error.strerror}") from None


def may_be_stored(vectors: np.ndarray) -> np.ndarray:
    """Return which vectors an index may hold: those that are not zero and are finite in float16.

    Args:
        vectors: (n, d) float32.

    Returns:
        (n,) bool.
    """
    with np.errstate(over="ignore"):
        stored = vectors.astype(EMBEDDING_DTYPE)
    finite = np.isfinite(stored).all(axis=1)
    return finite & (stored != 0).any(axis=1)


def quantise_directions(regions: np.ndarray) -> np.ndarray:
    """Scale each region vector to the range -127 to 127 and round it: its direction is kept, its norm is not.

    A vector of zeros, a region that says nothing, stays zeros.

    Args:
        regions: (n, count, d) float32, unit vectors.

    Returns:
        (n, count, d) int8.
    """
    largest = np.abs(regions).max(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):  # NaN is not stored: see `may_be_stored`
        return np.rint(regions / np.where(largest == 0, 1, largest) * 127).astype(REGION_DTYPE)


def _too_short(path: Path, rows: int) -> PhotoseekError:
    return damaged_index(path.parent, f"{path} is shorter than its {rows} rows")
