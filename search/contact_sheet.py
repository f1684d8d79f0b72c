"""Draw contact sheets: one picture with each query as a heading over its photos, their ranks and their relevance."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ExifTags, Image, ImageDraw, ImageFont

from indexer.errors import PhotoseekError
from indexer.photos.decode import UnreadablePhotoError, decode_photo
from indexer.photos.file_head import SHEET_ENDS, SHEET_MARK, is_contact_sheet
from indexer.photos.square_transform import SquareTransform
from indexer.printable import printable
from indexer.storage.atomic_files import atomic_write
from search.results import Hit, SearchResult

# Pixels that the side of a JPEG may have at most.
LARGEST_SIDE = 65_500
# Letters of a query that its heading shows.
HEADING_LETTERS = 120
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


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a sheet, in pixels.

    Attributes:
        columns: Photos per row.
        cell: The side of the square that a photo is fitted into.
        label: The height of the line below a photo.
        heading: The height of the line of a query.
        gap: The distance between photos, and to the edges.
        letters: The size of letters.
    """

    columns: int = 5
    cell: int = 220
    label: int = 20
    heading: int = 34
    gap: int = 8
    letters: int = 15

    @property
    def width(self) -> int:
        """Return the width of a sheet."""
        return self.columns * (self.cell + self.gap) + self.gap

    @property
    def row(self) -> int:
        """Return the height of a row of photos."""
        return self.cell + self.label + self.gap

    def height_of(self, result: SearchResult) -> int:
        """Return the height of a result; one without photos keeps an empty row."""
        return self.heading + max(1, -(-len(result.hits) // self.columns)) * self.row

    def corner_of(self, number: int, top: int) -> tuple[int, int]:
        """Return left and upper edge of the photo of a number, from 0, of a result that begins at `top`."""
        row, column = divmod(number, self.columns)
        return self.gap + column * (self.cell + self.gap), top + self.heading + row * self.row


LAYOUT = Layout()


def write_sheet(results: Sequence[SearchResult], path: Path) -> None:
    """Write a contact sheet.

    Args:
        results: The results, from top to bottom.
        path: The file; its suffix names the picture format.

    Raises:
        PhotoseekError: The sheet would be too high, the format is unknown, or the file cannot be written.
    """
    height = sum(LAYOUT.height_of(result) for result in results) + LAYOUT.gap
    if height > LARGEST_SIDE:
        raise PhotoseekError(
            f"contact sheet {path}: {len(results)} queries make it {height:,} pixels high, and {LARGEST_SIDE:,} is the "
            "most; ask for fewer photos with -k, or fewer queries"
        )
    sheet = Image.new("RGB", (LAYOUT.width, height), "white")
    top = LAYOUT.gap
    for result in results:
        _draw_result(sheet, result, top)
        top += LAYOUT.height_of(result)
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = SHEET_MARK
    try:
        with atomic_write(path) as scratch:
            sheet.save(scratch, exif=exif, comment=SHEET_MARK)  # GIF has no EXIF data
    except OSError as error:
        raise PhotoseekError(f"contact sheet {path}: {error.strerror or error}") from None
    except ValueError:
        raise PhotoseekError(f"contact sheet {path}: the ending must name a picture format, as .jpg or .png") from None


def is_sheet(path: Path) -> bool:
    """Return whether a file is a contact sheet that `write_sheet` wrote; False if it cannot be read.

    Args:
        path: The file.
    """
    try:
        with open(path, "rb") as file:
            ends = file.read(SHEET_ENDS)
            if len(ends) == SHEET_ENDS:
                file.seek(-SHEET_ENDS, os.SEEK_END)
                ends += file.read()
    except OSError:
        return False
    return is_contact_sheet(ends)


def sheet_suffixes() -> tuple[str, ...]:
    """Return the endings that a contact sheet may have, in lower case: of all picture formats that Pillow writes."""
    Image.init()
    return tuple(sorted(ending for ending, kind in Image.EXTENSION.items() if kind in Image.SAVE))


def _draw_result(sheet: Image.Image, result: SearchResult, top: int) -> None:
    """Draw the heading and the photos of a result, from the pixel `top` down."""
    draw = ImageDraw.Draw(sheet)
    heading, font = _legible(_heading_of(result))
    draw.text((LAYOUT.gap, top + 8), heading, "black", font)
    for number, hit in enumerate(result.hits):
        left, upper = LAYOUT.corner_of(number, top)
        photo = _thumbnail(hit)
        if photo is None:
            draw.text((left, upper + LAYOUT.cell // 2), "(photo cannot be read)", "gray", _fonts()[0])
        else:
            middle = left + (LAYOUT.cell - photo.width) // 2, upper + (LAYOUT.cell - photo.height) // 2
            sheet.paste(photo, middle)
        more = f"  +{len(hit.stack)}" if hit.stack else ""
        label, font = _legible(f"{hit.rank}. {hit.relevance:.2f}{more}  {printable(os.path.basename(hit.path))}")
        while font.getlength(label) > LAYOUT.cell:
            label = label[:-2] + "…"
        draw.text((left, upper + LAYOUT.cell + 2), label, "black", font)


def _heading_of(result: SearchResult) -> str:
    """Return the heading of a result: its query, and a remark if there is no good match."""
    remark = "" if result.good_match else "no good match"
    if result.error:
        remark = "error"
    if result.blocked:
        remark = "blocked"
    return printable(result.text[:HEADING_LETTERS]) + (f"   ({remark})" if remark else "")


def _legible(text: str) -> tuple[str, Font]:
    """Return a text and the first font that lacks the fewest of its letters; those that it lacks are escaped."""
    font, *others = _fonts()
    if _lacking(font, text):
        font = min((font, *others), key=lambda font: len(_lacking(font, text)))
    lacking = _lacking(font, text)
    return "".join(c.encode("unicode_escape").decode("ascii") if c in lacking else c for c in text), font


def _lacking(font: Font, text: str) -> set[str]:
    """Return the letters that a font draws as it draws a letter that no font has."""
    none = bytes(font.getmask("\U0010ffff"))
    return {c for c in text if not c.isspace() and bytes(font.getmask(c)) == none}


@cache
def _fonts() -> list[Font]:
    """Return Pillow's own font, the one inside matplotlib (most alphabets), and those of FONTS that are installed."""
    fonts: list[Font] = [ImageFont.load_default(LAYOUT.letters)]
    package = find_spec("matplotlib")  # finds its folder without the import, which takes a second
    folder = os.path.dirname(package.origin or "") if package is not None else ""
    for name in (os.path.join(folder, "mpl-data", "fonts", "ttf", "DejaVuSans.ttf"), *FONTS):
        with suppress(OSError):
            fonts.append(ImageFont.truetype(name, LAYOUT.letters))
    return fonts


def _thumbnail(hit: Hit) -> Image.Image | None:
    """Return a photo fitted into a cell; None if it cannot be read any more.

    It is decoded as for the index, so that the same files can be read; that gives a square, which gets its shape back.
    """
    try:
        photo = decode_photo(os.fsencode(hit.path), SquareTransform(LAYOUT.cell))
    except UnreadablePhotoError:
        return None
    longer = max(photo.width, photo.height)
    width, height = (max(1, round(LAYOUT.cell * side / longer)) for side in (photo.width, photo.height))
    return Image.fromarray(photo.pixels).resize((width, height))
