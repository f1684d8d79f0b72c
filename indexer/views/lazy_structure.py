"""The candidate structure of a view, read when a search first needs it."""

import os
import weakref
from pathlib import Path
from typing import BinaryIO

import numpy as np

from indexer.storage.fork_safe_lock import ForkSafeLock
from indexer.storage.integrity.checked_files import has_checksum
from indexer.views.ann_search import CandidateStructure
from indexer.views.byte_codes import ByteCodes
from indexer.views.view_files import STRUCTURE, damaged_view


class LazyStructure:
    """The candidate structure of a view, read when it is first needed.

    Args:
        folder: The view's folder.
        file: Its structure file, open, so that a view that a newer one replaces stays whole.
        z: (n, k) float16 of all rows.
        hubness: (n,) float32 of all rows.
        codes: 8-bit codes of the rows in the structure, None where every row is scored.
        rows: How many rows are in it.
        digest: SHA-256 of the file, which is checked before it is read; None if it is not known.
    """

    def __init__(
        self,
        folder: Path,
        file: BinaryIO,
        z: np.ndarray,
        hubness: np.ndarray,
        codes: ByteCodes | None,
        rows: int,
        digest: bytes | None,
    ) -> None:
        self._folder, self._file, self._rows, self._digest = folder, file, rows, digest
        weakref.finalize(self, file.close)  # a view may be dropped without a search
        self._arrays = (z, hubness, codes)
        self._lock = ForkSafeLock()
        self._structure: CandidateStructure | None = None

    def get(self) -> CandidateStructure:
        """Return the structure, which the first call reads.

        Raises:
            PhotoseekError: It is damaged.
        """
        with self._lock:
            if self._structure is None:
                try:
                    # A library that reads a damaged file may take any amount of memory, or end the process.
                    if self._digest is not None and not has_checksum(self._file.fileno(), self._digest):
                        raise RuntimeError("not as it was written")
                    structure = CandidateStructure.read(_FromStart(self._file), *self._arrays)
                    if structure.rows != self._rows:
                        raise RuntimeError("not of these rows")
                except RuntimeError:
                    raise damaged_view(self._folder, f"{STRUCTURE} cannot be read") from None
                finally:
                    self._file.close()
                self._structure = structure
            return self._structure

    def close(self) -> None:
        """Close the file, if the structure was not read; it cannot be read any more."""
        with self._lock:
            self._file.close()


class _FromStart:
    """A reader of an open file with a place of its own, because a process and its forked child share the file's."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._at = file, 0

    def read(self, count: int) -> bytes:
        """Return the next bytes, at most `count`."""
        data = os.pread(self._file.fileno(), count, self._at)
        self._at += len(data)
        return data
