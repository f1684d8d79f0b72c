"""Mapped files: what the system is told of how they are read, so that it neither reads nor keeps in vain."""

import mmap

import numpy as np


def read_at_random(mapped: np.ndarray) -> None:
    """Rows will be read anywhere: what the system reads ahead is read in vain."""
    file = _file(mapped)
    if file is not None and hasattr(mmap, "MADV_RANDOM"):
        file.madvise(mmap.MADV_RANDOM)


def prefetch(mapped: np.ndarray, rows: np.ndarray, width: int, first: int = 0) -> None:
    """Have the system read rows, all at the same time, where they are not in memory.

    rows: sorted, none twice; each takes `width` bytes, and row 0 begins at byte `first`.
    """
    file = _file(mapped)
    if file is None or not hasattr(mmap, "MADV_WILLNEED"):
        return
    begins = first + rows * width
    for start in dict.fromkeys((begins // mmap.PAGESIZE * mmap.PAGESIZE).tolist()):
        file.madvise(mmap.MADV_WILLNEED, start, min(width + mmap.PAGESIZE, len(file) - start))


def release_pages(mapped: np.ndarray | None) -> None:
    """What was read so far counts as this process's memory no longer. The system may keep it, and can take it back."""
    file = None if mapped is None else _file(mapped)
    if file is not None and hasattr(mmap, "MADV_DONTNEED"):
        file.madvise(mmap.MADV_DONTNEED)


def _file(mapped: np.ndarray) -> mmap.mmap | None:
    """The mapping that an array, or what it is a part of, lies in; None for an array in memory."""
    base = mapped.base
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
