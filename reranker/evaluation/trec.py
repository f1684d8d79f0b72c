"""Write rankings and judgments as TREC run and qrels files, for trec_eval, ir_measures and other evaluation tools.

A run file has lines of `query Q0 document rank score tag`, a judgment file (qrels) lines of `query 0 document
relevance`. Blanks separate the fields, so ids are percent-encoded: letters, digits and `_.-~/` stay, and two different
ids never become the same one.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from indexer.errors import PhotoseekError
from indexer.storage.atomic_files import atomic_write

# Photos per query in a run file: recall is drawn up to here. All of 1,000 photos for 5,000 captions would be 480 MB.
DEPTH = 100


def rank_order(scores: np.ndarray, photo_ids: Sequence[str]) -> np.ndarray:
    """Sort the photos of every query as trec_eval does.

    trec_eval compares scores as float32, from high to low, and sorts equal scores by photo id from the last to the
    first, code point by code point. So which photo is relevant has no influence on how ties are broken;
    `metrics.recall.ranks_of_own`, in contrast, counts every tie against the relevant photo.

    Args:
        scores: (queries, photos) float, higher is better.
        photo_ids: The id of each column, all different.

    Returns:
        (queries, photos) int64, the columns of `scores` from the first rank to the last.

    Raises:
        ValueError: Ids repeat, or there are not as many ids as columns.
    """
    if len(photo_ids) != scores.shape[1] or len(set(photo_ids)) != len(photo_ids):
        raise ValueError(f"{len(set(photo_ids))} distinct photo ids for {scores.shape[1]} columns of scores")
    by_id = np.array(sorted(range(len(photo_ids)), key=lambda place: photo_ids[place], reverse=True), np.int64)
    # Adding 0 turns -0 into 0, which the sort then treats as equal.
    order = np.argsort(-(scores.astype(np.float32)[:, by_id] + np.float32(0)), axis=1, kind="stable")
    return by_id[order]


def trec_id(name: str) -> str:
    """Percent-encode an id for a TREC file.

    Args:
        name: A photo name or a query id; bytes that are not UTF-8 may be in it as lone surrogates.

    Returns:
        ASCII text without blanks, `_` for the empty name.
    """
    return quote(os.fsencode(name)) or "_"


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One line of a run: the ids as they stand in the file, the rank from 1, and the score."""

    query: str
    document: str
    rank: int
    score: float


def run_lines(entries: Iterable[RunEntry], tag: str = "photoseek") -> Iterator[str]:
    """Format the lines of a run.

    Args:
        entries: The entries, in the order of the lines.
        tag: The name of the run, in its last column.

    Yields:
        One line per entry, with its newline. Scores have all digits of a float32.
    """
    for entry in entries:
        yield f"{entry.query} Q0 {entry.document} {entry.rank} {entry.score:.9g} {tag}\n"


def falling_scores(scores: Iterable[float]) -> Iterator[float]:
    """Lower scores so that each is less than the one before it, as a float32.

    trec_eval sorts by score alone and breaks ties by document id, so a ranking with ties would come back in another
    order.

    Args:
        scores: The scores of one query in the order of rank.

    Yields:
        Each score as a float32; one that does not fall is the next float32 below the one before it.
    """
    before = np.float32(np.inf)
    for score in scores:
        before = min(np.float32(score), np.nextafter(before, np.float32(-np.inf)))
        yield float(before)


def write_run(
    path: str | Path,
    scores: np.ndarray,
    query_ids: Sequence[str],
    photo_ids: Sequence[str],
    *,
    depth: int = DEPTH,
    tag: str = "photoseek",
) -> None:
    """Write a run file: the first photos of every query with rank and score.

    Photos come in the order of `rank_order` over the encoded ids. trec_eval finds the same order again, because it
    reads scores as float32 and they are written with all digits of a float32.

    Args:
        path: The file; one that is there is replaced only when the new one is complete.
        scores: (queries, photos) float, higher is better; -inf leaves a photo out.
        query_ids: The id of each row, all different.
        photo_ids: The id of each column, all different.
        depth: At most this many photos per query.
        tag: Name of the ranking, the last field of every line.

    Raises:
        ValueError: Ids repeat or do not fit the scores, or a score is NaN or +inf.
        PhotoseekError: The file cannot be written.
    """
    _check_query_ids(query_ids, scores.shape[0])
    if np.isnan(scores).any() or (scores == np.inf).any():
        raise ValueError("a run's scores must be numbers, or -inf for photos to leave out")
    photos = [trec_id(name) for name in photo_ids]
    order = rank_order(scores, photos)[:, :depth]
    values = np.take_along_axis(scores.astype(np.float32), order, axis=1)

    def entries() -> Iterator[RunEntry]:
        for query, columns, query_scores in zip(query_ids, order.tolist(), values, strict=True):
            name = trec_id(query)
            for rank, (column, score) in enumerate(zip(columns, query_scores, strict=True), 1):
                if score == -np.inf:
                    break
                yield RunEntry(name, photos[column], rank, score)

    _write_lines(Path(path), run_lines(entries(), tag))


def write_qrels(path: str | Path, judgments: Iterable[tuple[str, str, int]]) -> None:
    """Write a judgment file (qrels).

    Pairs that nobody judged are left out: evaluation tools take them as not relevant.

    Args:
        path: The file; one that is there is replaced only when the new one is complete.
        judgments: (query id, photo id, relevance) of each pair; relevance is a whole number, 0 means not relevant.

    Raises:
        ValueError: A pair has two judgments.
        PhotoseekError: The file cannot be written.
    """
    seen: set[tuple[str, str]] = set()

    def lines() -> Iterable[str]:
        for query, photo, relevance in judgments:
            if (query, photo) in seen:
                raise ValueError(f"query {query!r} has two judgments of photo {photo!r}")
            seen.add((query, photo))
            yield f"{trec_id(query)} 0 {trec_id(photo)} {int(relevance)}\n"

    _write_lines(Path(path), lines())


def _check_query_ids(query_ids: Sequence[str], rows: int) -> None:
    if len(query_ids) != rows or len(set(query_ids)) != rows:
        raise ValueError(f"{len(set(query_ids))} distinct query ids for {rows} rows of scores")


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write to a temporary file and rename it, so that nobody reads an incomplete file."""
    try:
        with atomic_write(path) as scratch, open(scratch, "w", encoding="ascii") as file:
            file.writelines(lines)
    except OSError as error:
        raise PhotoseekError(f"{path}: {error.strerror}") from None
