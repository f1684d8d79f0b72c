"""Decode JPEGs, at a reduced scale where that suffices; damaged ones as far as their rows are there."""

import re
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from indexer.photos.decoding.colour import to_rgb
from indexer.photos.decoding.jpeg_markers import (
    ARITHMETIC,
    END,
    LOSSLESS,
    PROGRESSIVE,
    JpegFrame,
    coefficient_bytes,
    coefficients_there,
    jpeg_frame,
    length_before_filling,
)
from indexer.photos.decoding.limits import (
    NOT_AN_IMAGE,
    TRUNCATED,
    UnreadablePhotoError,
    note_of_missing_rows,
    refuse_large,
)
from indexer.photos.decoding.orientation import orientation_of
from indexer.photos.decoding.picture import FileBytes, Picture, Request, as_file
from indexer.photos.memory.estimates import WORKSPACE

# How many coefficients of a block, in zigzag order, make the picture at 1/1, 1/2, 1/4 and 1/8 of its size.
COEFFICIENTS = {1: 64, 2: 25, 4: 5, 8: 1}
# What libjpeg says of a JFIF version or an Adobe marker that it does not know, and of bytes that no pixel needs.
HARMLESS = ("Warning: unknown JFIF", "Unknown Adobe")
PADDING = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")
# Most rows of pixels in a row of blocks.
BLOCK_ROWS = 16
# What libjpeg says of a file that ends too early.
CUT_OFF = "Premature end of JPEG file"
# Bytes that the pixels of a JPEG take at most, and what stands before them; what follows, such as a film, is not read.
MOST_BYTES_PER_PIXEL, MOST_OTHER_BYTES = 4, 64_000_000
# Bytes of memory per decoded pixel at the peak, when rows are compared to find those that are missing, and how often
# the file lies in memory then.
PEAK_BYTES, FILE_COPIES = 14, 4
# Bytes that stand for those that are missing, other than none at all: rows that depend on them differ. They look random
# (multiples of 2^32 / golden ratio, as in Knuth's hash), and none is 255, with which markers begin.
FILLING = (np.arange(65536) * 2_654_435_761 // 2048 % 255).astype(np.uint8).tobytes() + END


def decode_jpeg(data: FileBytes, request: Request) -> Picture:
    """Decode a JPEG.

    Args:
        data: The bytes of a file.
        request: How large the picture should be and may be; it is decoded at the smallest of the scales 1, 1/2, 1/4 and
            1/8 that is large enough.

    Returns:
        The picture.

    Raises:
        UnreadablePhotoError: It is too large, of a coding that is not read, or too little of it is there.
        Exception: Any of the kinds that Pillow raises for broken data.
    """
    try:
        image = Image.open(as_file(data), formats=("JPEG",))
    except UnidentifiedImageError:
        raise UnreadablePhotoError(_why_not_opened(data)) from None
    with image:
        width, height = image.size
        longest = MOST_BYTES_PER_PIXEL * width * height + MOST_OTHER_BYTES
        if len(data) > longest:
            data = data[:longest]
        # Halvings only: the scales between them are slower than full size and change the picture more.
        shortest, side = min(width, height), request.min_side
        shrink = next((s for s in (8, 4, 2) if shortest >= s * side), 1) if side else 1
        pixels = width * height
        needed = FILE_COPIES * len(data) + WORKSPACE
        needed += int(pixels * (coefficient_bytes(data) + PEAK_BYTES / shrink**2))
        refuse_large(width, height, request, needed)
        decoded, note = _decode(data, image, shrink)
        rgb = to_rgb(decoded, request.min_side, image.info.get("icc_profile"))
        return Picture(rgb, width, height, orientation_of(image), note)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Scale and colours of a decoding: inks or RGB, 1/`shrink` of the size, sides of at least so many pixels."""

    inks: bool
    shrink: int
    width: int
    height: int


def _decode(data: FileBytes, image: Image.Image, shrink: int) -> tuple[Image.Image, str | None]:
    """Decode an opened JPEG at 1/shrink of its size; return the image and a note on damage."""
    inks = image.mode == "CMYK"
    scale = _Scale(inks, shrink, -(-image.width // shrink), -(-image.height // shrink))
    note = None
    try:
        pixels = _pixels(data, scale)
    except ValueError as error:
        try:
            pixels, note = _damaged_pixels(data, scale, str(error))
        except ValueError:
            # Pillow knows a few codings that the fast decoder does not.
            image.draft(None, (image.width // shrink, image.height // shrink))
            image.load()
            return image, None
    decoded = Image.fromarray(255 - pixels, "CMYK") if inks else Image.fromarray(pixels)
    if image.mode == "L" and image.info.get("icc_profile"):
        decoded = decoded.convert("L")  # its profile is one of greys
    return decoded, note


def _pixels(data: FileBytes, scale: _Scale, *, strict: bool = True) -> np.ndarray:
    """Decode to (height, width, 3) RGB or (height, width, 4) inverted CMYK, uint8."""
    space = "CMYK" if scale.inks else "RGB"
    return simplejpeg.decode_jpeg(data, space, min_width=scale.width, min_height=scale.height, strict=strict)


def _damaged_pixels(data: FileBytes, scale: _Scale, complaint: str) -> tuple[np.ndarray, str | None]:
    """Decode a JPEG of which the strict decoder complains; return the pixels and a note.

    Raises:
        UnreadablePhotoError: Too few rows are there.
        ValueError: The fast decoder cannot read it at all.
    """
    if complaint != CUT_OFF:
        pixels = _pixels(data, scale, strict=False)
        if _is_harmless(data, complaint):
            return pixels, None
        return pixels, f"damaged JPEG data ({complaint.removeprefix('Corrupt JPEG data: ')})"
    # The first half of a marker, or the bytes of flash memory that was never written, would spoil what follows.
    whole = bytes(data[: length_before_filling(data)]).rstrip(b"\xff")
    pixels = _pixels(whole + END, scale, strict=False)
    frame = jpeg_frame(whole)
    if frame is not None and frame.coding in PROGRESSIVE:
        there = coefficients_there(whole)
        if there >= COEFFICIENTS[scale.shrink]:
            return pixels, "cut off: the finest details are missing"
        if there or scale.shrink < 8:
            raise UnreadablePhotoError(TRUNCATED)
    # Rows that come out the same whatever follows the cut are really there.
    other = _pixels(whole + FILLING, scale, strict=False)
    same = (pixels == other).all(axis=(1, 2))
    there = len(same) if same.all() else int(same.argmin())
    is_arithmetic = frame is not None and frame.coding in ARITHMETIC
    # Arithmetic coding leaves out zeros at the end, so that the last row of blocks always depends on what follows.
    if there >= len(same) - is_arithmetic * BLOCK_ROWS // scale.shrink:
        return pixels, "cut off: the end marker is missing"
    note = note_of_missing_rows(there / len(same))
    if is_arithmetic:
        pixels[there:] = 128  # where arithmetic decoding runs out of data it gives noise
    return pixels, note


def _is_harmless(data: FileBytes, complaint: str) -> bool:
    """Tell whether what libjpeg complains of says nothing about the picture, such as padding before the end marker."""
    padding = PADDING.fullmatch(complaint)
    if padding is None:
        return complaint.startswith(HARMLESS)
    end = data.rfind(END)
    return len(set(data[max(0, end - int(padding[1])) : end])) == 1


def _why_not_opened(data: FileBytes) -> str:
    """Say why Pillow does not open something that begins as a JPEG does."""
    frame = jpeg_frame(data)
    if frame is None:
        return NOT_AN_IMAGE if len(data) < 100 else TRUNCATED
    if frame.precision != 8:
        return f"JPEG of {frame.precision} bits per channel{_lossless(frame)}, which is not read"
    if frame.coding in LOSSLESS:
        return "lossless JPEG of a kind that is not read"
    return f"JPEG of {frame.channels} channels, which is not read"


def _lossless(frame: JpegFrame) -> str:
    return ", lossless" if frame.coding in LOSSLESS else ""
