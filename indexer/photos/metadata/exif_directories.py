"""Read the directories of EXIF: bytes in the structure of a TIFF file -> values of the tags that are wanted.

Only tags that are wanted are read, and no directory leads to another but the main one to its two parts. So neither
cycles nor entries that name huge values cost anything, and a wrong entry loses no other.
"""

import struct
from collections.abc import Container

from indexer.photos.metadata.file_bytes import ByteParts

# Text and unknown bytes as bytes, everything else as numbers.
Value = bytes | tuple[float, ...]
Directory = dict[int, Value]

# Tags of the main directory and of its EXIF part; no number has two meanings in them.
MAKE, MODEL, ORIENTATION, SOFTWARE, MODIFIED, XMP = 0x010F, 0x0110, 0x0112, 0x0131, 0x0132, 0x02BC
ORIGINAL, DIGITISED = 0x9003, 0x9004
OFFSET_MODIFIED, OFFSET_ORIGINAL, OFFSET_DIGITISED = 0x9010, 0x9011, 0x9012
COMMENT, SUBSECOND_MODIFIED, SUBSECOND_ORIGINAL, SUBSECOND_DIGITISED = 0x9286, 0x9290, 0x9291, 0x9292
FILE_SOURCE, CUSTOM_RENDERED, LENS_MODEL, DNG_VERSION = 0xA300, 0xA401, 0xA434, 0xC612
EXIF_PART, GPS_PART = 0x8769, 0x8825
IMAGE_TAGS = frozenset(
    (MAKE, MODEL, ORIENTATION, SOFTWARE, MODIFIED, XMP, ORIGINAL, DIGITISED, OFFSET_MODIFIED, OFFSET_ORIGINAL)
    + (OFFSET_DIGITISED, COMMENT, SUBSECOND_MODIFIED, SUBSECOND_ORIGINAL, SUBSECOND_DIGITISED, FILE_SOURCE)
    + (CUSTOM_RENDERED, LENS_MODEL, DNG_VERSION, EXIF_PART, GPS_PART)
)
# Tags of the GPS part.
LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE, GPS_TIME, GPS_DATE = 1, 2, 3, 4, 7, 29
GPS_TAGS = frozenset((LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE, GPS_TIME, GPS_DATE))

BYTE_ORDERS = {b"II": "<", b"MM": ">"}
# Types of entries: bytes and text, which stay as they are; letters of `struct` for numbers; a fraction is two numbers.
PLAIN = frozenset((1, 2, 7, 129))
NUMBERS = {3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}
FRACTIONS = {5: "I", 10: "i"}
# Larger values are passed over: none that is wanted needs more, but for XMP, which is cut off by its reader.
MOST_BYTES, MOST_XMP_BYTES = 1 << 16, 1 << 20


def read_exif(data: ByteParts) -> tuple[Directory, Directory]:
    """Read the main directory with its EXIF part, and the GPS part.

    Args:
        data: The block, from its byte order mark on.

    Returns:
        The values by tag: of the main directory and its EXIF part together, and of the GPS part. Both are empty if the
        block is not EXIF.
    """
    if data[:6] == b"Exif\0\0":  # some writers repeat the mark of a JPEG segment
        data = data[6 : len(data)]
    image = read_main_directory(data, IMAGE_TAGS)
    exif, gps = (
        {} if at is None else _read_directory(data, wanted, at)
        for wanted, at in ((IMAGE_TAGS, _pointer(image, EXIF_PART)), (GPS_TAGS, _pointer(image, GPS_PART)))
    )
    return exif | image, gps


def read_main_directory(data: ByteParts, wanted: Container[int]) -> Directory:
    """Read the directory to which the head of a block points.

    Args:
        data: The block, from its byte order mark on.
        wanted: The tags to read.

    Returns:
        The values by tag; of a tag that comes twice, the first. Empty if the block is not EXIF.
    """
    order = BYTE_ORDERS.get(data[:2])
    return {} if order is None else _read_directory(data, wanted, _number(order + "I", data[4:8]))


def _read_directory(data: ByteParts, wanted: Container[int], at: int) -> Directory:
    """Read the directory that begins at a byte of a block."""
    order = BYTE_ORDERS[data[:2]]
    entries = data[at + 2 : at + 2 + 12 * _number(order + "H", data[at : at + 2])]
    found: Directory = {}
    for place in range(0, len(entries) - 11, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", entries, place)
        if tag in wanted and tag not in found:
            value = _value(data, order, kind, count, entries[place + 8 : place + 12], tag)
            if value is not None:
                found[tag] = value
    return found


def _value(data: ByteParts, order: str, kind: int, count: int, place: bytes, tag: int) -> Value | None:
    """Return the value of an entry; None if it is empty, too large, cut off or of an unknown type."""
    letter = NUMBERS.get(kind) or FRACTIONS.get(kind)
    if letter is None and kind not in PLAIN:
        return None
    parts = 2 * count if kind in FRACTIONS else count
    size = parts if letter is None else parts * struct.calcsize(letter)
    if not 0 < size <= (MOST_XMP_BYTES if tag == XMP else MOST_BYTES):
        return None
    begin = _number(order + "I", place)
    raw = place[:size] if size <= 4 else data[begin : begin + size]
    if len(raw) < size:
        return None
    if letter is None:
        return raw
    numbers = struct.unpack(f"{order}{parts}{letter}", raw)
    if kind in NUMBERS:
        return numbers
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return tuple(above / below if below else float("nan") for above, below in pairs)


def _pointer(directory: Directory, tag: int) -> int | None:
    """Return where a part begins, None if there is none."""
    value = directory.get(tag)
    return int(value[0]) if isinstance(value, tuple) and 0 < value[0] < 1 << 40 else None


def _number(form: str, raw: bytes) -> int:
    """Unpack one number, 0 if it is cut off."""
    return int(struct.unpack(form, raw)[0]) if len(raw) == struct.calcsize(form) else 0
