"""Read query files: .txt, .csv and .tsv (comma, tab, semicolon or |), .jsonl and .parquet, checked row by row."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import PhotoseekError

# Suffixes of query files.
QUERY_SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".parquet")
# Names of the columns of ids and of texts; the first one that a file has is used.
ID_COLUMNS = ("query_id", "id", "qid")
TEXT_COLUMNS = ("query_text", "query", "text", "caption")


@dataclass(frozen=True, slots=True)
class FileQuery:
    """A query of a file.

    Attributes:
        id: Its id, distinct within the file unless there is an error.
        text: Its text, without blanks around it; empty if there is an error.
        error: What is wrong with its row, with file and line.
    """

    id: str
    text: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a file: its line and column for messages, its id and text as they stand there, or its problem."""

    place: str
    id: str | None = None
    text: str = ""
    problem: str | None = None


def read_queries(path: Path, *, keep_going: bool = False, column: str | None = None) -> list[FileQuery]:
    """Read the queries of a file.

    A row is bad if it cannot be read, has no text, is not UTF-8, or has an id that an earlier row has.

    Args:
        path: The file; its suffix is one of `QUERY_SUFFIXES`.
        keep_going: Keep bad rows with their `error`.
        column: The column of the texts; else the first of `TEXT_COLUMNS` that the file has.

    Returns:
        The queries in the order of the file. A row without an id gets its number, from 1, as its id, or `row-N` if
        another row has the id N.

    Raises:
        PhotoseekError: The file cannot be read, has no column of texts or no queries, or has a bad row and
            `keep_going` is not set.
    """
    if path.suffix.lower() not in QUERY_SUFFIXES:
        raise PhotoseekError(f"query file {path}: the ending must be one of {', '.join(QUERY_SUFFIXES)}")
    queries: list[FileQuery] = []
    seen: set[str] = set()
    rows = list(_read_rows(path, column))
    given = {(row.id or "").strip() for row in rows}
    for number, row in enumerate(rows, 1):
        query_id = (row.id or "").strip() or _unused_id(str(number), given)
        problem = _problem_of(row, query_id, seen)
        if problem is not None and not keep_going:
            raise PhotoseekError(f"{path} {row.place}: {problem} (--keep-going goes past it)")
        seen.add(query_id)
        error = None if problem is None else f"{path} {row.place}: {problem}"
        queries.append(FileQuery(query_id, "" if error else row.text.strip(), error))
    if not queries:
        raise PhotoseekError(f"query file {path} holds no queries")
    return queries


def _problem_of(row: _Row, query_id: str, seen: set[str]) -> str | None:
    """Return what is wrong with a row; None if it is fine. seen: the ids of earlier rows."""
    if row.problem is not None:
        return row.problem
    if not row.text.strip():
        return "the query is empty"
    if not _is_unicode(query_id + row.text):
        return "not UTF-8"
    return f"id {query_id!r} was there before" if query_id in seen else None


def _unused_id(number: str, given: set[str]) -> str:
    """Return the number of a row, with as many `row-` before it as it takes to differ from the ids of other rows."""
    while number in given:
        number = f"row-{number}"
    return number


def _read_rows(path: Path, column: str | None) -> Iterator[_Row]:
    """Yield the rows of a file of any format."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            yield from _read_parquet(path, column)
            return
        # Bytes that are not UTF-8 become lone surrogates, so that only their own row is refused.
        text = path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    except OSError as error:
        raise PhotoseekError(f"query file {path}: {error.strerror or error}") from None
    readers = {".txt": _read_lines, ".jsonl": _read_jsonl}
    # Only \n, \r\n and \r end a line here; str.splitlines would also cut a text at rarer separators.
    yield from readers.get(suffix, _read_csv)(path, io.StringIO(text, newline=""), column)


def _read_lines(_path: Path, lines: io.StringIO, _column: str | None) -> Iterator[_Row]:
    """Yield one row per line that is not blank."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _Row(f"line {number}", None, line)


