"""Types that all decoders share: what they are asked for and what they give."""

import io
import mmap
from dataclasses import dataclass
from typing import BinaryIO, cast

from PIL import Image

# Bytes of a file; a large one is mapped and not read, so that only the parts that a decoder looks at take memory.
FileBytes = bytes | mmap.mmap
# Files of more bytes are mapped.
MAPPED_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a decoder.

    Attributes:
        min_side: Pixels that both sides of the picture should have at least, if the photo has as many; a decoder may
            give a smaller picture than the photo if that is cheaper. 0 for full size.
        max_pixels: Photos of more pixels are refused, and those whose decoding takes more memory than the budget that
            belongs to it.
        granted: Bytes of memory that the decoding may take now; None for the whole budget.
    """

    min_side: int
    max_pixels: int
    granted: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture.

    Attributes:
        image: The picture in 8-bit RGB, as stored or smaller.
        width: Pixels of the photo as stored.
        height: Pixels of the photo as stored.
        orientation: How to turn it upright, as in EXIF: 1 to 8, other numbers stand for 1.
        note: What was damaged, None if nothing was.
    """

    image: Image.Image
    width: int
    height: int
    orientation: int = 1
    note: str | None = None


def as_file(data: FileBytes) -> BinaryIO:
    """Return bytes as something to read from, at its beginning; they are not copied."""
    if isinstance(data, bytes):
        return io.BytesIO(data)
    data.seek(0)
    return cast(BinaryIO, data)  # a map reads and seeks as a file does
