"""A report page: sections of blocks -> one self-contained HTML file.

    sections --page.html (jinja2, autoescaped) with page.css and page.js inlined--> text --> file

Blocks hold plain values; every text is escaped by the template, and what no screen can show is written as an escape.
Only charts are markup already, which `reranker.reports.charts` makes.
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
from indexer.storage.atomic_files import whole_file

# Rows of a long table that are printed on paper; the screen scrolls through all of them.
PRINTED_ROWS = 40


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval, shown as `0.385 [0.372, 0.399]`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Thumb:
    """A small photo. `source` is a data: URI, empty where the photo is not shown; `note` stands below or instead."""

    source: str
    alt: str
    width: int
    height: int
    note: str = ""
    mark: str = ""  # "own" draws a frame around the photo that a query was written for


Cell = str | int | float | Interval | Thumb | None


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
    """A few large figures: (label, value, what it means)."""

    items: Sequence[tuple[str, Cell, str]]
    kind: ClassVar[str] = "tiles"


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing as inline SVG `markup`, made by `reranker.reports.charts`, over its caption."""

    markup: str
    caption: str
    kind: ClassVar[str] = "chart"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; sortable by any column. Numbers are shown with `digits` decimals, an int with none.

    `long`: in a box that scrolls, with a field that filters its rows; paper shows the first `PRINTED_ROWS`.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    digits: int = 3
    long: bool = False
    kind: ClassVar[str] = "table"


@dataclass(frozen=True, slots=True)
class Card:
    """One example: photos in a row, a title beside them, lines below it."""

    title: str
    lines: Sequence[str]
    photos: Sequence[Thumb]


@dataclass(frozen=True, slots=True)
class Cards:
    """Examples under one heading."""

    title: str
    items: Sequence[Card]
    note: str = ""
    kind: ClassVar[str] = "cards"


Block = Text | Points | Tiles | Chart | Table | Cards


@dataclass(frozen=True, slots=True)
class Section:
    """A chapter of a report; the table of contents links to it by `anchor`."""

    title: str
    blocks: Sequence[Block]
    anchor: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "anchor", re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-"))


def render(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """The page as text. `facts` are (name, value) lines below the title: what was measured, with what, when.

    Raises ValueError where two sections have one title: their links would lead to one place.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    anchors = [section.anchor for section in sections]
    if len(set(anchors)) < len(anchors):
        raise ValueError(f"two sections have one title: {sorted(anchors)}")
    environment = Environment(
        loader=PackageLoader("reranker.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "sort_key": _sort_key, "printable": printable, "breakable": _breakable}
    page = environment.get_template("page.html")
    return page.render(title=title, facts=facts, sections=sections, printed_rows=PRINTED_ROWS)


def write_report(path: Path, title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> int:
    """Render and write the page, beside and renamed; its size in bytes. Raises PhotoseekError as `check_file` does."""
    data = render(title, facts, sections).encode("utf-8")
    check_file(path)
    try:
        with whole_file(path) as scratch:
            scratch.write_bytes(data)
    except OSError as error:
        raise PhotoseekError(f"report {path} cannot be written: {error.strerror}") from None
    return len(data)


def check_file(path: Path) -> None:
    """Raise PhotoseekError unless a report can be written there. What takes minutes asks before it begins."""
    if path.is_dir():
        raise PhotoseekError(f"{path} is a folder; give a file for the report")
    if not path.parent.is_dir():
        raise PhotoseekError(f"report {path} cannot be written: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise PhotoseekError(f"report {path} cannot be written: {path.parent} is read-only")


def shown(value: Cell, digits: int = 3) -> str:
    """A cell as text."""
    if isinstance(value, Interval):
        return f"{shown(value.value, digits)} [{shown(value.low, digits)}, {shown(value.high, digits)}]"
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool | str):
        return printable(str(value))
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.{digits}f}" if isinstance(value, float) else value.alt


def counted(number: int, thing: str) -> str:
    """`1 photo`, `1,100 photos`."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def _breakable(text: str) -> Any:
    """The same text, which may go on in the next line behind a dot or an underscore."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"([._])", r"\1<wbr>", str(escape(text))))


def _sort_key(value: Cell) -> Any:
    """What a column is sorted by: numbers as they are, figures by their value, texts by their letters."""
    if isinstance(value, Interval):
        return value.value
    return value.alt if isinstance(value, Thumb) else "" if value is None else value
