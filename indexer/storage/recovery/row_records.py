"""The file of row records: which photo file each row is of, beside the embeddings, for a lost catalogue.

A record is written before the transaction that makes its row exist. Two sums tell whether record, embedding and region
vectors of a row belong together; a row that fails is not taken over into a new catalogue.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from indexer.storage import vector_files
from indexer.storage.atomic_files import fsync
from indexer.storage.catalogue import Catalogue
from indexer.storage.integrity.checksums import BlockChecksum
from indexer.storage.manifest import Manifest
from indexer.storage.mapped_files import release_pages

# `sum` is the BLAKE2b of digest, width, height and embedding, `region_sum` that of digest and region vectors: 0
# in an index without, and until the records are written anew where region vectors came later.
RECORD = np.dtype(
    [
        ("digest", "u1", (16,)),
        ("width", "<u4"),
        ("height", "<u4"),
        ("sum", "u1", (8,)),
        ("region_sum", "u1", (8,)),
    ]
)
# Bytes of a record before its sums: digest, width, height.
HEAD_BYTES = 24
# Rows whose records are made at a time.
BLOCK_ROWS = 8_192


def make_records(
    digests: Sequence[bytes], sizes: Sequence[tuple[int, int]], embeddings: np.ndarray, regions: np.ndarray | None
) -> np.ndarray:
    """Make the records of rows.

    Args:
        digests: The digest of each row's photo file, 16 bytes.
        sizes: Width and height of each upright photo, in pixels.
        embeddings: (n, d) float16, as they are stored.
        regions: (n, m) int8, as they are stored, or None.

    Returns:
        (n,) of `RECORD`.
    """
    records = np.zeros(len(digests), RECORD)
    records["digest"] = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)
    records["width"], records["height"] = np.array(sizes, np.int64).reshape(-1, 2).T
    records["sum"], records["region_sum"] = _sums(records, embeddings, regions)
    return records


def right_records(records: np.ndarray, embeddings: np.ndarray, regions: np.ndarray | None) -> np.ndarray:
    """Return which records belong to the rows that are stored.

    Args:
        records: (n,) of `RECORD`.
        embeddings: (n, d) float16, as they are stored.
        regions: (n, m) int8, as they are stored, or None.

    Returns:
        (n,) bool.
    """
    sums, region_sums = _sums(records, embeddings, regions)
    right: np.ndarray = (records["sum"] == sums).all(axis=1)
    if regions is None:
        return right
    return right & (lacks_region_sum(records) | (records["region_sum"] == region_sums).all(axis=1))


def lacks_region_sum(records: np.ndarray) -> np.ndarray:
    """Return which records, (n,) of `RECORD`, say nothing of region vectors: (n,) bool."""
    return np.all(records["region_sum"] == 0, axis=1)


def _sums(records: np.ndarray, embeddings: np.ndarray, regions: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Compute `sum` and `region_sum` of records: (n, 8) uint8 each."""
    sums = [_sum(record.tobytes()[:HEAD_BYTES], row) for record, row in zip(records, embeddings, strict=True)]
    region_sums = np.zeros((len(records), 8), np.uint8)
    if regions is not None:
        parts = [_sum(digest.tobytes(), row) for digest, row in zip(records["digest"], regions, strict=True)]
        region_sums = np.frombuffer(b"".join(parts), np.uint8).reshape(-1, 8)
    return np.frombuffer(b"".join(sums), np.uint8).reshape(-1, 8), region_sums


def _sum(head: bytes, row: np.ndarray) -> bytes:
    return hashlib.blake2b(head + row.tobytes(), digest_size=8).digest()


def as_bytes(records: np.ndarray) -> np.ndarray:
    """Return the bytes of records: (n,) of `RECORD` as (n, 40) uint8."""
    return np.ascontiguousarray(records).view(np.uint8).reshape(len(records), RECORD.itemsize)


def append(path: Path, first_row: int, records: np.ndarray) -> BlockChecksum:
    """Write records behind the first rows of the file, and fsync, as embeddings are.

    Args:
        path: The file, made if `first_row` is 0 and it is missing.
        first_row: How many rows it has.
        records: (n,) of `RECORD`.

    Raises:
        PhotoseekError: The file is shorter than `first_row` records.
    """
    return vector_files.append(path, first_row, as_bytes(records), np.dtype("u1"))


def read(path: Path) -> np.ndarray:
    """Read all whole records of the file, those behind the last row of the catalogue, too.

    Args:
        path: The file.

    Returns:
        (m,) of `RECORD`.

    Raises:
        OSError: It is missing or cannot be read.
    """
    data = path.read_bytes()
    return np.frombuffer(data[: len(data) // RECORD.itemsize * RECORD.itemsize], RECORD)


def has_rows(path: Path, rows: int, *, with_regions: bool) -> bool:
    """Return whether the file has a record of every row.

    Args:
        path: The file, which may be missing.
        rows: How many rows there are.
        with_regions: Whether the records must say something of region vectors.
    """
    try:
        if os.path.getsize(path) < rows * RECORD.itemsize:
            return False
        return not (with_regions and lacks_region_sum(read(path)[:rows]).any())
    except OSError:
        return False


def stored_rows(folder: Path, described: Manifest, rows: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Map the rows of an index into memory.

    Args:
        folder: The index folder.
        described: Its manifest.
        rows: How many rows.

    Returns:
        Embeddings (rows, d) float16, and regions (rows, count * width) int8 or None.

    Raises:
        PhotoseekError: A file is missing or shorter.
    """
    embeddings = vector_files.read(folder / described.embeddings, rows, described.dim)
    if not described.has_regions:
        return embeddings, None
    count, width = described.region_shape
    regions = vector_files.read(folder / described.region_file, rows, count * width, vector_files.REGION_DTYPE)
    return embeddings, regions


def records_of_catalogue(
    catalogue: Catalogue, first_row: int, embeddings: np.ndarray, regions: np.ndarray | None
) -> np.ndarray:
    """Make the records that rows should have.

    Args:
        catalogue: The catalogue.
        first_row: The first of the rows.
        embeddings: (n, d) float16, the rows as they are stored.
        regions: (n, m) int8 of the same rows, or None.

    Returns:
        (n,) of `RECORD`.
    """
    rows = range(first_row, first_row + len(embeddings))
    digests, sizes = catalogue.digests_of_rows(rows), catalogue.sizes_of_rows(rows)
    return make_records([digests[row] for row in rows], [sizes[row] for row in rows], embeddings, regions)


def write_all(folder: Path, described: Manifest, catalogue: Catalogue) -> None:
    """Write the file anew from catalogue and rows, whole or not at all.

    Args:
        folder: The index folder, whose writer's lock is held.
        described: Its manifest.
        catalogue: Its catalogue.

    Raises:
        OSError: It cannot be written.
        PhotoseekError: Catalogue or rows cannot be read.
    """
    total = catalogue.row_count()
    embeddings, regions = stored_rows(folder, described, total)
    path = folder / described.digest_file
    scratch = path.with_name(f".{path.name}")
    with open(scratch, "wb") as file:
        for start in range(0, total, BLOCK_ROWS):
            block = slice(start, min(start + BLOCK_ROWS, total))
            part = None if regions is None else regions[block]
            file.write(records_of_catalogue(catalogue, start, embeddings[block], part).tobytes())
            release_pages(embeddings)
            release_pages(regions)
    fsync(scratch)
    os.replace(scratch, path)
    fsync(folder)
