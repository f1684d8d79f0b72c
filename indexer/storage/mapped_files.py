"""Tell the operating system how mapped files are read, so that it reads and keeps no more than is needed."""

import mmap

import numpy as np


def read_at_random(mapped: np.ndarray) -> None:
    """Keep the system from reading ahead, as rows will be read anywhere.

    Args:
        mapped: An array in a mapped file; nothing happens for any other.
    """
    file = _mapping_of(mapped)
    if file is not None and hasattr(mmap, "MADV_RANDOM"):
        file.madvise(mmap.MADV_RANDOM)


def prefetch(mapped: np.ndarray, rows: np.ndarray, width: int, first: int = 0) -> None:
    """Ask the system to read rows that are not in memory, all at the same time.

    Args:
        mapped: An array in a mapped file; nothing happens for any other.
        rows: (n,) int64, sorted, none twice.
        width: Bytes of a row.
        first: The byte of the file at which row 0 begins.
    """
    file = _mapping_of(mapped)
    if file is None or not hasattr(mmap, "MADV_WILLNEED"):
        return
    begins = first + rows * width
    for start in dict.fromkeys((begins // mmap.PAGESIZE * mmap.PAGESIZE).tolist()):
        file.madvise(mmap.MADV_WILLNEED, start, min(width + mmap.PAGESIZE, len(file) - start))


def release_pages(mapped: np.ndarray | None) -> None:
    """Take the pages that were read so far out of this process's memory; the system may keep them in its cache.

    Args:
        mapped: An array in a mapped file; nothing happens for any other, or None.
    """
    file = None if mapped is None else _mapping_of(mapped)
    if file is not None and hasattr(mmap, "MADV_DONTNEED"):
        file.madvise(mmap.MADV_DONTNEED)


def _mapping_of(mapped: np.ndarray) -> mmap.mmap | None:
    """Return the memory map that an array is a part of; None for an array in plain memory."""
    base = mapped.base
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
