"""Write search results to files: CSV, JSON Lines, Parquet and TREC runs."""

import csv
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO

from indexer.errors import PhotoseekError
from indexer.photos.metadata.record import PhotoMetadata
from indexer.storage.atomic_files import atomic_write
from search.results import FORMAT, SearchResult

METADATA = tuple(field.name for field in fields(PhotoMetadata))
# Columns of CSV and Parquet files.
COLUMNS = (
    "query_id",
    "query",
    "rank",
    "path",
    "relevance",
    "score",
    "good_match",
    "error",
    *METADATA,
    "stack_size",
    "stack",
)
# Columns of Parquet files alone.
PATH_BYTES, STACK_BYTES = "path_bytes", "stack_bytes"
# The first of them, by which a file of any version is told.
FIRST_COLUMNS = COLUMNS[:4]
# Letters of a first line that are looked at.
FIRST_LINE = 4096
_RUN_LINE = re.compile(r"\S+ Q0 \S+ \d+ \S+ \S+$")


def write_results(results: Iterable[SearchResult], path: Path) -> None:
    """Write the results of a batch in the format that the file's suffix names.

    The file appears under its name only when it is complete; until then an older file of that name stays.

    Args:
        results: The results, in the order in which they are written.
        path: The file. Its suffix is one of `RESULT_SUFFIXES`.

    Raises:
        PhotoseekError: The suffix is another one, or the file cannot be written.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise PhotoseekError(f"results file {path}: the ending must be one of {', '.join(RESULT_SUFFIXES)}")
    try:
        with atomic_write(path) as scratch:
            writer(results, scratch)
    except OSError as error:
        raise PhotoseekError(f"results file {path}: {error.strerror}") from None


def write_to(results: Iterable[SearchResult], file: TextIO) -> None:
    """Write the results of a batch as JSON Lines to an open file.

    Args:
        results: The results, in the order in which they are written.
        file: The file, open for text.
    """
    for result in results:
        file.write(json.dumps(result.as_dict()) + "\n")


def is_results(path: Path) -> bool:
    """Return whether a file holds results that `write_results` wrote, by its beginning.

    Args:
        path: The file.
    """
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow
            import pyarrow.parquet

            try:
                names = pyarrow.parquet.read_schema(path).names
            except pyarrow.ArrowException:
                return False
            return tuple(names[: len(FIRST_COLUMNS)]) == FIRST_COLUMNS
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            first = file.readline(FIRST_LINE)
    except OSError:
        return False
    match path.suffix.lower():
        case ".csv":
            return first.startswith(",".join(FIRST_COLUMNS))
        case ".jsonl":
            return first.startswith(f'{{"format": {FORMAT}, "id": ')
        case ".trec":
            return _RUN_LINE.match(first) is not None
    return False


def result_suffixes() -> tuple[str, ...]:
    """Return the endings that a results file may have."""
    return RESULT_SUFFIXES


# How a text begins that a spreadsheet takes for a formula; a negative number is none.
FORMULA = re.compile(r"[=+@\t\r]|-(?![\d.]+$)")


def _records(results: Iterable[SearchResult]) -> Iterator[dict[str, Any]]:
    """Yield one record per hit, with the keys `COLUMNS`; a query without hits gets one record with empty places."""
    for result in results:
        error = result.error or result.blocked
        for hit in result.hits or (None,):
            found = (None,) * 4 if hit is None else (hit.rank, hit.path, hit.relevance, hit.score)
            known = [None if hit is None else getattr(hit.metadata, name) for name in METADATA]
            stack = (None, None) if hit is None else (hit.stack_size, list(hit.stack))
            values = (result.id, result.text, *found, result.good_match, error, *known, *stack)
            yield dict(zip(COLUMNS, values, strict=True))


def _write_csv(results: Iterable[SearchResult], path: Path) -> None:
    """Write one line per record: relevance and score to four decimals, times in ISO format, stacks as JSON lists."""
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for record in _records(results):
            for name in ("relevance", "score"):
                record[name] = "" if record[name] is None else f"{record[name]:.4f}"
            if record["taken"] is not None:
                record["taken"] = record["taken"].isoformat()
            record["stack"] = "" if record["stack"] is None else json.dumps(record["stack"], ensure_ascii=False)
            writer.writerow({name: _no_formula(value) for name, value in record.items()})


def _no_formula(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would run as a formula (OWASP, "CSV Injection")."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def _write_jsonl(results: Iterable[SearchResult], path: Path) -> None:
    """Write one JSON object per result."""
    with open(path, "w", encoding="utf-8") as file:
        write_to(results, file)


def _write_parquet(results: Iterable[SearchResult], path: Path) -> None:
    """Write one row per record.

    Text in Parquet is UTF-8 by definition, so other bytes are escaped there; `path_bytes` and `stack_bytes` have the
    very bytes of paths.
    A column has one time zone or none, so times are what the clock showed where the photo was taken, without offset.
    """
    import pyarrow
    import pyarrow.parquet

    text, number = pyarrow.string(), pyarrow.float32()
    degrees = pyarrow.float64()
    types = [text, text, pyarrow.int32(), text, number, number, pyarrow.bool_(), text]
    types += [pyarrow.timestamp("us"), text, text, text, degrees, degrees, pyarrow.int8(), text]
    types += [pyarrow.int32(), pyarrow.list_(text)]
    schema = list(zip(COLUMNS, types, strict=True))
    schema += [(PATH_BYTES, pyarrow.binary()), (STACK_BYTES, pyarrow.list_(pyarrow.binary()))]
    records = list(_records(results))
    for record in records:
        record[PATH_BYTES] = None if record["path"] is None else os.fsencode(record["path"])
        record[STACK_BYTES] = None if record["stack"] is None else [os.fsencode(path) for path in record["stack"]]
        record["stack"] = None if record["stack"] is None else [_as_utf8(path) for path in record["stack"]]
        for name in ("query_id", "query", "path", "error"):
            record[name] = record[name] and _as_utf8(record[name])
        if record["taken"] is not None:
            record["taken"] = record["taken"].replace(tzinfo=None)
    with open(path, "wb") as file:
        table = pyarrow.Table.from_pylist(records, schema=pyarrow.schema(schema))
        pyarrow.parquet.write_table(table, file)


def _as_utf8(text: str) -> str:
    """Escape what is not UTF-8, which text in Parquet is by definition."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


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
