"""8-bit codes of every row, which reduce thousands of candidates to the few whose float16 vectors are read.

A file holds each coordinate's lowest value and step, then the codes: value = lowest + step * code. Of one query's
products the lowest values make the same part of every row, so its codes are multiplied as they are, by `query * step`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Codes that are widened and multiplied at a time: they stay in the processor's cache, and threads, which hand the
# interpreter to each other between two steps, do so seldom.
BLOCK_ROWS = 2048
# The largest code.
LEVELS = 255


class ByteCodesWriter:
    """Write the codes of rows to a file, in the order in which `add` gets them; a context manager.

    Args:
        path: The file.
        learned: (s, r) float32, a sample that the range of each coordinate is taken from.

    Raises:
        OSError: The file cannot be written.
    """

    def __init__(self, path: Path, learned: np.ndarray) -> None:
        self._lowest = learned.min(axis=0).astype(np.float32)
        self._step = np.maximum((learned.max(axis=0) - self._lowest) / LEVELS, 1e-12).astype(np.float32)
        self._file = open(path, "wb")  # noqa: SIM115 - closed by __exit__
        self._file.write(self._lowest.tobytes() + self._step.tobytes())

    def add(self, vectors: np.ndarray) -> None:
        """Write the codes of the next rows; values outside their coordinate's range are clipped.

        Args:
            vectors: (n, r) float32.
        """
        codes = np.rint((vectors - self._lowest) / self._step)
        self._file.write(np.clip(codes, 0, LEVELS).astype(np.uint8).tobytes())

    def __enter__(self) -> "ByteCodesWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True, eq=False)
class ByteCodes:
    """The codes of a mapped file.

    Attributes:
        step: (r,) float32, the step of each coordinate.
        codes: (n, r) uint8, memory-mapped.
        begin: The byte of the file at which they begin.
    """

    step: np.ndarray
    codes: np.ndarray
    begin: int

    @classmethod
    def open(cls, path: Path, rows: int) -> "ByteCodes":
        """Map the codes of a view's rows into memory.

        Raises:
            OSError: There is no file.
            ValueError: It is not of these rows.
        """
        file = np.memmap(path, np.uint8, "r")
        width, rest = divmod(len(file), rows + 2 * np.dtype(np.float32).itemsize)
        if not width or rest:
            raise ValueError(f"{len(file)} bytes are no codes of {rows} rows")
        begin = len(file) - rows * width
        return cls(file[begin // 2 : begin].view(np.float32), file[begin:].reshape(rows, width), begin)

    def scores(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Score rows for one query by inner products, without the term that all of them share.

        Args:
            query: (r,) float32.
            rows: (n,) int64.

        Returns:
            (n,) float32.
        """
        weights, scores = query * self.step, np.empty(len(rows), np.float32)
        codes = np.asarray(self.codes)
        for start in range(0, len(rows), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            scores[part] = codes.take(rows[part], axis=0).astype(np.float32) @ weights
        return scores

    def keep_best(self, query: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
        """Keep the rows that are best for a query.

        Args:
            query: (r,) float32.
            rows: (n,) int64, sorted.
            count: How many to keep; all where there are no more.

        Returns:
            (min(count, n),) int64, sorted.
        """
        if len(rows) <= count:
            return rows
        scores = self.scores(query, rows)
        return rows[np.sort(np.argpartition(scores, len(rows) - count)[len(rows) - count :])]
