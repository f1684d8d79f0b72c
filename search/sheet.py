"""Contact sheets: answers -> one picture, each query as a heading over its photos with their rank and relevance."""

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from indexer.decode import Fit, UnreadablePhoto, load
from indexer.errors import PhotoseekError
from search.results import Answer, Hit, printable

COLUMNS = 5
CELL, LABEL, HEADING, GAP = 220, 20, 34, 8  # pixels; a cell holds a photo, its label stands below
LIMIT = 65_500  # pixels that the side of a JPEG may have


def write_sheet(answers: Sequence[Answer], path: Path) -> None:
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


def _rows(answer: Answer) -> int:
    return max(1, -(-len(answer.hits) // COLUMNS))


def _draw_answer(sheet: Image.Image, answer: Answer, top: int) -> None:
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    verdict = "blocked" if answer.blocked else "error" if answer.error else "" if answer.good else "no good match"
    heading = printable(answer.text[:120]) + (f"   ({verdict})" if verdict else "")
    draw.text((GAP, top + 8), heading, "black", font)
    for number, hit in enumerate(answer.hits):
        row, column = divmod(number, COLUMNS)
        left, upper = GAP + column * (CELL + GAP), top + HEADING + row * (CELL + LABEL + GAP)
        photo = _thumbnail(hit)
        if photo is None:
            draw.text((left, upper + CELL // 2), "(photo cannot be read)", "gray", font)
        else:
            sheet.paste(photo, (left + (CELL - photo.width) // 2, upper + (CELL - photo.height) // 2))
        label = f"{hit.rank}. {hit.relevance:.2f}  {printable(os.path.basename(hit.path))}"
        while font.getlength(label) > CELL:
            label = label[:-2] + "…"
        draw.text((left, upper + CELL + 2), label, "black", font)


def _thumbnail(hit: Hit) -> Image.Image | None:
    """The photo within a cell, its shape kept; None if it cannot be read any more."""
    try:
        photo = load(os.fsencode(hit.path), Fit(CELL))
    except UnreadablePhoto:
        return None
    longer = max(photo.width, photo.height)
    size = max(1, round(CELL * photo.width / longer)), max(1, round(CELL * photo.height / longer))
    return Image.fromarray(photo.pixels).resize(size)
