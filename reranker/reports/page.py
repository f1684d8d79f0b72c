"""Write a report page: sections of blocks become one HTML file that needs no other file and no network.

The template, `template/page.html`, includes `page.css` and `page.js`. Blocks hold plain values; the template escapes
every text, and characters that no screen can show are written as escapes. Only charts are markup already.
"""

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from indexer.errors import PhotoseekError
from indexer.printable import printable
from indexer.storage.atomic_files import atomic_write
from reranker.metrics.bootstrap import Measured

# Rows of a long table that are printed on paper; the screen scrolls through all of them.
PRINTED_ROWS = 40
# By which a report is told from other pages, and the bytes of it in which that stands.
MARK, MARK_WITHIN = b'<meta name="generator" content="photoseek">', 1024


@dataclass(frozen=True, slots=True)
class Thumb:
    """A small photo.

    Attributes:
        source: A data: URI; empty where the photo is not shown.
        alt: The photo in words, for readers who cannot see it.
        width: Width on the page in CSS pixels.
        height: Height on the page in CSS pixels.
        note: Text below the photo.
        mark: `own` draws a frame around it, for the photo that a query was written for; else empty.
    """

    source: str
    alt: str
    width: int
    height: int
    note: str = ""
    mark: str = ""


# A measured value is shown with its interval: `0.385 [0.372, 0.399]`.
Cell = str | int | float | Measured | Thumb | None


@dataclass(frozen=True, slots=True)
class Text:
    """Paragraphs."""

    paragraphs: Sequence[str]
    kind: ClassVar[str] = "text"


@dataclass(frozen=True, slots=True)
class Points:
    """A bullet list of sentences."""

    items: Sequence[str]
    kind: ClassVar[str] = "points"


@dataclass(frozen=True, slots=True)
class Tiles:
    """A few numbers in large letters: (label, value, what it means) each."""

    items: Sequence[tuple[str, Cell, str]]
    kind: ClassVar[str] = "tiles"


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing as inline SVG, made by `reranker.reports.charts`, above its caption."""

    markup: str
    caption: str
    kind: ClassVar[str] = "chart"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, which a reader can sort by any column.

    Attributes:
        caption: Text above the table.
        columns: Heading of each column.
        rows: One cell per column in each row.
        digits: Decimals of a float; an int has none.
        long: Whether the table stands in a box that scrolls, with a field that filters its rows; on paper it ends
            after `PRINTED_ROWS`.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    digits: int = 3
    long: bool = False
    kind: ClassVar[str] = "table"


@dataclass(frozen=True, slots=True)
class Card:
    """One example: photos in a row, and beside them a title with lines below it."""

    title: str
    lines: Sequence[str]
    photos: Sequence[Thumb]


@dataclass(frozen=True, slots=True)
class Cards:
    """Examples under one heading, with a note below the heading."""

    title: str
    items: Sequence[Card]
    note: str = ""
    kind: ClassVar[str] = "cards"


Block = Text | Points | Tiles | Chart | Table | Cards


@dataclass(frozen=True, slots=True)
class Section:
    """A chapter of a report; the table of contents links to its `anchor`, which is made from the title."""

    title: str
    blocks: Sequence[Block]
    anchor: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "anchor", re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-"))


def render(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """Render a page.

    Args:
        title: Title of the page.
        facts: (name, value) lines below the title: what was measured, and with what.
        sections: The chapters.

    Returns:
        The HTML.

    Raises:
        ValueError: Two sections have the same title, so their links would lead to the same place.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    anchors = [section.anchor for section in sections]
    if len(set(anchors)) < len(anchors):
        raise ValueError(f"two sections have one title: {sorted(anchors)}")
    environment = Environment(
        loader=PackageLoader("reranker.reports", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "cell_text": cell_text,
        "sort_key": _sort_key,
        "printable": printable,
        "breakable": _breakable,
    }
    page = environment.get_template("page.html")
    return page.render(title=title, facts=facts, sections=sections, printed_rows=PRINTED_ROWS)


def write_report(path: Path, title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> int:
    """Render a page and write it; the old file is replaced only when the new one is complete.

    Args:
        path: The file.
        title: Title of the page.
        facts: (name, value) lines below the title: what was measured, and with what.
        sections: The chapters.

    Returns:
        Size of the file in bytes.

    Raises:
        PhotoseekError: The file cannot be written.
        ValueError: Two sections have the same title.
    """
    data = render(title, facts, sections).encode("utf-8")
    check_file(path)
    try:
        with atomic_write(path) as scratch:
            scratch.write_bytes(data)
    except OSError as error:
        raise PhotoseekError(f"report {path} cannot be written: {error.strerror}") from None
    return len(data)


def check_file(path: Path) -> None:
    """Check that a report can be written to a path; callers check before they work for minutes.

    Args:
        path: The file.

    Raises:
        PhotoseekError: It is a folder, or its folder is missing or read-only.
    """
    if path.is_dir():
        raise PhotoseekError(f"{path} is a folder; give a file for the report")
    if not path.parent.is_dir():
        raise PhotoseekError(f"report {path} cannot be written: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise PhotoseekError(f"report {path} cannot be written: {path.parent} is read-only")


def is_report(path: Path) -> bool:
    """Return whether a file is a report that `write_report` wrote; False if it cannot be read.

    Args:
        path: The file.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(MARK_WITHIN)
    except OSError:
        return False
    return head.lstrip().lower().startswith(b"<!doctype html>") and MARK in head


def cell_text(value: Cell, digits: int = 3) -> str:
    """Write a cell as text.

    Args:
        value: The cell.
        digits: Decimals of a float.

    Returns:
        The text; a dash for None and NaN.
    """
    if isinstance(value, Measured):
        return f"{cell_text(value.value, digits)} [{cell_text(value.low, digits)}, {cell_text(value.high, digits)}]"
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool | str):
        return printable(str(value))
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.{digits}f}" if isinstance(value, float) else value.alt


def counted(number: int, thing: str) -> str:
    """Write a number with its noun: `1 photo`, `1,100 photos`."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def _breakable(text: str) -> Any:
    """Turn a text into markup in which a line may break after a dot or an underscore."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"([._])", r"\1<wbr>", str(escape(text))))


def _sort_key(value: Cell) -> Any:
    """Return the value that a column is sorted by: a measured value without its interval, the text of a photo."""
    if isinstance(value, Measured):
        return value.value
    return value.alt if isinstance(value, Thumb) else "" if value is None else value
