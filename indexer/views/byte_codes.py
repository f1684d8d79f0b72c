"""8-bit codes of every row: they narrow thousands of candidates down to the few whose float16 vectors are read.

A file holds each coordinate's lowest value and step, then the codes: value = low + step * code. Of one query's products
the lows make the same part of every row, so its codes are multiplied as they are, by `query * step`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

# So many codes at a time are widened and multiplied: they stay in the processor's cache, and threads, which hand the
# interpreter to each other between two steps, do so seldom.
BLOCK_ROWS = 2048
LEVELS = 255


class ByteCodesWriter:
    """Writes a file of rows that `add` is given, in their order. A context manager."""

    def __init__(self, path: Path, learned: np.ndarray) -> None:
        """learned: (s, r) float32, a sample that the range of each coordinate is taken from."""
        self._low = learned.min(axis=0).astype(np.float32)
        self._step = np.maximum((learned.max(axis=0) - self._low) / LEVELS, 1e-12).astype(np.float32)
        self._file = open(path, "wb")  # noqa: SIM115
        self._file.write(self._low.tobytes() + self._step.tobytes())

    def add(self, vectors: np.ndarray) -> None:
        """vectors: (n, r) float32, the rows that come next; what is out of its coordinate's range goes to its end."""
        codes = np.rint((vectors - self._low) / self._step)
        self._file.write(np.clip(codes, 0, LEVELS).astype(np.uint8).tobytes())

    def __enter__(self) -> "ByteCodesWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class ByteCodes:
    """step: (r,) float32; codes: (n, r) uint8, of a mapped file, where they begin at the byte `begin`."""

    step: np.ndarray
    codes: np.ndarray
    begin: int

    @classmethod
    def open(cls, path: Path, rows: int) -> "ByteCodes":
        """The codes of so many rows. Raises OSError if there is no file, ValueError if it is not of these rows."""
        file = np.memmap(path, np.uint8, "r")
        width, rest = divmod(len(file), rows + 2 * np.dtype(np.float32).itemsize)
        if not width or rest:
            raise ValueError(f"{len(file)} bytes are no codes of {rows} rows")
        begin = len(file) - rows * width
        return cls(file[begin // 2 : begin].view(np.float32), file[begin:].reshape(rows, width), begin)

    def scores(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Products of one query (r,) with rows, less what is the same in all of them: (len(rows),) float32."""
        weights, scores = query * self.step, np.empty(len(rows), np.float32)
        codes = np.asarray(self.codes)
        for start in range(0, len(rows), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            scores[part] = codes.take(rows[part], axis=0).astype(np.float32) @ weights
        return scores

    def best(self, query: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
        """The `count` of the sorted rows that are best for a query, sorted; all where there are no more."""
        if len(rows) <= count:
            return rows
        scores = self.scores(query, rows)
        return rows[np.sort(np.argpartition(scores, len(rows) - count)[len(rows) - count :])]
