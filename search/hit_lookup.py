"""Look up the photos of ranked rows in the catalogue, so that rows become hits with paths."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.storage.catalogue import Catalogue
from indexer.storage.records import CataloguedPhoto
from search.results import Hit


@dataclass(frozen=True, slots=True)
class RankedRows:
    """Rows that one query shows, best first.

    Attributes:
        rows: (h,) int64 rows of the index.
        relevance: (h,) float32 in 0..1, never rising.
        scores: (h,) float32, what they are sorted by.
        match_probability: The chance that anything in the index fits the query.
    """

    rows: np.ndarray
    relevance: np.ndarray
    scores: np.ndarray
    match_probability: float

    def hits(self) -> Iterator[tuple[int, float, float]]:
        """Yield each row with its relevance and score."""
        return zip(self.rows.tolist(), self.relevance.tolist(), self.scores.tolist(), strict=True)


def look_up_hits(catalogue: Catalogue, ranked: Sequence[RankedRows], under: str | None) -> list[tuple[Hit, ...]]:
    """Return the hits of each query.

    Args:
        catalogue: The catalogue of the index.
        ranked: What each query shows.
        under: Of exact duplicates the first path is shown, one below this folder if there is one.

    Returns:
        The hits of each query, in the order of `ranked`.
    """
    rows = sorted({row for of_query in ranked for row in of_query.rows.tolist()})
    photos = catalogue.photos_of_rows(rows)
    sizes = catalogue.sizes_of_rows(rows)
    paths = {row: _paths(found, under) for row, found in photos.items()}
    return [
        tuple(
            Hit(rank, paths[row][0], relevance, score, *sizes[row], copies=tuple(paths[row][1:]))
            for rank, (row, relevance, score) in enumerate((hit for hit in of_query.hits() if paths[hit[0]]), 1)
        )
        for of_query in ranked
    ]


def _paths(photos: Iterable[CataloguedPhoto], under: str | None) -> list[str]:
    """Return the absolute paths of a row's photos, those below `under` first; overlapping roots name one only once."""
    found = sorted(photos, key=lambda photo: under is not None and not _is_below(photo, under))
    return list(dict.fromkeys(os.fsdecode(os.path.join(photo.root, photo.path)) for photo in found))


def _is_below(photo: CataloguedPhoto, under: str) -> bool:
    """Return whether a photo is below a folder, named from the current folder or from a root of the index."""
    here, in_root = os.fsencode(os.path.abspath(under)), os.path.normpath(os.fsencode(under))
    return os.path.join(photo.root, photo.path).startswith(here + b"/") or photo.path.startswith(in_root + b"/")
