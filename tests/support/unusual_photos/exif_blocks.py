"""Write EXIF blocks byte by byte, and photos with what a camera says of them."""

import struct
from pathlib import Path

from PIL import Image

EXIF_PART, GPS_PART = 0x8769, 0x8825
ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 2, 3, 4, 5, 7
# What a camera and a phone say, by tag of the EXIF part and of the GPS part.
SHOT = {0x9003: "2020:07:14 12:30:59", 0x9291: "25", 0x9011: "+02:00", 0xA434: "18.0-55.0 mm f/3.5-5.6"}
EIFFEL = {1: "N", 2: (48.0, 51.0, 30.24), 3: "E", 4: (2.0, 17.0, 40.2)}


def camera_exif(
    make: str = "NIKON CORPORATION",
    model: str = "NIKON D90",
    shot: dict | None = None,
    gps: dict | None = None,
    orientation: int | None = None,
) -> bytes:
    """Return EXIF as Pillow writes it; `shot` and `gps` are the tags of the two parts."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = make, model
    if orientation is not None:
        exif[0x0112] = orientation
    exif.get_ifd(EXIF_PART).update(SHOT if shot is None else shot)
    exif.get_ifd(GPS_PART).update(EIFFEL if gps is None else gps)
    return exif.tobytes()


def photo_of(path: Path, taken: str, grey: int = 0, **exif) -> None:
    """Write a grey JPEG that was taken at a time, as EXIF writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (16, 12), grey).save(path, exif=camera_exif(shot={0x9003: taken}, **exif))


def directory(entries: list[tuple[int, int, int, bytes]], order: str = "<") -> bytes:
    """Make a directory of (tag, type, count, the four bytes of its value or place)."""
    packed = b"".join(struct.pack(order + "HHI", *entry[:3]) + entry[3].ljust(4, b"\0") for entry in entries)
    return struct.pack(order + "H", len(entries)) + packed + struct.pack(order + "I", 0)


def block(*directories: bytes, order: str = "<", extra: bytes = b"") -> bytes:
    """Make a block of EXIF: the main directory at byte 8, the others behind it, then `extra`."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "I", 8) + b"".join(directories) + extra


def jpeg_with(exif: bytes) -> bytes:
    """Return a JPEG of 8 x 8 pixels with a segment of EXIF, whatever it holds."""
    from photo_samples import encoded, with_segment

    return with_segment(encoded(Image.new("RGB", (8, 8), "grey"), "JPEG"), 0xE1, b"Exif\0\0" + exif)
