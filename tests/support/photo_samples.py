"""Make photo files byte by byte: one asymmetric picture in many formats, and unusual files; and decode them."""

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.photos.decode import UnreadablePhotoError, decode_photo
from indexer.photos.square_transform import SquareTransform

PALETTE = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
UPRIGHT = ["red", "green", "blue", "white"]

# The four quarters as stored, in reading order, so that each EXIF orientation shows red green / blue white.
# After the table of the TIFF 6.0 specification: 6 means that row 0 is the right side, column 0 the top.
STORED = {
    1: ["red", "green", "blue", "white"],
    2: ["green", "red", "white", "blue"],
    3: ["white", "blue", "green", "red"],
    4: ["blue", "white", "red", "green"],
    5: ["red", "blue", "green", "white"],
    6: ["green", "white", "red", "blue"],
    7: ["white", "green", "blue", "red"],
    8: ["blue", "red", "white", "green"],
}


def quarters(names: list[str] = UPRIGHT, width: int = 96, height: int = 64) -> Image.Image:
    """Draw a picture whose quarters have the named colours: top left, top right, bottom left, bottom right."""
    pixels = np.empty((height, width, 3), np.uint8)
    for place, name in enumerate(names):
        down, right = divmod(place, 2)
        rows, columns = (
            [slice(0, height // 2), slice(height // 2, None)],
            [slice(0, width // 2), slice(width // 2, None)],
        )
        pixels[rows[down], columns[right]] = PALETTE[name]
    return Image.fromarray(pixels)


def turned(orientation: int, width: int = 96, height: int = 64) -> Image.Image:
    """Return the picture as a camera stores it with an EXIF orientation; upright it is width x height."""
    return quarters(STORED[orientation], *((width, height) if orientation < 5 else (height, width)))


def seen(pixels: np.ndarray) -> list[str]:
    """Return the colours in the middle of the four quarters, by name if they are within 20 grey levels of one."""
    height, width = pixels.shape[:2]
    colours = []
    for row, column in [(1, 1), (1, 3), (3, 1), (3, 3)]:
        colour = pixels[height * row // 4, width * column // 4].astype(int)
        near = [name for name, value in PALETTE.items() if abs(colour - value).max() <= 20]
        colours.append(near[0] if near else str(colour))
    return colours


def smooth(width: int, height: int) -> Image.Image:
    """Draw a picture with soft gradients and edges, as a photo has."""
    y, x = np.mgrid[0:height, 0:width] / min(width, height)
    waves = [np.sin(7 * x + 3 * y), np.cos(5 * y - 2 * x), np.sign(np.sin(9 * x) * np.cos(8 * y)) * 0.6]
    return Image.fromarray((127.5 + 120 * np.stack(waves, axis=-1)).astype(np.uint8))


def encoded(image: Image.Image, kind: str, orientation: int = 0, pages: bool = False, **options) -> bytes:
    """Return the bytes that Pillow writes; `pages` adds a black picture as second page or frame."""
    if pages:
        options |= {"save_all": True, "append_images": [Image.new("RGB", image.size, "black")]}
    if orientation:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif.tobytes()
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """Insert a segment right after the start of a JPEG."""
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def tiff(entries: list[tuple[int, int, tuple[int, ...]]], at: int) -> bytes:
    """Make a TIFF directory at offset `at`: (tag, type, values) with type 1 bytes, 3 shorts, 4 longs, 10 fractions."""
    codes = {1: "B", 3: "H", 4: "I", 10: "i"}
    directory, beyond = struct.pack("<H", len(entries)), b""
    for tag, kind, values in sorted(entries):
        field = struct.pack(f"<{len(values)}{codes[kind]}", *values)
        if len(field) > 4:
            field, beyond = struct.pack("<I", at + 6 + 12 * len(entries) + len(beyond)), beyond + field
        directory += struct.pack("<HHI", tag, kind, len(values) // (2 if kind == 10 else 1)) + field.ljust(4, b"\0")
    return directory + struct.pack("<I", 0) + beyond


def dng(preview: bytes, orientation: int) -> bytes:
    """Make a camera RAW file: a 192 x 128 sensor of even grey, and a 96 x 64 JPEG preview."""
    sensor = struct.pack("<H", 30000) * (192 * 128)
    preview = preview + b"\0" * (len(preview) % 2)
    at = 8 + len(preview) + len(sensor)

    def front(sensor_directory: int) -> bytes:
        size = [(254, 4, (1,)), (256, 4, (96,)), (257, 4, (64,)), (258, 3, (8, 8, 8)), (277, 3, (3,)), (278, 4, (64,))]
        strip = [(259, 3, (7,)), (262, 3, (6,)), (273, 4, (8,)), (279, 4, (len(preview),))]
        matrix = tuple(number for i in range(9) for number in (int(i % 4 == 0), 1))
        camera = [(50706, 1, (1, 4, 0, 0)), (50708, 1, tuple(b"Maker Model\0")), (50721, 10, matrix)]
        return tiff([*size, *strip, (274, 3, (orientation,)), (330, 4, (sensor_directory,)), *camera], at)

    sensor_at = at + len(front(0))
    size = [(254, 4, (0,)), (256, 4, (192,)), (257, 4, (128,)), (258, 3, (16,)), (277, 3, (1,)), (278, 4, (128,))]
    strip = [(259, 3, (1,)), (262, 3, (32803,)), (273, 4, (8 + len(preview),)), (279, 4, (len(sensor),))]
    mosaic = [(33421, 3, (2, 2)), (33422, 1, (0, 1, 1, 2)), (50717, 4, (65535,))]
    back = tiff([*size, *strip, *mosaic], sensor_at)
    return b"II*\0" + struct.pack("<I", at) + preview + sensor + front(sensor_at) + back


SMALL = SquareTransform(32)
NOT_AN_IMAGE = "not an image, or of a kind that is not read"
JPEG = encoded(quarters(), "JPEG", quality=95)
PNG = encoded(quarters(), "PNG")


def decoded(folder: Path, data: bytes, name: str = "photo.jpg", transform: SquareTransform = SMALL, **options):
    path = folder / name
    path.write_bytes(data)
    return decode_photo(os.fsencode(path), transform, **options)


def refusal(folder: Path, data: bytes, name: str = "photo.jpg", **options) -> str:
    (folder / name).write_bytes(data)
    return refusal_of(folder / name, **options)


def refusal_of(path: Path, **options) -> str:
    with pytest.raises(UnreadablePhotoError) as refused:
        decode_photo(os.fsencode(path), SMALL, **options)
    return str(refused.value)
