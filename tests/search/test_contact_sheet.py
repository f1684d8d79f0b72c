"""Contact sheets: their size, and what stands in which cell."""

from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from indexer.errors import PhotoseekError
from search.contact_sheet import LAYOUT, _fonts, write_sheet
from search.results import Hit, SearchResult

WIDTH = 5 * (220 + 8) + 8
CELL, GAP, HEADING, LABEL = LAYOUT.cell, LAYOUT.gap, LAYOUT.heading, LAYOUT.label


def photo(folder: Path, name: str, colour: tuple[int, int, int], size: tuple[int, int]) -> str:
    Image.new("RGB", size, colour).save(folder / name)
    return str(folder / name)


def cell(sheet: Image.Image, row: int, column: int, top: int) -> np.ndarray:
    """Return the (220, 220, 3) pixels of a cell below the heading that begins at `top`."""
    left, upper = GAP + column * (CELL + GAP), top + HEADING + row * (CELL + LABEL + GAP)
    return np.asarray(sheet.crop((left, upper, left + CELL, upper + CELL)))


def test_a_sheet_shows_each_photo_in_its_cell_with_its_shape_kept(tmp_path: Path) -> None:
    wide = photo(tmp_path, "wide.png", (255, 0, 0), (400, 200))
    tall = photo(tmp_path, "tall.png", (0, 0, 255), (50, 200))
    hits = tuple(Hit(i + 1, (wide, tall)[i % 2], 0.5, 0.5, 1, 1) for i in range(6))
    results = [
        SearchResult("1", "red and blue", hits, good_match=True),
        SearchResult("2", "nothing", (), good_match=False),
    ]
    write_sheet(results, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        # Six photos take two rows; a query without photos keeps one.
        assert sheet.size == (WIDTH, 8 + 34 + 2 * 248 + 34 + 248)
        first, second, sixth = (cell(sheet, *place, GAP) for place in [(0, 0), (0, 1), (1, 0)])
        empty = cell(sheet, 0, 0, GAP + 34 + 2 * 248)
        headings = np.asarray(sheet.crop((0, GAP, WIDTH, GAP + HEADING)))
    # 400 x 200 fits as 220 x 110, with 55 white lines above and below it; 50 x 200 as 55 x 220.
    assert (first[55:165] == (255, 0, 0)).all()
    assert (first[:55] == 255).all()
    assert (first[165:] == 255).all()
    assert (second[:, 82:137] == (0, 0, 255)).all()
    assert (second[:, :82] == 255).all()
    assert (sixth[:, 82:137] == (0, 0, 255)).all()
    assert (empty == 255).all()
    assert (headings < 128).any()


def test_a_photo_that_is_gone_leaves_a_note_in_its_cell(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    paths = [str(tmp_path / "gone.jpg"), str(tmp_path / "broken.jpg"), str(tmp_path)]
    hits = tuple(Hit(i + 1, path, 0.5, 0.5, 1, 1) for i, path in enumerate(paths))
    write_sheet([SearchResult("1", "a dog", hits, good_match=True)], tmp_path / "sheet.jpg")
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.format == "JPEG"
        cells = [cell(sheet, 0, column, GAP) for column in range(3)]
    assert all(200 > pixels[110:130].min() > 60 for pixels in cells)  # grey letters
    assert all((pixels[:100] > 240).all() for pixels in cells)


def heading(text: str, path: Path) -> np.ndarray:
    """Return the (34, width, 3) pixels of a heading."""
    write_sheet([SearchResult("1", text, (), good_match=True)], path / "sheet.png")
    with Image.open(path / "sheet.png") as sheet:
        return np.asarray(sheet.crop((0, GAP, WIDTH, GAP + HEADING)))


@pytest.fixture
def fonts_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[tuple[str, ...]], None]]:
    """Sets the fonts that are looked for beside Pillow's own and matplotlib's, whatever this machine has."""

    def use(names: tuple[str, ...]) -> None:
        monkeypatch.setattr("search.contact_sheet.FONTS", names)
        _fonts.cache_clear()

    yield use
    _fonts.cache_clear()


def drawn(text: str, font: str) -> np.ndarray:
    """Return a heading as Pillow draws it with one font."""
    expected = Image.new("RGB", (WIDTH, HEADING), "white")
    ImageDraw.Draw(expected).text((GAP, 8), text, "black", ImageFont.truetype(font, 15))
    return np.asarray(expected)


def test_letters_that_the_plain_font_lacks_are_drawn_with_one_that_has_them(tmp_path: Path, fonts_of) -> None:
    fonts_of(())
    dejavu = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"
    assert np.array_equal(heading("café жук", tmp_path), drawn("café жук", dejavu))
    # A font with a sign for each script there is.
    last_resort = f"{matplotlib.get_data_path()}/fonts/ttf/LastResortHE-Regular.ttf"
    fonts_of(("no such font.ttf", last_resort))
    assert np.array_equal(heading("犬 жук", tmp_path), drawn("犬 жук", last_resort))


def test_letters_that_no_font_has_are_escaped(tmp_path: Path, fonts_of) -> None:
    fonts_of(())
    assert np.array_equal(heading("a 犬 and a 🐶", tmp_path), heading("a \\u72ac and a \\U0001f436", tmp_path))


@pytest.mark.parametrize(
    ("name", "count", "line"),
    [
        ("sheet.doc", 1, "the ending must name a picture format, as .jpg or .png"),
        ("none/sheet.jpg", 1, "No such file or directory"),
        # 8 + 300 * (34 + 248)
        (
            "sheet.png",
            300,
            "300 queries make it 84,608 pixels high, and 65,500 is the most; ask for fewer photos with -k, or fewer "
            "queries",
        ),
    ],
)
def test_a_sheet_that_cannot_be_written_is_refused(tmp_path: Path, name: str, count: int, line: str) -> None:
    with pytest.raises(PhotoseekError) as caught:
        write_sheet([SearchResult("1", "a dog", (), good_match=False)] * count, tmp_path / name)
    assert str(caught.value) == f"contact sheet {tmp_path / name}: {line}"
