"""Find files of one shot by their names: RAW + JPEG, HEIC + JPEG, in one folder and under one name."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable

from indexer.photos.content import RAW_SUFFIXES
from indexer.storage.records import CataloguedPhoto

HEIF_SUFFIXES = (b".heic", b".heif", b".hif")
JPEG_SUFFIXES = (b".jpg", b".jpeg", b".jpe", b".jfif")
# What phones put between the name of a shot and its ending: PXL_1.RAW-01.COVER.jpg beside PXL_1.RAW-02.ORIGINAL.dng.
VARIANT = re.compile(rb"\.raw-\d+(\.mp)?\.(cover|original)$")
KINDS = {
    suffix: kind for kind, suffixes in enumerate((RAW_SUFFIXES, HEIF_SUFFIXES, JPEG_SUFFIXES)) for suffix in suffixes
}


def rows_of_one_shot(photos: Iterable[CataloguedPhoto]) -> list[tuple[int, ...]]:
    """Find photos that are one shot in several formats.

    Files of one name but one format (IMG_1.jpg and IMG_1.jpeg) are left to how they look, and so are other formats: a
    drawing may be named as a photo is.

    Args:
        photos: Photos of an index.

    Returns:
        The rows of each shot that has two or more, sorted.
    """
    photos = list(photos)
    endings = {photo.path[photo.path.rfind(b".") :].lower() for photo in photos}
    if len({KINDS[ending] for ending in endings if ending in KINDS}) < 2:
        return []  # quickly, as where all are JPEG
    kinds_of_shot: defaultdict[tuple[bytes, bytes, bytes], dict[int, set[int]]] = defaultdict(dict)
    for photo in photos:
        folder, name = os.path.split(photo.path)
        stem, ending = os.path.splitext(name.lower())
        kind = KINDS.get(ending)
        if photo.row is not None and kind is not None:
            shot = (photo.root, folder, VARIANT.sub(b"", stem))
            kinds_of_shot[shot].setdefault(kind, set()).add(photo.row)
    shots = (tuple(sorted(set().union(*kinds.values()))) for kinds in kinds_of_shot.values() if len(kinds) > 1)
    return [rows for rows in shots if len(rows) > 1]
