"""Add region vectors to an index that has none: decode and embed every photo once more, in row order."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from indexer.callbacks import Progress
from indexer.embedding.pipeline import Decoding, embed_files
from indexer.encoders import ImageEncoder
from indexer.photos.found_files import PhotoFile, Skipped
from indexer.photos.known_digests import KnownDigests
from indexer.storage import vector_files
from indexer.storage.catalogue import Catalogue

# Rows that one transaction counts.
BLOCK_ROWS = 512
# The catalogue's setting that says how many rows the file has so far.
FILLED_SETTING = "regions_filled"


def fill_regions(
    catalogue: Catalogue,
    file: Path,
    encoder: ImageEncoder,
    decoding: Decoding,
    on_progress: Progress,
    on_skip: Callable[[Skipped], None],
) -> None:
    """Write the region vectors of every row of an index; continue where an earlier, interrupted call stopped.

    Nothing reads the file before the manifest names it, which is for the caller to do when this returns. It grows as
    the embeddings did: a block is appended and fsynced, then one transaction counts it. A row that no file gives any
    more, because it is dead or its photos changed or cannot be read, gets zeros and is forgotten: a photo of it that
    the next build of its folder finds gets a new row, with regions.

    Args:
        catalogue: The catalogue, open for writing.
        file: The file of region vectors.
        encoder: The encoder that made the embeddings.
        decoding: How the photos are decoded.
        on_progress: Gets (done, total) rows.
        on_skip: Gets the photos whose row has zeros.
    """
    rows = catalogue.row_count()
    for start in range(int(catalogue.setting(FILLED_SETTING) or 0), rows, BLOCK_ROWS):
        block = range(start, min(start + BLOCK_ROWS, rows))
        found, skipped = _embed_rows(catalogue, block, encoder, decoding)
        vectors = np.zeros((len(block), *encoder.region_shape), np.int8)
        for row, regions in found.items():
            vectors[row - start] = regions
        checksum = vector_files.append(file, start, vectors.reshape(len(block), -1), vector_files.REGION_DTYPE)
        with catalogue.transaction():
            catalogue.checksums.put(file.name, checksum)
            for row in block:
                if row not in found:
                    catalogue.forget(row)
            catalogue.set_setting(FILLED_SETTING, str(block.stop))
        for item in skipped:
            on_skip(item)
        on_progress(block.stop, rows)


def _embed_rows(
    catalogue: Catalogue, block: range, encoder: ImageEncoder, decoding: Decoding
) -> tuple[dict[int, np.ndarray], list[Skipped]]:
    """Return (count, width) int8 regions by row where a photo could be embedded, and the photos of all other rows."""
    photos = catalogue.photos_of_rows(block)
    paths = {os.path.join(p.root, p.path): (row, p) for row in block for p in photos[row]}
    files = [PhotoFile(path, p.size, p.mtime_ns) for path, (_, p) in paths.items()]
    found: dict[int, np.ndarray] = {}

    def is_known(digest: bytes) -> bool:
        # A changed file must not give its regions to the old row, and copies need not be embedded twice.
        row = catalogue.row_of_digest(digest)
        return row not in block or row in found

    reasons: dict[bytes, str] = {}
    with closing(embed_files(b"/", files, encoder, decoding, KnownDigests(is_known), regions=True)) as results:
        for file, result in results:
            if isinstance(result, Skipped):
                reasons[file.path] = result.reason
            elif result.regions is not None:
                row = catalogue.row_of_digest(result.photo.digest)
                assert row is not None
                found[row] = result.regions
    return found, [
        Skipped(path, f"no region vectors before the next build of its folder: {reasons.get(path, 'it was changed')}")
        for path, (row, _) in paths.items()
        if row not in found
    ]