def _read_csv(path: Path, lines: io.StringIO, column: str | None) -> Iterator[_Row]:
    """Yield the rows of a table with a header; the delimiter is the one that the header has most often."""
    header_line = lines.readline()
    if not _is_unicode(header_line):
        raise PhotoseekError(f"query file {path}: its header is not UTF-8; save it as UTF-8")
    delimiter = max("|\t;,", key=header_line.count)
    header = [name.strip() for name in next(csv.reader([header_line], delimiter=delimiter), [])]
    text_at, id_at = _text_column(path, header, column), _id_column(header)
    # Strict, as a quote that is never closed would otherwise take the rest of the file into one query.
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = f"line {rows.line_num + 2}"
        try:
            fields = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield _Row(line, problem=f"cannot be read ({error})")
            continue
        if fields and len(fields) != len(header):
            yield _Row(line, problem=f"{len(fields)} fields, the header has {len(header)}")
        elif fields:
            place = f"{line}, column {header[text_at]!r}"
            yield _Row(place, None if id_at is None else fields[id_at], fields[text_at])


def _read_jsonl(_path: Path, lines: io.StringIO, column: str | None) -> Iterator[_Row]:
    """Yield one row per line of JSON, an object or a string."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            yield _Row(place, problem=f"not JSON ({error.msg} at character {error.pos + 1})")
            continue
        except (ValueError, RecursionError):
            yield _Row(place, problem="not JSON that can be read: a number too long, or nested too deeply")
            continue
        if isinstance(values, str):
            yield _Row(place, None, values)
        elif isinstance(values, dict):
            yield _json_row(place, values, column)
        else:
            yield _Row(place, problem="neither an object nor a string")


def _json_row(place: str, values: dict[str, object], column: str | None) -> _Row:
    """Return the row of a JSON object."""
    query_id = next((str(values[key]) for key in ID_COLUMNS if values.get(key) is not None), None)
    key = next((name for name in _text_names(column) if name in values), None)
    if key is None:
        return _Row(place, query_id, problem=_missing_column(list(values), column))
    text = values[key]
    if not isinstance(text, str):
        return _Row(f"{place}, column {key!r}", query_id, problem="not a text")
    return _Row(f"{place}, column {key!r}", query_id, text)


def _read_parquet(path: Path, column: str | None) -> Iterator[_Row]:
    """Yield the rows of a Parquet table."""
    import pyarrow
    import pyarrow.parquet

    with open(path, "rb") as file:
        try:
            table = pyarrow.parquet.read_table(file)
        except pyarrow.ArrowException:
            raise PhotoseekError(f"query file {path}: not a Parquet file, or a damaged one") from None
    names = [str(name) for name in table.column_names]
    text_at, id_at = _text_column(path, names, column), _id_column(names)
    texts = table.column(text_at).to_pylist()
    ids = [None] * len(texts) if id_at is None else table.column(id_at).to_pylist()
    for number, (query_id, text) in enumerate(zip(ids, texts, strict=True), 1):
        place = f"row {number}, column {names[text_at]!r}"
        problem = None if isinstance(text, str) else "not a text"
        yield _Row(place, None if query_id is None else str(query_id), "" if problem else text, problem)


def _text_column(path: Path, names: list[str], column: str | None) -> int:
    """Return the place of the column of texts. Raises PhotoseekError if there is none."""
    for name in _text_names(column):
        if name in names:
            return names.index(name)
    raise PhotoseekError(f"query file {path}: {_missing_column(names, column)}")


def _text_names(column: str | None) -> tuple[str, ...]:
    """Return the names that the column of texts may have."""
    return (column,) if column else TEXT_COLUMNS


def _missing_column(names: list[str], column: str | None) -> str:
    """Return what to say where no column has one of these names."""
    wanted = " or ".join(map(repr, _text_names(column)))
    return f"no column {wanted}; it has {', '.join(map(repr, names)) or 'none'}"


def _id_column(names: list[str]) -> int | None:
    """Return the place of the column of ids; None if there is none."""
    return next((names.index(name) for name in ID_COLUMNS if name in names), None)


def _is_unicode(text: str) -> bool:
    """Return whether a text can be written as UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
