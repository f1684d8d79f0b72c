"""Contact sheets: answers -> one picture, each query as a heading over its photos with their rank and relevance."""

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from indexer.errors import PhotoseekError
from indexer.photos.decode import Fit, UnreadablePhoto, load
from search.results import Hit, SearchResult, printable

COLUMNS = 5
CELL, LABEL, HEADING, GAP = 220, 20, 34, 8  # pixels; a cell holds a photo, its label stands below
LIMIT = 65_500  # pixels that the side of a JPEG may have
SIZE = 15  # of letters
# Fonts of many scripts; Pillow looks for them where the system keeps its fonts.
FONTS = (
    "NotoSansCJK-Regular.ttc",
    "DroidSansFallbackFull.ttf",
    "wqy-microhei.ttc",
    "Arial Unicode.ttf",
    "PingFang.ttc",
    "msyh.ttc",
    "malgun.ttf",
    "seguisym.ttf",
    "Symbola.ttf",
)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def write_sheet(answers: Sequence[SearchResult], path: Path) -> None:
    """Write the sheet; the file's ending names the format. Raises PhotoseekError if it cannot be written."""
    heights = [HEADING + _rows(answer) * (CELL + LABEL + GAP) for answer in answers]
    width, height = COLUMNS * (CELL + GAP) + GAP, sum(heights) + GAP
    if height > LIMIT:
        raise PhotoseekError(
            f"contact sheet {path}: {len(answers)} queries make it {height:,} pixels high, and {LIMIT:,} is the most; "
            "ask for fewer photos with -k, or fewer queries"
        )
    sheet = Image.new("RGB", (width, height), "white")
    top = GAP
    for answer, taken in zip(answers, heights, strict=True):
        _draw_answer(sheet, answer, top)
        top += taken
    try:
        sheet.save(path)
    except OSError as error:
        raise PhotoseekError(f"contact sheet {path}: {error.strerror or error}") from None
    except ValueError:
        raise PhotoseekError(f"contact sheet {path}: the ending must name a picture format, as .jpg or .png") from None


def _rows(answer: SearchResult) -> int:
    return max(1, -(-len(answer.hits) // COLUMNS))


def _draw_answer(sheet: Image.Image, answer: SearchResult, top: int) -> None:
    draw = ImageDraw.Draw(sheet)
    verdict = "blocked" if answer.blocked else "error" if answer.error else "" if answer.good_match else "no good match"
    heading = printable(answer.text[:120]) + (f"   ({verdict})" if verdict else "")
    heading, font = _legible(heading)
    draw.text((GAP, top + 8), heading, "black", font)
    for number, hit in enumerate(answer.hits):
        row, column = divmod(number, COLUMNS)
        left, upper = GAP + column * (CELL + GAP), top + HEADING + row * (CELL + LABEL + GAP)
        photo = _thumbnail(hit)
        if photo is None:
            draw.text((left, upper + CELL // 2), "(photo cannot be read)", "gray", _fonts()[0])
        else:
            sheet.paste(photo, (left + (CELL - photo.width) // 2, upper + (CELL - photo.height) // 2))
        label, font = _legible(f"{hit.rank}. {hit.relevance:.2f}  {printable(os.path.basename(hit.path))}")
        while font.getlength(label) > CELL:
            label = label[:-2] + "…"
        draw.text((left, upper + CELL + 2), label, "black", font)


def _legible(text: str) -> tuple[str, Font]:
    """The text and the first of the fonts that lack least of it; what it lacks is escaped, as printable does."""
    font, *others = _fonts()
    if _lacks(font, text):
        font = min((font, *others), key=lambda font: len(_lacks(font, text)))
    lacking = _lacks(font, text)
    return "".join(c.encode("unicode_escape").decode("ascii") if c in lacking else c for c in text), font


def _lacks(font: Font, text: str) -> set[str]:
    """The characters for which the font has only the glyph of a character that is in no font."""
    none = bytes(font.getmask("\U0010ffff"))
    return {c for c in text if not c.isspace() and bytes(font.getmask(c)) == none}


@cache
def _fonts() -> list[Font]:
    """Pillow's own font, the one inside matplotlib (most alphabets), and those of FONTS that are installed."""
    fonts: list[Font] = [ImageFont.load_default(SIZE)]
    package = find_spec("matplotlib")  # its place without its import, which takes a second
    folder = os.path.dirname(package.origin or "") if package is not None else ""
    for name in (os.path.join(folder, "mpl-data", "fonts", "ttf", "DejaVuSans.ttf"), *FONTS):
        with suppress(OSError):
            fonts.append(ImageFont.truetype(name, SIZE))
    return fonts


def _thumbnail(hit: Hit) -> Image.Image | None:
    """The photo within a cell, its shape kept; None if it cannot be read any more."""
    try:
        photo = load(os.fsencode(hit.path), Fit(CELL))
    except UnreadablePhoto:
        return None
    longer = max(photo.width, photo.height)
    size = max(1, round(CELL * photo.width / longer)), max(1, round(CELL * photo.height / longer))
    return Image.fromarray(photo.pixels).resize(size)
