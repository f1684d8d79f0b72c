"""Keep the stacks of an index up to date: what belongs together is one hit of a search.

    new rows -looks_alike-> links, kept + names -same_shot-> shots --grouping--> stacks, written anew

Links are kept for rows whose photos are gone, too: a photo that comes back finds them again.
"""

import os
from collections.abc import Callable
from contextlib import closing

import numpy as np

from indexer.callbacks import Progress
from indexer.embedding.pipeline import Decoding
from indexer.encoders import ImageEncoder
from indexer.photos.decode import UnreadablePhotoError
from indexer.photos.decode_pool import DecodeWorkers
from indexer.stacks.grouping import group
from indexer.stacks.looks_alike import (
    EVERY_PAIR_ROWS,
    Looks,
    links_of_neighbours,
    links_of_new,
    unrelated_cosine,
    without_links,
)
from indexer.stacks.same_shot import rows_of_one_shot
from indexer.storage.catalogue import Catalogue
from indexer.storage.records import CataloguedPhoto
from indexer.storage.tables.stack_tables import CURRENT_SETTING

# The catalogue's settings: how many rows were compared with each other, and the encoder's cosine of unrelated photos.
COMPARED_SETTING, UNRELATED_SETTING = "stacks_compared_rows", "unrelated_cosine"
# Photos that are decoded at a time where hashes are missing.
BLOCK_ROWS = 256


def mark_stale(catalogue: Catalogue) -> None:
    """Note that photos come or go, so that a build that is cut short leaves the stacks to the next one."""
    catalogue.set_setting(CURRENT_SETTING, None)


def forget_stacks(catalogue: Catalogue) -> None:
    """Note that rows are to be compared again, so that the next build does, inside a transaction."""
    mark_stale(catalogue)
    catalogue.set_setting(COMPARED_SETTING, None)


def update_stacks(catalogue: Catalogue, embeddings: Callable[[int], np.ndarray], encoder: ImageEncoder) -> None:
    """Bring the stacks up to date; nothing is done if no photo came or went since the last time.

    Args:
        catalogue: The catalogue, open for writing.
        embeddings: Maps the first so many rows of the embedding file, (rows, d) float16.
        encoder: The encoder that made them.
    """
    if catalogue.setting(CURRENT_SETTING) is not None:
        return
    photos = [photo for photo in catalogue.all_photos() if photo.row is not None]
    total = catalogue.row_count()
    compared = int(catalogue.setting(COMPARED_SETTING) or 0)
    every_pair = total <= EVERY_PAIR_ROWS
    before = links = catalogue.stacks.links()
    if total > compared or not every_pair:
        rows, hashes = catalogue.stacks.hashes()
        looks = Looks(rows, hashes, embeddings(total), _unrelated(catalogue, encoder))
        if every_pair:
            links = np.concatenate([before, links_of_new(looks, compared)])
        else:
            links = links_of_neighbours(looks, _rows_of(photos), before)
    with catalogue.transaction():
        catalogue.stacks.remove_links(without_links(before, links))
        catalogue.stacks.add_links(without_links(links, before))
        catalogue.set_setting(COMPARED_SETTING, str(total))
        _write_stacks(catalogue, photos)
        catalogue.set_setting(CURRENT_SETTING, "yes")


def regroup(catalogue: Catalogue) -> None:
    """Write the stacks anew after photos went, inside a transaction; stale ones are left to the next build."""
    if catalogue.setting(CURRENT_SETTING) is not None:
        _write_stacks(catalogue, [photo for photo in catalogue.all_photos() if photo.row is not None])


def fill_hashes(catalogue: Catalogue, encoder: ImageEncoder, decoding: Decoding, on_progress: Progress) -> int:
    """Hash the photos of an older version's index: they are decoded, not embedded, and compared by `update_stacks`.

    A photo that cannot be read, or was changed since, stays without and is tried again next time.

    Args:
        catalogue: The catalogue, open for writing.
        encoder: The encoder of the index, whose square is hashed.
        decoding: How photos are decoded.
        on_progress: Gets (done, total) rows; not called if no row lacks a hash.

    Returns:
        How many rows got theirs.
    """
    rows = catalogue.stacks.rows_without_hash()
    if not rows:
        return 0
    filled = 0
    on_progress(0, len(rows))
    settings = (decoding.process_count, encoder.transform, decoding.max_pixels, decoding.deadline)
    with closing(DecodeWorkers(*settings, slots=BLOCK_ROWS)) as workers:
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS]
            found = catalogue.photos_of_rows(block)
            digests = catalogue.digests_of_rows(block)
            paths = {row: os.path.join(found[row][0].root, found[row][0].path) for row in block}
            futures = {row: workers.schedule(path, slot) for slot, (row, path) in enumerate(paths.items())}
            hashes = []
            for row, future in futures.items():
                try:
                    photo = future.result()
                except UnreadablePhotoError:
                    continue
                if photo.digest == digests[row] and photo.perceptual_hash is not None:
                    hashes.append((row, photo.perceptual_hash))
            with catalogue.transaction():
                catalogue.stacks.put_hashes(hashes)
                if hashes:
                    forget_stacks(catalogue)
            filled += len(hashes)
            on_progress(start + len(block), len(rows))
    return filled


def _unrelated(catalogue: Catalogue, encoder: ImageEncoder) -> float:
    """Return the encoder's cosine of unrelated photos, measured once per index."""
    kept = catalogue.setting(UNRELATED_SETTING)
    if kept is None:
        kept = f"{unrelated_cosine(encoder):.4f}"
        catalogue.set_setting(UNRELATED_SETTING, kept)
    return float(kept)


def _rows_of(photos: list[CataloguedPhoto]) -> list[int]:
    """Return the rows of photos."""
    return [photo.row for photo in photos if photo.row is not None]


def regroup_renumbered(catalogue: Catalogue, is_live: np.ndarray) -> None:
    """Write the stacks of a catalogue anew whose dead rows were taken out, inside a transaction.

    Args:
        catalogue: The catalogue, with its links.
        is_live: (n,) bool, of each row that it had.
    """
    compared = int(catalogue.setting(COMPARED_SETTING) or 0)
    # Of so many rows not every pair was compared, which is for the next build then.
    is_known = len(is_live) <= EVERY_PAIR_ROWS
    catalogue.set_setting(COMPARED_SETTING, str(int(is_live[:compared].sum())) if is_known else None)
    regroup(catalogue)


def _write_stacks(catalogue: Catalogue, photos: list[CataloguedPhoto]) -> None:
    """Group the photos by links and names, and write the stacks, inside a transaction."""
    links = catalogue.stacks.links()
    shots = rows_of_one_shot(photos)
    alive = set(_rows_of(photos))
    concerned = sorted(alive.intersection(links.ravel().tolist()).union(*shots))
    catalogue.stacks.replace_stacks(group(links.tolist(), shots, catalogue.digests_of_rows(concerned)))
