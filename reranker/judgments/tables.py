"""Tables of judged data, row by row: tab-separated lines and CSV with a header; a bad row is reported, not raised."""

import csv
import io
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import PhotoseekError
from indexer.printable import printable

# What decoding with surrogateescape leaves of such bytes.
NOT_UTF8 = re.compile("[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used: which check of `checks.CHECKS` it fails, where it is, and why."""

    check: str
    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return printable(f"{self.path} line {self.line}: {self.reason}")


@dataclass(frozen=True, slots=True)
class GoodRow:
    """A row that is used: where it is, what it is about (`key`: photo and caption, an id) and all that it says."""

    path: Path
    line: int
    key: tuple[str, ...]
    content: tuple[str, ...]


OnBad = Callable[[BadRow], None]
OnGood = Callable[[GoodRow], None]


def text_of(path: Path) -> str:
    """The file's text; bytes that are no UTF-8 stay in it as lone surrogates, so that only their own row is bad.

    Raises PhotoseekError for UTF-16, of which every row would be bad.
    """
    data = path.read_bytes()
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise PhotoseekError(f"{path} is UTF-16; save the file as UTF-8")
    return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def lines_of(path: Path, on_bad: OnBad) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields between tabs) of each line that is not blank."""
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if NOT_UTF8.search(line):
            on_bad(BadRow("malformed rows", path, number, "not UTF-8"))
        elif line.strip():
            yield number, line.rstrip("\r").split("\t")


def table_of(
    path: Path, delimiter: str, columns: tuple[str, ...], on_bad: OnBad
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row by column) of a CSV file with a header; rows that are not UTF-8 or have a field too few or
    too many are bad. PhotoseekError if the header lacks one of `columns` or the file is no CSV."""
    lines = io.StringIO(text_of(path), newline="").readlines()
    reader = csv.reader(iter(lines), delimiter=delimiter)
    try:
        header = next(reader, [])
        if NOT_UTF8.search("".join(header)):
            raise PhotoseekError(f"{path}: its header is not UTF-8; save the file as UTF-8")
        missing = [column for column in columns if column not in header]
        if missing:
            found = ", ".join(map(repr, header)) or "no header"
            raise PhotoseekError(f"{path}: no column {missing[0]!r}; it has {found}")
        before = reader.line_num
        for fields in reader:
            first, before = before + 1, reader.line_num
            if first < before and sum(line.count('"') for line in lines[first - 1 : before]) % 2:
                # The csv module takes all the rest of the file for one field, and says nothing.
                on_bad(BadRow("malformed rows", path, first, f"a quote that is not closed, up to line {before}"))
            elif NOT_UTF8.search("".join(fields)):
                on_bad(BadRow("malformed rows", path, reader.line_num, "not UTF-8"))
            elif fields and len(fields) != len(header):
                reason = f"{len(fields)} fields, the header has {len(header)}"
                on_bad(BadRow("malformed rows", path, reader.line_num, reason))
            elif fields:
                yield reader.line_num, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise PhotoseekError(f"{path} line {reader.line_num}: {error}") from None
