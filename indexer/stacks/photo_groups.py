"""List what belongs together in an index: stacks and exact duplicates, each photo with its size."""

import os
from dataclasses import dataclass

from indexer.storage.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class GroupedPhoto:
    """A photo of a group.

    Attributes:
        path: Its absolute path. Bytes that are not UTF-8 are kept as surrogates (`os.fsencode` returns them).
        width: Its width in pixels, upright; of a camera RAW file, that of what was decoded: the preview inside it, or
            the sensor's data at half size.
        height: Its height in pixels, likewise.
        bytes: Size of the file.
    """

    path: str
    width: int
    height: int
    bytes: int


def photo_groups(catalogue: Catalogue) -> list[tuple[GroupedPhoto, ...]]:
    """List the groups of photos that belong together.

    Args:
        catalogue: The catalogue of the index.

    Returns:
        Each group of two photos or more, the best copy first: that of most pixels, then of most bytes, then by path.
        Groups are in the order of their first paths.
    """
    groups = catalogue.stacks.stacks()
    stacked = {row for rows in groups for row in rows}
    groups += [[row] for row in catalogue.rows_of_duplicates() if row not in stacked]
    rows = sorted(row for group in groups for row in group)
    photos, sizes = catalogue.photos_of_rows(rows), catalogue.sizes_of_rows(rows)
    found = []
    for group in groups:
        # An index of an older version may have overlapping roots, which name one file twice.
        files = {os.fsdecode(os.path.join(p.root, p.path)): (row, p.size) for row in group for p in photos[row]}
        members = [GroupedPhoto(path, *sizes[row], size) for path, (row, size) in files.items()]
        if len(members) > 1:
            found.append(tuple(sorted(members, key=lambda p: (-p.width * p.height, -p.bytes, p.path))))
    return sorted(found, key=lambda group: min(photo.path for photo in group))
