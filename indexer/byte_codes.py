"""8-bit codes of every row: they narrow thousands of candidates down to the few whose float16 vectors are read.

The file is a FAISS index (`IndexScalarQuantizer`), written as its rows come and searched where it is mapped.
"""

from pathlib import Path
from typing import Any

import numpy as np

from indexer.lazy_faiss import faiss_module

# Where the format has the number of rows, after four letters and an int32; the number of codes comes last.
ROWS_AT = slice(8, 16)
CODES_AT = slice(-8, None)


class ByteCodesWriter:
    """Writes a file of `rows` rows, of which `add` is to be given every one. A context manager."""

    def __init__(self, path: Path, learned: np.ndarray, rows: int) -> None:
        """learned: (s, r) float32, a sample that the range of each coordinate is taken from."""
        faiss = faiss_module()
        width = learned.shape[1]
        self._index = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
        self._index.train(learned)
        header = bytearray(faiss.serialize_index(self._index).tobytes())
        header[ROWS_AT], header[CODES_AT] = (np.int64(n).tobytes() for n in (rows, rows * width))
        self._file = open(path, "wb")  # noqa: SIM115
        self._file.write(header)

    def add(self, vectors: np.ndarray) -> None:
        """vectors: (n, r) float32, the rows that come next."""
        self._file.write(self._index.sa_encode(vectors).tobytes())

    def __enter__(self) -> "ByteCodesWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def open_codes(file: np.ndarray) -> Any:
    """The FAISS index over a mapped file, (bytes,) uint8, which has to outlive it. Raises RuntimeError if it is
    damaged."""
    faiss = faiss_module()
    index = faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(file), len(file)))
    if not isinstance(index, faiss.IndexScalarQuantizer):
        raise RuntimeError("no 8-bit codes")
    return index
