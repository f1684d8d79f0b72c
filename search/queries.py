"""Query files: .txt, .csv (comma, tab, semicolon or |), .jsonl and .parquet -> queries, checked row by row."""

import csv
import json
from collections.abc import Callable, Iterator
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


def read_queries(path: Path, *, keep_going: bool = False, column: str | None = None) -> list[FileQuery]:
    """The queries of a file, in its order. Rows without an id of their own are numbered from 1.

    `column` names the column of the texts (else `query_text`, `query`, `text` or `caption`). A row without text, or
    with an id that was there before, is refused by row and column, or kept with its `error` if `keep_going`.
    """
    readers: dict[str, Callable[[Path, str | None], Iterator[tuple[int, str | None, str | None]]]] = {
        ".txt": _read_lines,
        ".csv": _read_csv,
        ".tsv": _read_csv,
        ".jsonl": _read_jsonl,
        ".parquet": _read_parquet,
    }
    if path.suffix.lower() not in readers:
        raise PhotoseekError(f"query file {path}: the ending must be one of {', '.join(QUERY_SUFFIXES)}")
    queries: list[FileQuery] = []
    seen: set[str] = set()
    try:
        for number, (row, name, text) in enumerate(readers[path.suffix.lower()](path, column), 1):
            name = str(number) if name is None or not name.strip() else name.strip()
            error = None
            if text is None or not text.strip():
                error = f"{path} row {row}: the query is empty"
            elif name in seen:
                error = f"{path} row {row}: id {name!r} was there before"
            if error is not None and not keep_going:
                raise PhotoseekError(f"{error} (--keep-going goes past it)")
            seen.add(name)
            queries.append(FileQuery(name, "" if error else (text or "").strip(), error))
    except OSError as error:
        raise PhotoseekError(f"query file {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise PhotoseekError(f"query file {path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    if not queries:
        raise PhotoseekError(f"query file {path} holds no queries")
    return queries


def _read_lines(path: Path, _column: str | None) -> Iterator[tuple[int, str | None, str | None]]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if line.strip():
            yield number, None, line


def _read_csv(path: Path, column: str | None) -> Iterator[tuple[int, str | None, str | None]]:
    text = path.read_text(encoding="utf-8-sig")
    header_line = text.split("\n", 1)[0]
    delimiter = max("|\t;,", key=header_line.count)
    rows = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    header = [name.strip() for name in next(rows, [])]
    text_at = _column(path, header, column)
    id_at = next((header.index(name) for name in ID_COLUMNS if name in header), None)
    for fields in rows:
        if not fields:
            continue
        if len(fields) != len(header):
            message = f"{path} row {rows.line_num}: {len(fields)} fields, the header has {len(header)}"
            raise PhotoseekError(message)
        yield rows.line_num, None if id_at is None else fields[id_at], fields[text_at]


def _read_jsonl(path: Path, column: str | None) -> Iterator[tuple[int, str | None, str | None]]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError as error:
            raise PhotoseekError(f"{path} row {number}: not JSON ({error})") from None
        if isinstance(values, str):
            yield number, None, values
            continue
        if not isinstance(values, dict):
            raise PhotoseekError(f"{path} row {number}: a row is an object or a string")
        names = list(values)
        text = values[names[_column(path, names, column, number)]]
        name = next((values[key] for key in ID_COLUMNS if key in values), None)
        yield number, None if name is None else str(name), text if isinstance(text, str) else None


def _read_parquet(path: Path, column: str | None) -> Iterator[tuple[int, str | None, str | None]]:
    import pandas

    try:
        frame = pandas.read_parquet(path)
    except (ValueError, ImportError) as error:
        raise PhotoseekError(f"query file {path}: {error}") from None
    names = [str(name) for name in frame.columns]
    texts = frame.iloc[:, _column(path, names, column)]
    id_at = next((names.index(name) for name in ID_COLUMNS if name in names), None)
    for number, text in enumerate(texts, 1):
        name = None if id_at is None else str(frame.iloc[number - 1, id_at])
        yield number, name, text if isinstance(text, str) else None


def _column(path: Path, names: list[str], wanted: str | None, row: int | None = None) -> int:
    where = f"{path}" if row is None else f"{path} row {row}"
    for name in (wanted,) if wanted else TEXT_COLUMNS:
        if name in names:
            return names.index(name)
    looked = repr(wanted) if wanted else " or ".join(map(repr, TEXT_COLUMNS))
    raise PhotoseekError(f"{where}: no column {looked}; it has {', '.join(map(repr, names)) or 'none'}")
