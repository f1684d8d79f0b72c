"""Choose the rows of an index that a search may find: those that live, are shown, and pass its filters."""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.user_paths import absolute_path
from search.answer_notes import held_back_notes
from search.filters import Filters
from search.queries.search_options import SearchOptions
from search.queries.wanted_photos import wanted_photos

if TYPE_CHECKING:
    from search.moderation.policy_filter import Moderation


class Gallery:
    """The photos of an open index that searches may find.

    Args:
        index: The index.
        total_rows: How many rows the searched view has.
        moderation: What the index's policy does, None without a policy.
    """

    def __init__(self, index: Index, total_rows: int, moderation: "Moderation | None") -> None:
        self._index, self._total_rows, self._moderation = index, total_rows, moderation
        dead = np.array(index.catalogue.dead_rows(), np.int64)
        self._alive = np.setdiff1d(np.arange(total_rows), dead) if len(dead) else None
        self._last_filtered: tuple[Filters, np.ndarray] | None = None

    def rows(self, options: SearchOptions) -> np.ndarray | None:
        """Return the rows that a search may find.

        Args:
            options: The options of the search.

        Returns:
            Sorted rows, (a,) int64, or None if every row may be found.

        Raises:
            PhotoseekError: No photo of the index lies below `options.under`, or there are filters and an older version
                made the index.
        """
        return self._without_held_back(self._asked_for(options))

    def notes(self, options: SearchOptions, rows: np.ndarray | None) -> tuple[str, ...]:
        """Return what is worth saying of what a search may find: what a policy holds back, and what filters leave.

        Args:
            options: The options of the search.
            rows: The rows that it may find.
        """
        notes: list[str] = []
        if self._moderation is not None:
            notes += held_back_notes(self._asked_for(options), self._total_rows, self._moderation)
        if not options.filters:
            return tuple(notes)
        if rows is not None and not len(rows):
            notes.append("no photo passes the filters")
        if self._missing_metadata:
            notes.append(
                f"photos left out because it is not known when, where and with what they were taken: "
                f"{self._missing_metadata}; photoseek build reads it where it finds their files"
            )
        return tuple(notes)

    @property
    def is_empty(self) -> bool:
        """Whether the index holds no photos."""
        return not (self._total_rows if self._alive is None else len(self._alive))

    @cached_property
    def _missing_metadata(self) -> int:
        return len(self._index.catalogue.metadata.missing_rows())

    def _asked_for(self, options: SearchOptions) -> np.ndarray | None:
        """Return the sorted rows that a search may find but for the policy; None for every row."""
        if not options.filters:
            return self._alive if options.under is None else self._rows_under(options.under)
        rows = self._filtered(options.filters)
        if options.under is None:
            return rows
        rows = np.intersect1d(rows, self._rows_under(options.under), assume_unique=True)
        if not options.filters.ask_for_time:
            return rows
        # One copy may lie there and another one pass.
        return self._with_wanted(rows, np.intersect1d(rows, self._copies, assume_unique=True), options)

    def _with_wanted(self, rows: np.ndarray, copies: np.ndarray, options: SearchOptions) -> np.ndarray:
        """Return sorted rows with those of some copies of which a photo is asked for, and without the others."""
        if not len(copies):
            return rows
        wanted = wanted_photos(self._index.catalogue, copies.tolist(), options)
        kept = np.array([row for row, photos in wanted.items() if photos], np.int64)
        return np.union1d(np.setdiff1d(rows, copies, assume_unique=True), kept)

    @cached_property
    def _copies(self) -> np.ndarray:
        """Sorted rows of exact copies that may differ in their time, because it is that of the file."""
        catalogue = self._index.catalogue
        known = catalogue.metadata.of_rows(catalogue.rows_of_duplicates())
        rows = [row for row, one in known.items() if one.taken_from == "file" and row < self._total_rows]
        return np.array(sorted(rows), np.int64)

    def _filtered(self, filters: Filters) -> np.ndarray:
        """Return the sorted rows that live and meet filters; the last answer is kept, as searches repeat it."""
        kept = self._last_filtered
        if kept is None or kept[0] != filters:
            table, folder = self._index.catalogue.metadata, self._index.folder
            if table.is_empty():
                raise PhotoseekError(
                    f"index {folder} was built by a version that did not read when, where and with what photos were "
                    f"taken; photoseek build PHOTOS -i {folder} reads it, without embedding them again"
                )
            rows = filters.rows(table)
            rows = rows[: np.searchsorted(rows, self._total_rows)]
            if self._alive is not None:
                is_alive = np.zeros(self._total_rows, bool)
                is_alive[self._alive] = True
                rows = rows[is_alive[rows]]
            if filters.ask_for_time:
                rows = self._with_wanted(rows, self._copies, SearchOptions(filters=filters))
            kept = self._last_filtered = filters, rows
        return kept[1]

    def _rows_under(self, under: str | Path) -> np.ndarray:
        """Return the sorted rows of the photos below a folder."""
        here, in_root = os.fsencode(absolute_path(under)), os.fsencode(under)
        catalogue = self._index.catalogue
        rows = catalogue.rows_under(here) or catalogue.rows_under(in_root)
        if not rows:
            raise PhotoseekError(f"no photos of index {self._index.folder} lie under {str(under)!r}")
        return np.array(rows, np.int64)

    def _without_held_back(self, rows: np.ndarray | None) -> np.ndarray | None:
        if self._moderation is None or not len(self._moderation.held_back_rows):
            return rows
        if rows is None or rows is self._alive:
            return self._shown
        return rows[self._is_shown[rows]]

    @cached_property
    def _shown(self) -> np.ndarray:
        """Sorted rows that are neither deleted nor held back by the policy."""
        shown = np.flatnonzero(self._is_shown)
        return shown if self._alive is None else np.intersect1d(shown, self._alive, assume_unique=True)

    @cached_property
    def _is_shown(self) -> np.ndarray:
        """Whether the policy lets each row be shown, (rows,) bool."""
        is_shown = np.ones(self._total_rows, bool)
        if self._moderation is not None:
            is_shown[self._moderation.held_back_rows] = False
        return is_shown
