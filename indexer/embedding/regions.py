"""Region vectors for an index that was begun without: every photo decoded and embedded once more, in row order."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from indexer.embedding.pipeline import Decoding, embed_files
from indexer.encoders import ImageEncoder
from indexer.photos.scan import PhotoFile, Skipped
from indexer.storage import vector_files
from indexer.storage.catalogue import Catalogue

BLOCK_ROWS = 512
# The setting that says how many rows the file has so far.
FILLED = "regions_filled"


def fill(
    catalogue: Catalogue,
    file: Path,
    encoder: ImageEncoder,
    decoding: Decoding,
    on_progress: Callable[[int, int], None],
    on_skip: Callable[[Skipped], None],
) -> None:
    """Write the regions of every row of the catalogue to `file`, going on where an earlier call was cut short.

    Nothing reads the file before the manifest names it, which is for the caller to do when this returns. It grows as
    the embeddings did: a block is appended and fsynced, then one transaction counts it. A row that no file gives any
    more, because it is dead or its photos changed or cannot be read, gets zeros and is forgotten: a photo of it that
    the next build of its folder finds gets a new row, with regions. `on_skip` names those photos.
    """
    rows = catalogue.row_count()
    for start in range(int(catalogue.setting(FILLED) or 0), rows, BLOCK_ROWS):
        block = range(start, min(start + BLOCK_ROWS, rows))
        found, skipped = _embed_rows(catalogue, block, encoder, decoding)
        vectors = np.zeros((len(block), *encoder.regions), np.int8)
        for row, regions in found.items():
            vectors[row - start] = regions
        vector_files.append(file, start, vectors.reshape(len(block), -1), vector_files.REGION_DTYPE)
        with catalogue.transaction():
            for row in block:
                if row not in found:
                    catalogue.forget(row)
            catalogue.set_setting(FILLED, str(block.stop))
        for item in skipped:
            on_skip(item)
        on_progress(block.stop, rows)


def _embed_rows(
    catalogue: Catalogue, block: range, encoder: ImageEncoder, decoding: Decoding
) -> tuple[dict[int, np.ndarray], list[Skipped]]:
    """row -> its (count, width) int8 regions, for the rows of a block that have a photo; photos of the other rows."""
    photos = catalogue.photos_of_rows(block)
    paths = {os.path.join(p.root, p.path): (row, p) for row in block for p in photos[row]}
    files = [PhotoFile(path, p.size, p.mtime_ns) for path, (_, p) in paths.items()]
    found: dict[int, np.ndarray] = {}

    def is_known(digest: bytes) -> bool:
        # Only bytes that are still those of a row count for it, and copies need not be embedded twice.
        row = catalogue.row_of_digest(digest)
        return row not in block or row in found

    reasons: dict[bytes, str] = {}
    with closing(embed_files(b"/", files, encoder, decoding, is_known, regions=True)) as results:
        for file, result in results:
            if isinstance(result, Skipped):
                reasons[file.path] = result.reason
            elif result[2] is not None:
                row = catalogue.row_of_digest(result[0].digest)
                assert row is not None
                found[row] = result[2]
    return found, [
        Skipped(path, f"no region vectors before the next build of its folder: {reasons.get(path, 'it was changed')}")
        for path, (row, _) in paths.items()
        if row not in found
    ]
