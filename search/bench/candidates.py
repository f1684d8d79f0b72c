"""Measure the candidate stage: recall against exact search, under filters and over settings, and its latency."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from indexer.views.ann_search import SearchParameters
from indexer.views.view import View
from search.bench.ann_parameters import parameter_grid, with_parameters
from search.bench.date_filters import FEWEST_KEPT, FILTER_SHARES, date_filters, folder_filters
from search.bench.exact_search import best_rows, recall, view_blocks
from search.bench.timing import RECALL_AT, Latency, MeasuredSearch, latency_of, time_searches
from search.searcher import Searcher

# Queries measured per kind at most, which bounds the time.
MOST_QUERIES = 500
# One-word queries measured at least.
WORDS = 100
# Photos whose folders are tried as a filter.
FOLDER_SAMPLES = 16


@dataclass(frozen=True, slots=True)
class KindFigures:
    """Recall and latency of one kind of query, captions or words."""

    queries: int
    search: MeasuredSearch

    def as_dict(self) -> dict[str, float]:
        """Return the JSON form."""
        return {"queries": self.queries, **self.search.as_dict()}


@dataclass(frozen=True, slots=True)
class FilterFigures:
    """Recall and latency of searches among the photos that a filter keeps, and how long it takes to choose these."""

    photos: int
    search: MeasuredSearch
    choose_ms: float | None = None

    def as_dict(self) -> dict[str, float]:
        """Return the JSON form; without the time of the choice, if that was not measured."""
        chosen = {} if self.choose_ms is None else {"choose_ms": self.choose_ms}
        return {"photos": self.photos, **self.search.as_dict(), **chosen}


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Recall and latency under one setting of the candidate structure.

    Attributes:
        parameters: The setting, the same for every kind of query.
        kinds: Recall and latency by kind of query.
        latency: The latency of all queries together.
    """

    parameters: SearchParameters
    kinds: dict[str, MeasuredSearch]
    latency: Latency

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        kinds = {kind: search.as_dict() for kind, search in self.kinds.items()}
        setting = {"probes": self.parameters.nprobe, "depth": self.parameters.refine_k}
        return {**setting, **kinds, **self.latency.as_dict()}


