"""What the candidate stage finds of what is there: recall against exact search, under filters, and what it costs."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from indexer.views.view import View
from search.bench.ann_parameters import parameter_grid, with_parameters
from search.bench.exact_search import best_rows, recall, view_blocks
from search.searcher import Searcher

RECALL_AT = 100
MOST_QUERIES = 500
WORDS = 100
SHARES = {"10%": 0.1, "1%": 0.01, "0.1%": 0.001}
FEWEST_KEPT = 5


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Of times in seconds: milliseconds."""
    p50, p95, p99 = np.percentile(np.array(seconds) * 1e3, [50, 95, 99])
    return {"p50_ms": round(float(p50), 3), "p95_ms": round(float(p95), 3), "p99_ms": round(float(p99), 3)}


def kinds_of(searcher: Searcher, texts: Sequence[str]) -> dict[str, list[str]]:
    """Captions and one-word queries: they are not distributed alike. Few words are joined by the ranker's own."""
    words = list(dict.fromkeys(text for text in texts if len(text.split()) == 1))
    captions = list(dict.fromkeys(text for text in texts if len(text.split()) > 1))
    if len(words) < WORDS:
        known = searcher.ranker.joint_space.lexical.words
        places = np.linspace(0, len(known) - 1, min(len(known), WORDS - len(words))).astype(int)
        words = list(dict.fromkeys([*words, *(known[i] for i in places)]))
    return {kind: _spread(some) for kind, some in (("captions", captions), ("words", words)) if some}


def measure_candidates(
    searcher: Searcher, texts: Sequence[str], on_block: Callable[[int, int], None]
) -> dict[str, Any]:
    """`candidates`, `filters` and `curve` of the report; queries one at a time, recall against exact search."""
    view = searcher.view
    queries = {kind: searcher.encode_queries(some).candidate for kind, some in kinds_of(searcher, texts).items()}
    every = np.concatenate(list(queries.values()))
    kept = filters(searcher)

    def blocks() -> Any:
        done = 0
        for block in view_blocks(view):
            yield block
            done += len(block)
            on_block(done, view.total_rows)

    exact = best_rows(blocks(), every, RECALL_AT, [None, *kept.values()])
    truth = dict(zip(("all", *kept), (rows for rows, _ in exact), strict=True))
    found: dict[str, Any] = {}
    start = 0
    for kind, some in queries.items():
        rows, times = ask(view, some)
        part = truth["all"][start : start + len(some)]
        found[kind] = {"queries": len(some), f"recall@{RECALL_AT}": round(recall(rows, part), 5), **percentiles(times)}
        start += len(some)
    total = sum(part["queries"] * part[f"recall@{RECALL_AT}"] for part in found.values()) / len(every)
    filtered = {}
    for name, allowed in kept.items():
        rows, times = ask(view, every, allowed)
        value = round(recall(rows, truth[name]), 5)
        filtered[name] = {"photos": len(allowed), f"recall@{RECALL_AT}": value, **percentiles(times)}
    curve = []
    for setting in parameter_grid(view):
        with with_parameters(view, setting):
            rows, times = ask(view, every)
        start = 0
        point: dict[str, Any] = {**setting}
        for kind, some in queries.items():
            own = slice(start, start + len(some))
            found_of_kind = round(recall(rows[own], truth["all"][own]), 5)
            point[kind] = {f"recall@{RECALL_AT}": found_of_kind, **percentiles(times[own])}
            start += len(some)
        curve.append({**point, **percentiles(times)})
    return {
        "candidates": {f"recall@{RECALL_AT}": round(total, 5), **found},
        "filters": filtered,
        "curve": curve,
    }


def ask(view: View, queries: np.ndarray, allowed: np.ndarray | None = None) -> tuple[list[np.ndarray], list[float]]:
    """Candidate rows of every query, asked one at a time, and the seconds each took.

    Each is asked once before, untimed: what it reads is in memory then, as it is where a process has run for long.
    """
    found, times = [], []
    for i in range(len(queries)):
        view.search(queries[i : i + 1], RECALL_AT, allowed)
    for i in range(len(queries)):
        begin = time.perf_counter()
        rows, _ = view.search(queries[i : i + 1], RECALL_AT, allowed)
        times.append(time.perf_counter() - begin)
        found.append(rows[0])
    return found, times


def filters(searcher: Searcher, seed: int = 0) -> dict[str, np.ndarray]:
    """Sorted rows that filters keep: random shares, and one folder (of some, the largest under half of the index)."""
    total = searcher.view.total_rows
    generator = np.random.default_rng(seed)
    kept = {
        name: np.sort(generator.choice(total, int(share * total), replace=False))
        for name, share in SHARES.items()
        if share * total >= FEWEST_KEPT
    }
    catalogue = searcher.index.catalogue
    some = generator.choice(total, min(total, 16), replace=False).tolist()
    photos = [photo for found in catalogue.photos_of_rows(some).values() for photo in found]
    folders = {os.path.dirname(os.path.join(photo.root, photo.path)) for photo in photos}
    rows = [np.array(catalogue.rows_under(folder), np.int64) for folder in sorted(folders)]
    rows = [part[part < total] for part in rows]
    rows = [part for part in rows if FEWEST_KEPT <= len(part) <= total // 2]
    if rows:
        kept["folder"] = max(rows, key=len)
    return kept


def _spread(texts: Sequence[str]) -> list[str]:
    places = np.linspace(0, len(texts) - 1, min(len(texts), MOST_QUERIES)).astype(int)
    return [texts[i] for i in places]
