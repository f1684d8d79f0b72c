"""Verify files against their checksums, and that every embedding is a finite unit vector."""

from pathlib import Path

import numpy as np

from indexer.callbacks import Progress
from indexer.printable import counted
from indexer.storage import vector_files
from indexer.storage.catalogue import Catalogue
from indexer.storage.half_precision import to_float32
from indexer.storage.integrity.checksums import digest_of_bytes, digest_of_file
from indexer.storage.mapped_files import release_pages
from indexer.verification.findings import Verification

# The largest difference of a stored norm from 1: float16 rounds each component by 2^-11 of it at most.
NORM_TOLERANCE = 2e-3
# Rows whose norms are computed at a time.
BLOCK_ROWS = 8_192


def verify_blocks(
    folder: Path,
    name: str,
    row_bytes: int,
    catalogue: Catalogue,
    found: Verification,
    on_progress: Progress,
) -> None:
    """Compare the rows of a file with their checksums.

    Args:
        folder: The index folder.
        name: The file, as a path below it.
        row_bytes: Bytes of a row.
        catalogue: Has the checksums.
        found: Gets a finding for each block that differs.
        on_progress: Gets (done, total) blocks.
    """
    blocks = [block for block in catalogue.checksums.of_file(name) if block.rows > 0]
    for done, block in enumerate(blocks, 1):
        try:
            digest = digest_of_bytes(folder / name, block.first_row * row_bytes, block.rows * row_bytes)
        except OSError as error:
            rest = range(block.first_row, blocks[-1].first_row + blocks[-1].rows)
            found.add(name, f"cannot be read: {error.strerror or error}", rest, catalogue)
            return
        found.read_bytes += block.rows * row_bytes
        if digest != block.digest:
            rows = range(block.first_row, block.first_row + block.rows)
            found.add(name, f"rows {rows[0]} to {rows[-1]} are not as they were written", rows, catalogue)
        on_progress(done, len(blocks))


def verify_file(folder: Path, name: str, catalogue: Catalogue, found: Verification) -> None:
    """Compare a file that has no rows with its checksum.

    Args:
        folder: The index folder.
        name: The file, as a path below it.
        catalogue: Has the checksum.
        found: Gets a finding if the file differs.
    """
    try:
        digest = digest_of_file(folder / name)
        found.read_bytes += (folder / name).stat().st_size
    except OSError as error:
        found.add(name, f"cannot be read: {error.strerror or error}")
        return
    if any(digest != block.digest for block in catalogue.checksums.of_file(name)):
        found.add(name, "it is not as it was written")


def verify_norms(
    path: Path, rows: int, dim: int, catalogue: Catalogue, found: Verification, on_progress: Progress
) -> None:
    """Look for embeddings that are not finite or have another norm than 1.

    Args:
        path: The file of embeddings, which has that many rows.
        rows: How many rows.
        dim: Numbers of a row.
        catalogue: Names the photos of a row.
        found: Gets a finding if there are any.
        on_progress: Gets (done, total) rows.
    """
    vectors = vector_files.read(path, rows, dim)
    wrong: list[int] = []
    for start in range(0, rows, BLOCK_ROWS):
        block = to_float32(vectors[start : start + BLOCK_ROWS])
        norms = np.sqrt(np.einsum("nd,nd->n", block, block))
        wrong += (start + np.flatnonzero(~(np.abs(norms - 1) < NORM_TOLERANCE))).tolist()
        release_pages(vectors)
        on_progress(min(start + BLOCK_ROWS, rows), rows)
    if wrong:
        found.add(path.name, f"{counted(len(wrong), 'row')} not of unit length", wrong, catalogue)
