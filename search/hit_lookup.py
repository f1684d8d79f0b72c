"""Look up the photos of ranked rows in the catalogue, so that rows become hits with paths."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.storage.catalogue import Catalogue
from search.queries.search_options import SearchOptions
from search.queries.wanted_photos import WantedPhoto, wanted_photos
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


def look_up_hits(catalogue: Catalogue, ranked: Sequence[RankedRows], options: SearchOptions) -> list[tuple[Hit, ...]]:
    """Return the hits of each query.

    Args:
        catalogue: The catalogue of the index.
        ranked: What each query shows.
        options: Of exact copies those that it asks for are a hit: the first in path order that is on the disk now, with
            the others named; with `show_all` a hit each.

    Returns:
        The hits of each query, at most `options.k`, in the order of `ranked`.
    """
    rows = sorted({one for of_query in ranked for row, _, _, others in of_query.hits() for one in (row, *others)})
    photos, sizes = wanted_photos(catalogue, rows, options), catalogue.sizes_of_rows(rows)
    found = []
    for of_query in ranked:
        hits: list[Hit] = []
        for row, relevance, score, others in of_query.hits():
            of_row = _present_first(photos[row])
            stack = tuple(sorted(photo.path for other in others for photo in photos[other]))
            for photo in of_row if options.show_all else of_row[:1]:
                copies = tuple(copy.path for copy in of_row if copy is not photo)
                scores = (relevance, score)
                hits.append(Hit(len(hits) + 1, photo.path, *scores, *sizes[row], copies, photo.metadata, stack))
        found.append(tuple(hits[: options.k]))
    return found


def _present_first(copies: Sequence[WantedPhoto]) -> Sequence[WantedPhoto]:
    """Return exact copies with those first that are on the disk now: one may lie on a disk that is not mounted."""
    return copies if len(copies) == 1 else sorted(copies, key=lambda photo: not os.path.lexists(photo.path))
