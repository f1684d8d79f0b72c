"""Find the blocks of metadata in a file: JPEG segments, PNG and WebP chunks, TIFF and camera RAW, boxes, PSD.

The kind of a file is told by its first bytes, never by its name.
"""

import zlib
from contextlib import suppress
from dataclasses import dataclass, field

from indexer.photos import boxes
from indexer.photos.metadata.exif_directories import (
    BYTE_ORDERS,
    GPS_TAGS,
    IMAGE_TAGS,
    MOST_XMP_BYTES,
    SOFTWARE,
    XMP,
    Directory,
    read_exif,
    read_main_directory,
)
from indexer.photos.metadata.file_bytes import ByteParts

# Parts of a file that are looked at, at most.
MOST_PARTS = 1 << 16
# The first bytes of files in the structure of TIFF; those of Olympus and Panasonic RAW differ.
TIFF_STARTS = (b"II*\0", b"MM\0*", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
PNG_START = b"\x89PNG\r\n\x1a\n"
XMP_SEGMENT = b"http://ns.adobe.com/xap/1.0/\0"
# The uuid box of Canon's CR3, and those of EXIF (two) and XMP in JPEG 2000.
CR3_UUID = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
EXIF_UUIDS = (b"JpgTiffExif->JP2", bytes.fromhex("0537cdab9d0c4431a72afa561f2a113e"))
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


@dataclass(slots=True)
class FoundTags:
    """Contents of the blocks of a file: values of EXIF's main and EXIF directory, of its GPS part, and XMP as text."""

    image: Directory = field(default_factory=dict)
    gps: Directory = field(default_factory=dict)
    xmp: str = ""

    def add_exif(self, block: ByteParts) -> None:
        """Add a block of EXIF; what is known already stays."""
        image, gps = read_exif(block)
        self.image, self.gps = image | self.image, gps | self.gps
        if isinstance(xmp := image.get(XMP), bytes):
            self.add_xmp(xmp)

    def add_xmp(self, block: bytes) -> None:
        """Add a block of XMP, unless there is one."""
        self.xmp = self.xmp or block[:MOST_XMP_BYTES].decode("utf-8", "replace")


def find_tags(data: ByteParts) -> FoundTags:
    """Read the metadata blocks of a file.

    Args:
        data: The file.

    Returns:
        The values; empty for a file of a kind that has none or is not known.
    """
    found, start = FoundTags(), data[:32]
    if start[:2] == b"\xff\xd8":
        _read_jpeg(data, found)
    elif start.startswith(PNG_START):
        _read_png(data, found)
    elif start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        _read_webp(data, found)
    elif start.startswith(TIFF_STARTS):
        found.add_exif(data)
    elif start.startswith(b"FUJIFILMCCD-RAW"):
        preview = int.from_bytes(data[84:88], "big")  # a JPEG that has all metadata
        _read_jpeg(data[preview : preview + MOST_XMP_BYTES], found)
    elif start[4:8] in (b"ftyp", b"jP  ", b"JXL "):
        _read_boxes(data, found)
    elif start[:4] == b"8BPS":
        _read_photoshop(data, found)
    return found


def _read_jpeg(data: ByteParts, found: FoundTags) -> None:
    """Read the segments before the picture."""
    at = 2
    for _ in range(MOST_PARTS):
        head = data[at : at + 4]
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xDA, 0xD9):
            return
        if head[1] == 0xFF:  # bytes that fill up
            at += 1
            continue
        size = int.from_bytes(head[2:], "big")
        if head[1] == 0xE1:
            segment = data[at + 4 : at + 2 + size]
            if segment.startswith(b"Exif\0"):
                found.add_exif(segment[6:])
            elif segment.startswith(XMP_SEGMENT):
                found.add_xmp(segment[len(XMP_SEGMENT) :])
        at += 2 + max(2, size)


def _read_png(data: ByteParts, found: FoundTags) -> None:
    """Read the chunks, which may come behind the picture."""
    at = 8
    for _ in range(MOST_PARTS):
        head = data[at : at + 8]
        size, kind, begin = int.from_bytes(head[:4], "big"), head[4:], at + 8
        if len(head) < 8:
            return
        if kind == b"eXIf":
            found.add_exif(data[begin : begin + size])
        elif kind in (b"iTXt", b"zTXt", b"tEXt") and size <= MOST_XMP_BYTES:
            _read_png_text(kind, data[begin : begin + size], found)
        at = begin + size + 4  # a checksum


