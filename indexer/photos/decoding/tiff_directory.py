"""Read the directories of a TIFF, and choose the one that is the photo."""

import struct
from dataclasses import dataclass
from typing import Any

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from indexer.photos.decoding.damage.cut_files import is_cut
from indexer.photos.decoding.limits import TRUNCATED, UnreadablePhotoError
from indexer.photos.decoding.picture import FileBytes, as_file

# Numbers of tags, TIFF 6.0 and TIFF/EP.
NEW_SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS = 266, 273, 274, 277, 278, 279
PLANAR, PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 284, 317, 322, 323, 324, 325
SUB_DIRECTORIES, EXTRA_SAMPLES, SAMPLE_FORMAT, XMP, PROFILE = 330, 338, 339, 700, 34675
# Photometric interpretations of sensor data, and compressions that only cameras write: NEF, ARW, SRW, PEF.
SENSOR = (32803, 34892)
CAMERA_COMPRESSIONS = (34713, 32767, 32769, 32770, 65535)
# Bits of NewSubfileType: a smaller version of another picture; a mask of it.
REDUCED, MASK = 1, 4
MOST_PAGES = 16


@dataclass(frozen=True, slots=True, eq=False)
class TiffDirectory:
    """A directory of a TIFF: one picture.

    Attributes:
        tags: Number of a tag -> its value, a tuple where it has several.
        page: Its number among the file's pages.
        byte_order: "<" or ">", as for `struct`.
    """

    tags: ImageFileDirectory_v2
    page: int
    byte_order: str

    def number(self, tag: int, default: int) -> int:
        """Return the first or only value of a tag as an integer."""
        value: Any = self.tags.get(tag, default)
        return int(value[0] if isinstance(value, tuple) else value)

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return all values of a tag; none if it is missing."""
        value: Any = self.tags.get(tag, ())
        return tuple(int(one) for one in (value if isinstance(value, tuple) else (value,)))


def photo_directory(data: FileBytes) -> TiffDirectory:
    """Find the first page that is neither a smaller version of another one nor a mask.

    Args:
        data: The bytes of a TIFF.

    Returns:
        Its directory; the first one if there is no such page.

    Raises:
        UnreadablePhotoError: The directories cannot be read.
    """
    pages = _pages(data)
    if not pages and is_cut(data, "TIFF"):
        raise UnreadablePhotoError(TRUNCATED)
    if not pages:
        raise UnreadablePhotoError("broken image: the TIFF has no directory")
    return next((page for page in pages if not page.number(NEW_SUBFILE_TYPE, 0) & (REDUCED | MASK)), pages[0])


def is_camera_raw(data: FileBytes) -> bool:
    """Tell whether a TIFF holds the data of a camera's sensor.

    Args:
        data: The bytes of a TIFF.

    Returns:
        Whether any of its directories does; False if they cannot be read.
    """
    for page in _pages(data)[:2]:
        below = [_directory(data, offset, page.page) for offset in page.numbers(SUB_DIRECTORIES)[:MOST_PAGES]]
        for directory in (page, *(one for one in below if one is not None)):
            if directory.number(PHOTOMETRIC, -1) in SENSOR:
                return True
            if directory.number(COMPRESSION, 1) in CAMERA_COMPRESSIONS:
                return True
    return False


def _pages(data: FileBytes) -> list[TiffDirectory]:
    """Read the first directories that follow each other."""
    pages: list[TiffDirectory] = []
    seen: set[int] = set()
    offset = _first_offset(data)
    while offset and offset not in seen and len(pages) < MOST_PAGES:
        seen.add(offset)
        directory = _directory(data, offset, len(pages))
        if directory is None:
            break
        pages.append(directory)
        offset = int(directory.tags.next or 0)
    return pages


def _first_offset(data: FileBytes) -> int:
    order = "<" if data[:1] == b"I" else ">"
    if len(data) < 16:
        return 0
    if data[2] == 43 or data[3] == 43:  # BigTIFF
        return int(struct.unpack(order + "Q", data[8:16])[0])
    return int(struct.unpack(order + "I", data[4:8])[0])


def _directory(data: FileBytes, offset: int, page: int) -> TiffDirectory | None:
    """Read the directory at an offset, None if there is none."""
    try:
        tags = ImageFileDirectory_v2(bytes(data[:16] if 43 in (data[2], data[3]) else data[:8]))
        file = as_file(data)
        file.seek(offset)
        tags.load(file)
        directory = TiffDirectory(tags, page, "<" if data[:1] == b"I" else ">")
        return directory if len(tags) and directory.number(WIDTH, 0) >= 0 else None
    except Exception:  # damaged directories raise a dozen kinds
        return None
