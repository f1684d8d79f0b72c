"""Runs and judgments in TREC's formats, for trec_eval, ir_measures and whoever else measures rankings.

A run has lines of `query Q0 document rank score tag`, judgments (qrels) lines of `query 0 document relevance`. Fields
are parted by blanks, so ids are percent-encoded: letters, digits and `_.-~/` stay, and two ids never become one.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np

from indexer.errors import PhotoseekError
from indexer.storage.atomic_files import whole_file
from reranker.evaluation.ranking_metrics import rank_order

DEPTH = 1000


def trec_id(name: str) -> str:
    """An id as it stands in a file: percent-encoded, bytes that are no UTF-8 too; never empty."""
    return quote(os.fsencode(name)) or "_"


def write_run(
    path: str | Path,
    scores: np.ndarray,
    query_ids: Sequence[str],
    photo_ids: Sequence[str],
    *,
    depth: int = DEPTH,
    tag: str = "photoseek",
) -> None:
    """The first `depth` photos of every query, in `ranking_metrics.rank_order`'s order of the ids as written, which is
    the one trec_eval finds again: it reads scores as float32, and they are written with all of float32's digits.

    scores: (queries, photos); query_ids: (queries,), photo_ids: (photos,), all distinct. A score of -inf leaves the
    photo out. Raises ValueError where ids repeat or do not fit the scores, or for NaN or +inf; PhotoseekError if the
    file cannot be written, and then the old one is still there.
    """
    _check_ids(query_ids, scores.shape[0])
    if np.isnan(scores).any() or (scores == np.inf).any():
        raise ValueError("a run's scores must be numbers, or -inf for photos to leave out")
    photos = [trec_id(name) for name in photo_ids]
    order = rank_order(scores, photos)[:, :depth]
    values = np.take_along_axis(scores.astype(np.float32), order, axis=1)

    def lines() -> Iterable[str]:
        for query, places, of_query in zip(query_ids, order.tolist(), values, strict=True):
            name = trec_id(query)
            for rank, (place, value) in enumerate(zip(places, of_query, strict=True), 1):
                if value == -np.inf:
                    break
                yield f"{name} Q0 {photos[place]} {rank} {value:.9g} {tag}\n"

    _write(Path(path), lines())


def write_qrels(path: str | Path, judged: Iterable[tuple[str, str, int]]) -> None:
    """Judgments as (query id, photo id, relevance) rows, in their order; relevance is a whole number, 0 is "not".

    Pairs that nobody judged are left out: what reads the file takes them as not relevant. Raises ValueError where a
    pair has two judgments; PhotoseekError if the file cannot be written, and then the old one is still there.
    """
    seen: set[tuple[str, str]] = set()

    def lines() -> Iterable[str]:
        for query, photo, relevance in judged:
            if (query, photo) in seen:
                raise ValueError(f"query {query!r} has two judgments of photo {photo!r}")
            seen.add((query, photo))
            yield f"{trec_id(query)} 0 {trec_id(photo)} {int(relevance)}\n"

    _write(Path(path), lines())


def _check_ids(query_ids: Sequence[str], rows: int) -> None:
    if len(query_ids) != rows or len(set(query_ids)) != rows:
        raise ValueError(f"{len(set(query_ids))} distinct query ids for {rows} rows of scores")


def _write(path: Path, lines: Iterable[str]) -> None:
    """Beside and renamed, so that nobody ever reads half a file."""
    try:
        with whole_file(path) as scratch, open(scratch, "w", encoding="ascii") as file:
            file.writelines(lines)
    except OSError as error:
        raise PhotoseekError(f"{path}: {error.strerror}") from None