def _read_png_text(kind: bytes, content: bytes, found: FoundTags) -> None:
    """Read a text chunk: XMP, EXIF as older ImageMagick writes it, or the program that wrote the file."""
    key, _, text = content.partition(b"\0")
    if kind == b"iTXt":
        is_packed = text[:1] == b"\1"
        text = text[2:].split(b"\0", 2)[-1]
    else:
        is_packed = kind == b"zTXt"
        text = text[is_packed:]
    if key == b"XML:com.adobe.xmp" and not found.xmp:
        found.add_xmp(_unpacked(text) if is_packed else text)
    elif key == b"Software":
        found.image.setdefault(SOFTWARE, text)
    elif key in (b"Raw profile type exif", b"Raw profile type APP1") and not found.image:
        # The name of the profile and its length stand before the digits.
        digits = b"".join((_unpacked(text) if is_packed else text).split()[2:])
        with suppress(ValueError):
            found.add_exif(bytes.fromhex(digits.decode("ascii")))


def _unpacked(text: bytes) -> bytes:
    """Return compressed text, cut off after the bytes that are looked at, or nothing if it is damaged."""
    try:
        return zlib.decompressobj().decompress(text, MOST_XMP_BYTES)
    except zlib.error:
        return b""


def _read_webp(data: ByteParts, found: FoundTags) -> None:
    """Read the chunks."""
    at = 12
    for _ in range(MOST_PARTS):
        head = data[at : at + 8]
        kind, size, begin = head[:4], int.from_bytes(head[4:], "little"), at + 8
        if len(head) < 8:
            return
        if kind == b"EXIF":
            found.add_exif(data[begin : begin + size])
        elif kind == b"XMP ":
            found.add_xmp(data[begin : begin + min(size, MOST_XMP_BYTES)])
        at = begin + size + size % 2


def _read_boxes(data: ByteParts, found: FoundTags) -> None:
    """Read the boxes of HEIC, AVIF, JPEG XL, JPEG 2000 and CR3."""
    for box in boxes.walk(data, 0, len(data)):
        if box.kind == b"meta":
            for kind, block in boxes.metadata_items(data, box):
                if kind == b"Exif":
                    found.add_exif(_behind_offset(block))
                else:
                    found.add_xmp(block)
        elif box.kind == b"Exif":
            found.add_exif(_behind_offset(data[box.begin : box.end]))
        elif box.kind == b"xml ":
            found.add_xmp(data[box.begin : box.end])
        elif box.kind == b"moov":
            for part in boxes.walk(data, box.begin, box.end):
                _read_uuid(data, part, found)
        else:
            _read_uuid(data, box, found)


def _read_uuid(data: ByteParts, box: boxes.Box, found: FoundTags) -> None:
    """Read a box whose kind is told by the 16 bytes before its content; pass over any other box."""
    uuid, begin = data[box.begin : box.begin + 16], box.begin + 16
    if box.kind != b"uuid":
        return
    if uuid in EXIF_UUIDS:
        found.add_exif(data[begin : box.end])
    elif uuid == XMP_UUID:
        found.add_xmp(data[begin : box.end])
    elif uuid == CR3_UUID:
        _read_cr3(data, boxes.Box(b"", begin, box.end), found)


def _behind_offset(block: bytes) -> bytes:
    """Return EXIF without the four bytes that say where it begins, which some writers leave out."""
    if block[:2] in BYTE_ORDERS:
        return block
    return block[4 + int.from_bytes(block[:4], "big") :]


def _read_cr3(data: ByteParts, box: boxes.Box, found: FoundTags) -> None:
    """Read Canon's blocks, each a main directory: of the file, of EXIF, of GPS."""
    for part in boxes.walk(data, box.begin, box.end):
        block = data[part.begin : part.end]
        if part.kind in (b"CMT1", b"CMT2"):
            found.image = read_main_directory(block, IMAGE_TAGS) | found.image
        elif part.kind == b"CMT4":
            found.gps = read_main_directory(block, GPS_TAGS) | found.gps


def _read_photoshop(data: ByteParts, found: FoundTags) -> None:
    """Read the image resources of a PSD file."""
    at = 26 + 4 + int.from_bytes(data[26:30], "big")
    end = at + 4 + int.from_bytes(data[at : at + 4], "big")
    at += 4
    for _ in range(MOST_PARTS):
        head = data[at : at + 7]
        if at >= end or head[:4] != b"8BIM":
            return
        at += 6 + (1 + head[6]) + (1 + head[6]) % 2  # its name has an even number of bytes with its length
        size = int.from_bytes(data[at : at + 4], "big")
        number = int.from_bytes(head[4:6], "big")
        if number == 1058:
            found.add_exif(data[at + 4 : at + 4 + size])
        elif number == 1060:
            found.add_xmp(data[at + 4 : at + 4 + size])
        at += 4 + size + size % 2
