"""Look up the photos of ranked rows in the catalogue, so that rows become hits with paths."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.photos.folder_names import places_below
from indexer.photos.metadata.record import NOT_READ
from indexer.storage.catalogue import Catalogue
from indexer.storage.records import CataloguedPhoto
from indexer.user_paths import absolute_path
from search.results import Hit


@dataclass(frozen=True, slots=True)
class RankedRows:
    """Rows that one query shows, best first.

    Attributes:
        rows: (h,) int64 rows of the index.
        relevance: (h,) float32 in 0..1, never rising.
        scores: (h,) float32, what they are sorted by.
        match_probability: The chance that anything in the index fits the query.
        others: Rows that each of them stands for beside itself.
        best_relevance: The relevance of the first row before those of too low a relevance were left out; None if there
            was none.
    """

    rows: np.ndarray
    relevance: np.ndarray
    scores: np.ndarray
    match_probability: float
    others: Sequence[Sequence[int]]
    best_relevance: float | None

    def hits(self) -> Iterator[tuple[int, float, float, Sequence[int]]]:
        """Yield each row with its relevance, its score and the other rows that it stands for."""
        return zip(self.rows.tolist(), self.relevance.tolist(), self.scores.tolist(), self.others, strict=True)


def look_up_hits(catalogue: Catalogue, ranked: Sequence[RankedRows], under: str | None) -> list[tuple[Hit, ...]]:
    """Return the hits of each query.

    Args:
        catalogue: The catalogue of the index.
        ranked: What each query shows.
        under: Of exact duplicates the first path is shown, one below this folder if there is one.

    Returns:
        The hits of each query, in the order of `ranked`.
    """
    rows = sorted({one for of_query in ranked for row, _, _, others in of_query.hits() for one in (row, *others)})
    photos = catalogue.photos_of_rows(rows)
    sizes = catalogue.sizes_of_rows(rows)
    known = catalogue.metadata.of_rows(rows)
    roots = {photo.root for found in photos.values() for photo in found}
    places = {} if under is None else _places(roots, under)
    paths = {row: _paths(found, places) for row, found in photos.items()}
    return [
        tuple(
            Hit(
                rank,
                paths[row][0],
                relevance,
                score,
                *sizes[row],
                copies=tuple(paths[row][1:]),
                metadata=known.get(row, NOT_READ),
                stack=tuple(sorted(path for other in others for path in paths[other])),
            )
            for rank, (row, relevance, score, others) in enumerate((hit for hit in of_query.hits() if paths[hit[0]]), 1)
        )
        for of_query in ranked
    ]


def _paths(photos: Iterable[CataloguedPhoto], places: Mapping[bytes, tuple[bytes, ...]]) -> list[str]:
    """Return the absolute paths of a row's photos, those at the places asked for first."""
    found = sorted(photos, key=lambda photo: bool(places) and not photo.path.startswith(places[photo.root]))
    return list(dict.fromkeys(os.fsdecode(os.path.join(photo.root, photo.path)) for photo in found))


def _places(roots: Iterable[bytes], under: str) -> dict[bytes, tuple[bytes, ...]]:
    """Return how paths below a folder begin in each root; it is named from the current folder or from a root."""
    here, in_root = os.fsencode(absolute_path(under)), os.fsencode(under)
    places = {root: places_below(root, here) + [p for p in places_below(root, in_root) if p] for root in roots}
    if not any(places.values()):
        places = {root: places_below(root, here, follow_links=True) for root in places}
    return {root: tuple(place and place + b"/" for place in found) for root, found in places.items()}
