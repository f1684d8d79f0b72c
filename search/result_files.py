"""Write search results to files: CSV, JSON Lines, Parquet and TREC runs."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from indexer.errors import PhotoseekError
from indexer.printable import printable
from indexer.storage.atomic_files import atomic_write
from search.results import SearchResult

# Columns of CSV and Parquet files.
COLUMNS = ("query_id", "query", "rank", "path", "relevance", "score", "good_match", "error")


def write_results(results: Iterable[SearchResult], path: Path) -> None:
    """Write the results of a batch in the format that the file's suffix names.

    The file appears under its name only when it is complete; until then an older file of that name stays.

    Args:
        results: The results, in the order in which they are written.
        path: The file. Its suffix is one of `RESULT_SUFFIXES`.

    Raises:
        PhotoseekError: The suffix is another one, or the file cannot be written.
    """
    writer = _WRITERS.get(path.suffix)
    if writer is None:
        raise PhotoseekError(f"results file {path}: the ending must be one of {', '.join(RESULT_SUFFIXES)}")
    try:
        with atomic_write(path) as scratch:
            writer(results, scratch)
    except OSError as error:
        raise PhotoseekError(f"results file {path}: {error.strerror}") from None


def _records(results: Iterable[SearchResult]) -> Iterator[dict[str, Any]]:
    """Yield one record per hit, with the keys `COLUMNS`; a query without hits gets one record with empty places."""
    for result in results:
        error = result.error or result.blocked
        for hit in result.hits or (None,):
            found = (None,) * 4 if hit is None else (hit.rank, hit.path, hit.relevance, hit.score)
            yield dict(zip(COLUMNS, (result.id, result.text, *found, result.good_match, error), strict=True))


def _write_csv(results: Iterable[SearchResult], path: Path) -> None:
    """Write one line per record, with relevance and score rounded to four decimals."""
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for record in _records(results):
            for name in ("relevance", "score"):
                record[name] = "" if record[name] is None else f"{record[name]:.4f}"
            writer.writerow(record)


def _write_jsonl(results: Iterable[SearchResult], path: Path) -> None:
    """Write one JSON object per result."""
    with open(path, "w", encoding="utf-8") as file:
        for result in results:
            file.write(json.dumps(result.as_dict()) + "\n")


def _write_parquet(results: Iterable[SearchResult], path: Path) -> None:
    """Write one row per record. Text in Parquet is UTF-8 by definition, so other bytes are escaped."""
    import pyarrow
    import pyarrow.parquet

    text, number = pyarrow.string(), pyarrow.float32()
    types = (text, text, pyarrow.int32(), text, number, number, pyarrow.bool_(), text)
    records = list(_records(results))
    for record in records:
        record["path"] = None if record["path"] is None else printable(record["path"])
        for name in ("query_id", "query", "error"):
            value = record[name]
            record[name] = value and value.encode("utf-8", "backslashreplace").decode("utf-8")
    schema = pyarrow.schema(list(zip(COLUMNS, types, strict=True)))
    with open(path, "wb") as file:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records, schema=schema), file)


def _write_trec(results: Iterable[SearchResult], path: Path) -> None:
    """Write a TREC run: paths percent-encoded, white space in query ids as `_`."""
    from reranker.evaluation.trec import RunEntry, falling_scores, run_lines, trec_id

    def entries() -> Iterator[RunEntry]:
        for result in results:
            query = "_".join(result.id.split()) or "_"
            scores = falling_scores(hit.score for hit in result.hits)
            for hit, score in zip(result.hits, scores, strict=True):
                yield RunEntry(query, trec_id(hit.path), hit.rank, score)

    with open(path, "w", encoding="utf-8") as file:
        file.writelines(run_lines(entries()))


_WRITERS: dict[str, Callable[[Iterable[SearchResult], Path], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
    ".trec": _write_trec,
}
RESULT_SUFFIXES = tuple(_WRITERS)
