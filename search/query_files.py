"""Query files: .txt, .csv (comma, tab, semicolon or |), .jsonl and .parquet -> queries, checked row by row."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import PhotoseekError

QUERY_SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".parquet")
ID_COLUMNS = ("query_id", "id", "qid")
TEXT_COLUMNS = ("query_text", "query", "text", "caption")


@dataclass(frozen=True, slots=True)
class FileQuery:
    """A query of a file. `error` says what is wrong with its row; the text is empty then."""

    id: str
    text: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    """A row as its format gives it: where it begins, its id if it has one, its text, or what is wrong with it."""

    place: str
    id: str | None = None
    text: str = ""
    problem: str | None = None


def read_queries(path: Path, *, keep_going: bool = False, column: str | None = None) -> list[FileQuery]:
    """The queries of a file, in its order. Rows without an id of their own have their number, from 1, as `row-N` where
    another row has N for its id.

    `column` names the column of the texts (else `query_text`, `query`, `text` or `caption`). A row that cannot be
    read, has no text, or has an id that was there before is refused by line and column, or kept with its `error` if
    `keep_going`.
    """
    if path.suffix.lower() not in QUERY_SUFFIXES:
        raise PhotoseekError(f"query file {path}: the ending must be one of {', '.join(QUERY_SUFFIXES)}")
    queries: list[FileQuery] = []
    seen: set[str] = set()
    rows = list(_rows(path, column))
    given = {(row.id or "").strip() for row in rows}
    for number, row in enumerate(rows, 1):
        name = (row.id or "").strip() or _free(str(number), given)
        problem = row.problem
        if problem is None and not row.text.strip():
            problem = "the query is empty"
        elif problem is None and not _is_unicode(name + row.text):
            problem = "not UTF-8"
        elif problem is None and name in seen:
            problem = f"id {name!r} was there before"
        if problem is not None and not keep_going:
            raise PhotoseekError(f"{path} {row.place}: {problem} (--keep-going goes past it)")
        seen.add(name)
        error = None if problem is None else f"{path} {row.place}: {problem}"
        queries.append(FileQuery(name, "" if error else row.text.strip(), error))
    if not queries:
        raise PhotoseekError(f"query file {path} holds no queries")
    return queries


def _free(name: str, given: set[str]) -> str:
    while name in given:
        name = f"row-{name}"
    return name


def _rows(path: Path, column: str | None) -> Iterator[_Row]:
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            yield from _read_parquet(path, column)
            return
        # Bytes that are no UTF-8 stay in the text as lone surrogates, so that only their own row is refused.
        text = path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    except OSError as error:
        raise PhotoseekError(f"query file {path}: {error.strerror or error}") from None
    readers = {".txt": _read_lines, ".jsonl": _read_jsonl}
    # Only \n, \r\n and \r end a line here; str.splitlines would cut a text at rarer separators, too.
    yield from readers.get(suffix, _read_csv)(path, io.StringIO(text, newline=""), column)


def _read_lines(_path: Path, lines: io.StringIO, _column: str | None) -> Iterator[_Row]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _Row(f"line {number}", None, line)


def _read_csv(path: Path, lines: io.StringIO, column: str | None) -> Iterator[_Row]:
    header_line = lines.readline()
    if not _is_unicode(header_line):
        raise PhotoseekError(f"query file {path}: its header is not UTF-8; save it as UTF-8")
    delimiter = max("|\t;,", key=header_line.count)
    header = [name.strip() for name in next(csv.reader([header_line], delimiter=delimiter), [])]
    text_at, id_at = _column(f"query file {path}", header, column), _id_column(header)
    # Strict: a quote that is never closed would otherwise swallow the rest of the file into one query.
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


def _read_jsonl(path: Path, lines: io.StringIO, column: str | None) -> Iterator[_Row]:
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
    name = next((str(values[key]) for key in ID_COLUMNS if values.get(key) is not None), None)
    try:
        key = list(values)[_column("", list(values), column)]
    except PhotoseekError as error:
        return _Row(place, name, problem=str(error).removeprefix(": "))
    text = values[key]
    if not isinstance(text, str):
        return _Row(f"{place}, column {key!r}", name, problem="not a text")
    return _Row(f"{place}, column {key!r}", name, text)


def _read_parquet(path: Path, column: str | None) -> Iterator[_Row]:
    import pyarrow
    import pyarrow.parquet

    with open(path, "rb") as file:
        try:
            table = pyarrow.parquet.read_table(file)
        except pyarrow.ArrowException:
            raise PhotoseekError(f"query file {path}: not a Parquet file, or a damaged one") from None
    names = [str(name) for name in table.column_names]
    text_at, id_at = _column(f"query file {path}", names, column), _id_column(names)
    texts = table.column(text_at).to_pylist()
    ids = [None] * len(texts) if id_at is None else table.column(id_at).to_pylist()
    for number, (name, text) in enumerate(zip(ids, texts, strict=True), 1):
        place = f"row {number}, column {names[text_at]!r}"
        problem = None if isinstance(text, str) else "not a text"
        yield _Row(place, None if name is None else str(name), "" if problem else text, problem)


def _column(where: str, names: list[str], wanted: str | None) -> int:
    for name in (wanted,) if wanted else TEXT_COLUMNS:
        if name in names:
            return names.index(name)
    looked = repr(wanted) if wanted else " or ".join(map(repr, TEXT_COLUMNS))
    raise PhotoseekError(f"{where}: no column {looked}; it has {', '.join(map(repr, names)) or 'none'}")


def _id_column(names: list[str]) -> int | None:
    return next((names.index(name) for name in ID_COLUMNS if name in names), None)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
