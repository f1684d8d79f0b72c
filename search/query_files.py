"""Read query files: .txt, .csv and .tsv (comma, tab, semicolon or |), .jsonl and .parquet, checked row by row."""

import csv
import io
import json
from codecs import BOM_UTF8
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
    """A row of a file: its line, its id and text as they stand there with their columns, or its problem."""

    place: str
    id: str | None = None
    text: str = ""
    problem: str | None = None
    column: str | None = None
    id_column: str | None = None


def read_queries(
    path: Path, *, keep_going: bool = False, column: str | None = None, data: bytes | None = None
) -> list[FileQuery]:
    """Read the queries of a file.

    A row is bad if it cannot be read, has no text, is not UTF-8, or has an id that an earlier row has.

    Args:
        path: The file; its suffix is one of `QUERY_SUFFIXES`.
        keep_going: Keep bad rows with their `error`.
        column: The column of the texts; else the first of `TEXT_COLUMNS` that the file has.
        data: What was read from standard input, instead of the file: JSON Lines if it begins with a brace, else one
            query per line. Messages then name it "standard input".

    Returns:
        The queries in the order of the file. A row without an id gets its number, from 1, as its id, or `row-N` if
        another row has the id N.

    Raises:
        PhotoseekError: The file cannot be read, has no column of texts or no queries, or has a bad row and
            `keep_going` is not set.
    """
    name = path if data is None else Path("standard input")
    if data is not None:
        is_json = data.removeprefix(BOM_UTF8).lstrip()[:1] == b"{"
        path = Path("standard input.jsonl" if is_json else "standard input.txt")
    if path.suffix.lower() not in QUERY_SUFFIXES:
        raise PhotoseekError(f"query file {path}: the ending must be one of {', '.join(QUERY_SUFFIXES)}")
    if column is not None and path.suffix.lower() == ".txt":
        raise PhotoseekError(f"query file {name}: a text file has no columns, so none can be named {column!r}")
    queries: list[FileQuery] = []
    seen: set[str] = set()
    rows = list(_read_rows(path, column, data))
    given = {(row.id or "").strip() for row in rows}
    for number, row in enumerate(rows, 1):
        query_id = (row.id or "").strip() or _unused_id(str(number), given)
        problem = _problem_of(row, query_id, seen)
        error = None if problem is None else f"{name} {row.place}{problem}"
        if error is not None and not keep_going:
            raise PhotoseekError(f"{error} (--keep-going goes past it)")
        seen.add(query_id)
        queries.append(FileQuery(query_id, "" if error else row.text.strip(), error))
    if not queries:
        raise PhotoseekError(f"query file {name} holds no queries")
    return queries


def _problem_of(row: _Row, query_id: str, seen: set[str]) -> str | None:
    """Return the column of a row and what is wrong with it; None if it is fine. seen: the ids of earlier rows."""
    of_text = "" if row.column is None else f", column {row.column!r}"
    of_id = "" if row.id_column is None else f", column {row.id_column!r}"
    if row.problem is not None:
        return f"{of_text}: {row.problem}"
    if not row.text.strip():
        return f"{of_text}: the query is empty"
    if not _is_unicode(row.text):
        return f"{of_text}: not UTF-8"
    if not _is_unicode(query_id):
        return f"{of_id}: not UTF-8"
    return f"{of_id}: id {query_id!r} was there before" if query_id in seen else None


def _unused_id(number: str, given: set[str]) -> str:
    """Return the number of a row, with as many `row-` before it as it takes to differ from the ids of other rows."""
    while number in given:
        number = f"row-{number}"
    return number


def _read_rows(path: Path, column: str | None, data: bytes | None) -> Iterator[_Row]:
    """Yield the rows of a file of any format."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            yield from _read_parquet(path, column)
            return
        # Bytes that are not UTF-8 become lone surrogates, so that only their own row is refused.
        read = path.read_bytes() if data is None else data
        text = read.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
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
            query_id = None if id_at is None else fields[id_at]
            id_column = None if id_at is None else header[id_at]
            yield _Row(line, query_id, fields[text_at], column=header[text_at], id_column=id_column)


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
    id_column = next((key for key in ID_COLUMNS if values.get(key) is not None), None)
    query_id = None if id_column is None else str(values[id_column])
    key = next((name for name in _text_names(column) if name in values), None)
    if key is None:
        return _Row(place, query_id, problem=_missing_column(list(values), column))
    text = values[key]
    if not isinstance(text, str):
        return _Row(place, query_id, problem="not a text", column=key)
    return _Row(place, query_id, text, column=key, id_column=id_column)


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
    id_column = None if id_at is None else names[id_at]
    ids = [None] * len(texts) if id_at is None else table.column(id_at).to_pylist()
    for number, (query_id, text) in enumerate(zip(ids, texts, strict=True), 1):
        problem = None if isinstance(text, str) else "not a text"
        given = None if query_id is None else str(query_id)
        yield _Row(f"row {number}", given, "" if problem else text, problem, names[text_at], id_column)


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
