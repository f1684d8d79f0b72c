"""Read tables of judged data row by row (tab-separated lines, CSV with a header); bad rows are reported, not raised."""

import csv
import io
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from indexer.errors import PhotoseekError
from indexer.printable import printable

# Decoding with surrogateescape leaves these for bytes that are not UTF-8.
NOT_UTF8 = re.compile("[\udc80-\udcff]")

# The checks that a row can fail; `checks.CHECKS` has them with their severity.
RowCheck = Literal[
    "malformed rows",
    "unknown photos",
    "captions without text",
    "grades out of range",
    "inconsistent votes",
    "contradictory rows",
]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used.

    Attributes:
        check: The check that it fails.
        path: File of the row.
        line: Number of its line, from 1.
        reason: What is wrong with it.
    """

    check: RowCheck
    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return printable(f"{self.path} line {self.line}: {self.reason}")


@dataclass(frozen=True, slots=True)
class GoodRow:
    """A row that is used.

    Attributes:
        path: File of the row.
        line: Number of its line, from 1.
        key: What the row is about, such as a photo and a caption.
        content: Everything that it says about that.
    """

    path: Path
    line: int
    key: tuple[str, ...]
    content: tuple[str, ...]


OnBad = Callable[[BadRow], None]
OnGood = Callable[[GoodRow], None]


def refuse_row(row: BadRow) -> None:
    """Refuse a table for one row that cannot be used.

    Args:
        row: The row.

    Raises:
        PhotoseekError: Always; the message names the file and the line.
    """
    raise PhotoseekError(str(row))


@dataclass(frozen=True, slots=True)
class TableReader:
    """A table to be read row by row.

    The caller checks each row that `lines` or `rows` yields, and reports it with `good` or `bad`.

    Attributes:
        path: The file.
        on_bad: Called with every row that cannot be used.
        on_good: Called with every row that is used; by default nothing happens.
    """

    path: Path
    on_bad: OnBad
    on_good: OnGood = lambda _row: None

    def bad(self, line: int, check: RowCheck, reason: str) -> None:
        """Report a row that cannot be used."""
        self.on_bad(BadRow(check, self.path, line, reason))

    def good(self, line: int, key: tuple[str, ...], *content: str) -> None:
        """Report a row that is used."""
        self.on_good(GoodRow(self.path, line, key, content))

    def lines(self) -> Iterator[tuple[int, list[str]]]:
        """Read tab-separated lines.

        Yields:
            (line number, fields) of each line that is not blank; lines that are not UTF-8 are reported as bad.

        Raises:
            PhotoseekError: The file is UTF-16.
        """
        for number, line in enumerate(self._text().split("\n"), 1):
            if NOT_UTF8.search(line):
                self.bad(number, "malformed rows", "not UTF-8")
            elif line.strip():
                yield number, line.rstrip("\r").split("\t")

    def rows(
        self, delimiter: str, columns: tuple[str, ...], quotes: bool = True
    ) -> Iterator[tuple[int, dict[str, str]]]:
        """Read a CSV file with a header.

        Args:
            delimiter: The character between two fields.
            columns: Columns that have to be there.
            quotes: Whether a field in quotes may have delimiters and line ends in it; else a quote is a character.

        Yields:
            (line number, row by column) of each row; rows that are not UTF-8, have an open quote, or have a field too
            few or too many are reported as bad.

        Raises:
            PhotoseekError: The header lacks a column or is not UTF-8, or the file is no CSV.
        """
        lines = io.StringIO(self._text(), newline="").readlines()
        unquoted = csv.reader(iter(lines), delimiter=delimiter, quoting=csv.QUOTE_NONE)
        reader = csv.reader(iter(lines), delimiter=delimiter) if quotes else unquoted
        try:
            header = next(reader, [])
            self._check_header(header, columns)
            before = reader.line_num
            for fields in reader:
                first, before = before + 1, reader.line_num
                if first < before and sum(line.count('"') for line in lines[first - 1 : before]) % 2:
                    # The csv module reads the rest of the file as one field, without an error.
                    self.bad(first, "malformed rows", f"a quote that is not closed, up to line {before}")
                elif NOT_UTF8.search("".join(fields)):
                    self.bad(reader.line_num, "malformed rows", "not UTF-8")
                elif fields and len(fields) != len(header):
                    self.bad(reader.line_num, "malformed rows", f"{len(fields)} fields, the header has {len(header)}")
                elif fields:
                    yield reader.line_num, dict(zip(header, fields, strict=True))
        except csv.Error as error:
            raise PhotoseekError(f"{self.path} line {reader.line_num}: {error}") from None

    def _check_header(self, header: list[str], columns: tuple[str, ...]) -> None:
        if NOT_UTF8.search("".join(header)):
            raise PhotoseekError(f"{self.path}: its header is not UTF-8; save the file as UTF-8")
        missing = [column for column in columns if column not in header]
        if missing:
            found = ", ".join(map(repr, header)) or "no header"
            raise PhotoseekError(f"{self.path}: no column {missing[0]!r}; it has {found}")

    def _text(self) -> str:
        """Read the file's text; bytes that are not UTF-8 become lone surrogates, so that only their row is bad."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise PhotoseekError(f"{self.path}: {error.strerror or error}") from None
        if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            raise PhotoseekError(f"{self.path} is UTF-16; save the file as UTF-8")
        return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
