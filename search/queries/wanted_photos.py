"""Choose among exact copies: rows of the index -> the photos of each that a search asks for.

Copies share a row, but not their folder, nor the time at which the file was changed. So a row passes `under` and
filters if one photo of it meets all that is asked, and only such photos are shown.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from indexer.photos.folder_names import places_below
from indexer.photos.metadata.record import NOT_READ, PhotoMetadata, file_time
from indexer.storage.catalogue import Catalogue
from indexer.storage.records import CataloguedPhoto
from indexer.user_paths import absolute_path
from search.queries.search_options import SearchOptions

# How the paths of photos below a folder begin, by root.
Places = Mapping[bytes, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class WantedPhoto:
    """A photo that a search asks for.

    Attributes:
        path: Its absolute path; bytes that are not UTF-8 are surrogates.
        metadata: What is known of it.
    """

    path: str
    metadata: PhotoMetadata


def wanted_photos(
    catalogue: Catalogue, rows: Sequence[int], options: SearchOptions
) -> dict[int, tuple[WantedPhoto, ...]]:
    """Return the photos of rows that lie below the folder of a search and meet its filters.

    Args:
        catalogue: The catalogue of the index.
        rows: The rows.
        options: The options of the search.

    Returns:
        The photos of each row in path order, several for exact copies; each path once.
    """
    photos, known = catalogue.photos_of_rows(rows), catalogue.metadata.of_rows(rows)
    places = None
    if options.under is not None:
        places = _places((photo for copies in photos.values() for photo in copies), options.under)
    return {row: tuple(_wanted(copies, known.get(row, NOT_READ), options, places)) for row, copies in photos.items()}


def _wanted(
    copies: Sequence[CataloguedPhoto], known: PhotoMetadata, options: SearchOptions, places: Places | None
) -> Iterable[WantedPhoto]:
    """Return the photos of one row that are asked for."""
    found: dict[str, WantedPhoto] = {}  # by path, because one root may lie in another
    for photo in copies:
        if places is not None and not photo.path.startswith(places[photo.root]):
            continue
        own = _own_time(photo, known) if len(copies) > 1 else known
        path = os.fsdecode(os.path.join(photo.root, photo.path))
        if not options.filters or options.filters.meets(own):
            found.setdefault(path, WantedPhoto(path, own))
    return found.values()


def _own_time(photo: CataloguedPhoto, known: PhotoMetadata) -> PhotoMetadata:
    """Return what is known of one of several copies: the time of its own file, if the time is a file's."""
    if known.taken_from != "file" or photo.mtime_ns < 0:  # below 0 where the next build reads the file again
        return known
    return replace(known, taken=file_time(photo.mtime_ns))


def _places(photos: Iterable[CataloguedPhoto], under: str | Path) -> Places:
    """Return how paths below a folder begin in each root, for photos that are known to lie there.

    The folder is named from the current folder or else from a root, and links are followed if nothing else is found:
    the first of these ways that holds for any photo is the one by which `Gallery` found their rows.
    """
    found = list(photos)
    roots = {photo.root for photo in found}
    for folder in (os.fsencode(absolute_path(under)), os.fsencode(under)):
        for follow_links in (False, True):
            places = {
                root: tuple(place and place + b"/" for place in places_below(root, folder, follow_links=follow_links))
                for root in roots
            }
            if any(photo.path.startswith(places[photo.root]) for photo in found):
                return places
    return dict.fromkeys(roots, ())
