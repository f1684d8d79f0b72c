"""Read the metadata of photos that an older version indexed: their files, without the pixels, and nothing embedded."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from indexer.callbacks import Progress
from indexer.photos.metadata.reading import read_metadata
from indexer.photos.metadata.record import PhotoMetadata
from indexer.storage.catalogue import Catalogue
from indexer.storage.records import CataloguedPhoto

# Rows of one transaction: a build that is killed reads at most so many again.
BLOCK_ROWS = 2_048
# Files that are read at a time. Reading is waiting, of a network disk above all, so there are more than cores.
THREADS = 8


def fill_metadata(catalogue: Catalogue, on_progress: Progress) -> int:
    """Keep the metadata of every row that has none, block by block; what an earlier call did is not done again.

    A row stays without if none of its files can be read or all were changed since they were indexed. A changed file
    gets a new row, with metadata, when its folder is built.

    Args:
        catalogue: The catalogue, open for writing.
        on_progress: Gets (done, total) rows; not called if no row lacks anything.

    Returns:
        How many rows got theirs.
    """
    rows = catalogue.metadata.missing_rows()
    filled = 0
    if rows:
        on_progress(0, len(rows))
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS]
            photos = [photo for found in catalogue.photos_of_rows(block).values() for photo in found]
            entries = list(_entries(photos, pool))
            with catalogue.transaction():
                catalogue.metadata.put_many(entries)
            filled += len({row for row, _, _ in entries})
            on_progress(start + len(block), len(rows))
    return filled


def _entries(photos: list[CataloguedPhoto], pool: ThreadPoolExecutor) -> Iterator[tuple[int, PhotoMetadata, int]]:
    """Yield (row, metadata, mtime_ns) of the photos whose files are as they were indexed."""
    for photo, metadata in zip(photos, pool.map(_read_unchanged, photos), strict=True):
        if photo.row is not None and metadata is not None:
            yield photo.row, metadata, photo.mtime_ns


def _read_unchanged(photo: CataloguedPhoto) -> PhotoMetadata | None:
    """Read the metadata of a photo, None if its file is gone or was changed."""
    path = os.path.join(photo.root, photo.path)
    try:
        info = os.stat(path)
    except OSError:
        return None
    is_same = (info.st_size, info.st_mtime_ns) == (photo.size, photo.mtime_ns)
    return read_metadata(path) if is_same else None