@dataclass(frozen=True, slots=True)
class CandidateFigures:
    """All figures of the candidate stage.

    Attributes:
        recall: Mean recall over all queries, 0 to 1.
        kinds: Figures by kind of query, `captions` and `words`.
        filters: Figures by filter, for example `1%`, `folder` or `date 10%`.
        curve: Figures under other settings; empty if the structure has none, as it is exact.
    """

    recall: float
    kinds: dict[str, KindFigures]
    filters: dict[str, FilterFigures]
    curve: tuple[CurvePoint, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form: `candidates`, `filters` (those by date and by folder in objects) and `curve`."""
        kinds = {kind: figures.as_dict() for kind, figures in self.kinds.items()}
        filters: dict[str, Any] = {}
        for name, figures in self.filters.items():
            group, _, share = name.partition(" ")
            (filters.setdefault(group, {}) if share else filters)[share or name] = figures.as_dict()
        return {
            "candidates": {f"recall@{RECALL_AT}": self.recall, **kinds},
            "filters": filters,
            "curve": [point.as_dict() for point in self.curve],
        }


def queries_by_kind(searcher: Searcher, texts: Sequence[str]) -> dict[str, list[str]]:
    """Divide texts into captions and one-word queries, whose vectors are distributed differently.

    Args:
        searcher: Its ranker's lexicon fills up the words if there are fewer than `WORDS`.
        texts: The texts; each is taken once.

    Returns:
        `captions` and `words`, each at most `MOST_QUERIES` evenly spread texts; a kind without texts is left out.
    """
    words = list(dict.fromkeys(text for text in texts if len(text.split()) == 1))
    captions = list(dict.fromkeys(text for text in texts if len(text.split()) > 1))
    if len(words) < WORDS:
        known = searcher.ranker.joint_space.lexical.words
        places = np.linspace(0, len(known) - 1, min(len(known), WORDS - len(words))).astype(int)
        words = list(dict.fromkeys([*words, *(known[i] for i in places)]))
    return {kind: _spread(some) for kind, some in (("captions", captions), ("words", words)) if some}


def measure_candidates(
    searcher: Searcher, texts: Sequence[str], on_progress: Callable[[int, int], None]
) -> CandidateFigures:
    """Measure the candidate stage of a searcher, one query at a time.

    Args:
        searcher: The searcher.
        texts: Query texts; `queries_by_kind` divides and completes them.
        on_progress: Called with (done, total) rows of the exact search.

    Returns:
        The figures.
    """
    view = searcher.view
    by_kind = queries_by_kind(searcher, texts)
    mapped = {kind: searcher.encode_queries(some).candidate for kind, some in by_kind.items()}
    queries = _Queries(mapped, np.concatenate(list(mapped.values())))
    chosen = date_filters(searcher) | folder_filters(searcher)
    kept = sample_filters(searcher) | {name: choice.rows for name, choice in chosen.items()}
    exact = _exact_rows(view, queries.all, kept, on_progress)
    kinds = _measure_kinds(view, queries, exact[ALL])
    total = sum(figures.queries * figures.search.recall for figures in kinds.values()) / len(queries.all)
    return CandidateFigures(
        round(total, 5),
        kinds,
        _measure_filters(view, queries.all, kept, exact, {name: choice.choose_ms for name, choice in chosen.items()}),
        tuple(_measure_setting(view, queries, exact[ALL], setting) for setting in parameter_grid(view)),
    )


def sample_filters(searcher: Searcher, seed: int = 0) -> dict[str, np.ndarray]:
    """Draw filters: random shares of the photos, and one folder.

    Args:
        searcher: The searcher.
        seed: The seed of the random draws.

    Returns:
        Sorted rows, (n,) int64, by name: those of `FILTER_SHARES`, and `folder`, the largest of some random photos'
        folders that holds at most half of the index. A filter that keeps too few photos is left out.
    """
    total = searcher.view.total_rows
    generator = np.random.default_rng(seed)
    kept = {
        name: np.sort(generator.choice(total, int(share * total), replace=False))
        for name, share in FILTER_SHARES.items()
        if share * total >= FEWEST_KEPT
    }
    catalogue = searcher.index.catalogue
    some = generator.choice(total, min(total, FOLDER_SAMPLES), replace=False).tolist()
    photos = [photo for found in catalogue.photos_of_rows(some).values() for photo in found]
    folders = {os.path.dirname(os.path.join(photo.root, photo.path)) for photo in photos}
    rows = [np.array(catalogue.rows_under(folder), np.int64) for folder in sorted(folders)]
    rows = [part[part < total] for part in rows]
    rows = [part for part in rows if FEWEST_KEPT <= len(part) <= total // 2]
    if rows:
        kept["folder"] = max(rows, key=len)
    return kept


# The key of `_exact_rows` without a filter.
ALL = "all"


@dataclass(frozen=True, slots=True)
class _Queries:
    """Mapped queries, (b, k + 1) float32: by kind, and all of them, kind after kind."""

    kinds: dict[str, np.ndarray]
    all: np.ndarray

    def slices(self) -> Iterator[tuple[str, slice]]:
        """Yield each kind with its place among all queries."""
        start = 0
        for kind, some in self.kinds.items():
            yield kind, slice(start, start + len(some))
            start += len(some)


def _exact_rows(
    view: View, queries: np.ndarray, filters: Mapping[str, np.ndarray], on_progress: Callable[[int, int], None]
) -> dict[str, np.ndarray]:
    """Return the exact nearest rows of queries, (b, c) int64, among `ALL` photos and under each filter."""

    def blocks() -> Iterator[np.ndarray]:
        done = 0
        for block in view_blocks(view):
            yield block
            done += len(block)
            on_progress(done, view.total_rows)

    found = best_rows(blocks(), queries, RECALL_AT, [None, *filters.values()])
    return dict(zip((ALL, *filters), (rows for rows, _ in found), strict=True))


def _measure_kinds(view: View, queries: _Queries, exact: np.ndarray) -> dict[str, KindFigures]:
    """Measure the searches of each kind of query as they are in use. exact: (b, c) rows of all queries."""
    figures = {}
    for kind, own in queries.slices():
        rows, seconds = time_searches(view, queries.kinds[kind])
        figures[kind] = KindFigures(len(rows), _measured(rows, exact[own], seconds))
    return figures


def _measure_filters(
    view: View,
    queries: np.ndarray,
    filters: Mapping[str, np.ndarray],
    exact: Mapping[str, np.ndarray],
    choose_ms: Mapping[str, float],
) -> dict[str, FilterFigures]:
    """Measure all queries under each filter. exact: (b, c) rows by filter; choose_ms: what is known of the choice."""
    figures = {}
    for name, allowed in filters.items():
        rows, seconds = time_searches(view, queries, allowed)
        figures[name] = FilterFigures(len(allowed), _measured(rows, exact[name], seconds), choose_ms.get(name))
    return figures


def _measure_setting(view: View, queries: _Queries, exact: np.ndarray, setting: SearchParameters) -> CurvePoint:
    """Measure all queries under one setting of the candidate structure. exact: (b, c) rows of all queries."""
    rows, seconds = time_searches(with_parameters(view, setting), queries.all)
    kinds = {kind: _measured(rows[own], exact[own], seconds[own]) for kind, own in queries.slices()}
    return CurvePoint(setting, kinds, latency_of(seconds))


def _measured(rows: Sequence[np.ndarray], exact: np.ndarray, seconds: Sequence[float]) -> MeasuredSearch:
    """Return recall and latency of searches that found `rows`; exact: (b, c) rows."""
    return MeasuredSearch(round(recall(rows, exact), 5), latency_of(seconds))


def _spread(texts: Sequence[str]) -> list[str]:
    """Return at most `MOST_QUERIES` of the texts, evenly spread."""
    places = np.linspace(0, len(texts) - 1, min(len(texts), MOST_QUERIES)).astype(int)
    return [texts[i] for i in places]
