"""Put the chunks of a damaged PNG right, so that a strict decoder reads it (ISO/IEC 15948)."""

import re
import struct
import zlib
from dataclasses import dataclass, replace

from indexer.photos.decoding.limits import (
    MIN_SHARE,
    TRUNCATED,
    UnreadablePhotoError,
    note_of_missing_rows,
    refuse_large,
)
from indexer.photos.decoding.picture import FileBytes, Request

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">IIBBBBB")
# Chunks that the pixels cannot do without, and those that are kept if they are sound.
PIXEL_CHUNKS = (b"PLTE", b"tRNS")
KEPT_CHUNKS = (*PIXEL_CHUNKS, b"eXIf", b"iCCP")
# A profile of more bytes is left out; those of screens and cameras are far smaller.
LARGEST_PROFILE = 900_000
NAME = re.compile(rb"[A-Za-z]{4}")
LANDMARK = re.compile(rb"PLTE|tRNS|IDAT|IEND")
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Bytes of a transparent colour, by the kind of colour.
TRANSPARENCY = {0: 2, 2: 6}
# First column and row of each pass of an interlaced PNG, and the steps between them.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
# The filter of a row that says "as the row above".
UP = 2
# How often the rows and the compressed pixels of a damaged PNG lie in memory while rows are added.
COPIES = 4
# Bytes that are decompressed at once, so that what stands before an error is kept.
STEP = 256


@dataclass(frozen=True, slots=True)
class PngChunks:
    """Contents of a PNG, as far as they can be told.

    Attributes:
        header: The 13 bytes of IHDR.
        kept: Name and content of the chunks beside the pixels that matter for the picture, in order.
        pixels: The compressed pixels, the contents of IDAT.
        sound_pixels: How many bytes of them stand before the first wrong checksum.
        wrong: Names of chunks with a wrong checksum or length.
        left_out: Names of the other chunks.
    """

    header: bytes
    kept: tuple[tuple[bytes, bytes], ...]
    pixels: bytes
    sound_pixels: int
    wrong: tuple[str, ...]
    left_out: tuple[str, ...]


def read_chunks(data: FileBytes) -> PngChunks | None:
    """Read the chunks of a PNG whose checksums and lengths may be wrong.

    Args:
        data: The bytes of a file.

    Returns:
        The chunks; None if the header or all pixels are missing.
    """
    place = len(SIGNATURE)
    header, pixels, sound_pixels = b"", bytearray(), -1
    kept: dict[bytes, bytes] = {}
    wrong: dict[str, None] = {}
    left_out: dict[str, None] = {}
    while place + 8 <= len(data):
        name = bytes(data[place + 4 : place + 8])
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        is_sound = _is_sound(data, place)
        if not is_sound:
            wrong[name.decode("latin-1") if NAME.fullmatch(name) else "?"] = None
            end = _next_landmark(data, place, end)
        content = bytes(data[place + 8 : max(place + 8, end - 4)])
        if name == b"IHDR" and is_sound:
            header = content[:13]
        elif name == b"IDAT":
            if not is_sound and end <= len(data) and sound_pixels < 0:  # and not just cut off by the end of the file
                sound_pixels = len(pixels)
            pixels += content
        elif name == b"IEND":
            break
        elif name in PIXEL_CHUNKS or (is_sound and name in KEPT_CHUNKS):
            if _is_usable(name, content, header):
                kept.setdefault(name, content)
            else:
                left_out[name.decode("latin-1")] = None
        elif is_sound:
            left_out[name.decode("latin-1")] = None
        place = end
    if len(header) < 13:
        return None
    chunks = tuple((name, kept[name]) for name in KEPT_CHUNKS if name in kept)
    sound = len(pixels) if sound_pixels < 0 else sound_pixels
    return PngChunks(header, chunks, bytes(pixels), sound, tuple(wrong), tuple(left_out))


def has_sound_pixels(data: FileBytes) -> bool:
    """Check the checksums of the pixels of a PNG that a decoder has read, as decoders do not.

    Args:
        data: The bytes of a PNG whose chunks have the right lengths.

    Returns:
        Whether the checksum of every IDAT chunk is right.
    """
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        name, length = bytes(data[place + 4 : place + 8]), int.from_bytes(data[place : place + 4], "big")
        if name == b"IEND":
            break
        if name == b"IDAT" and not _is_sound(data, place):
            return False
        place += 12 + length
    return True


def without_side_chunks(chunks: PngChunks) -> bytes:
    """Write a PNG of the chunks that matter, with right checksums."""
    return SIGNATURE + b"".join(
        _chunk(name, content)
        for name, content in ((b"IHDR", chunks.header), *chunks.kept, (b"IDAT", chunks.pixels), (b"IEND", b""))
    )


def whole_rows(chunks: PngChunks, request: Request) -> tuple[bytes, str]:
    """Write a PNG of the rows that can be decompressed, followed by repetitions of the last one.

    Args:
        chunks: What the damaged PNG holds.
        request: What limits it.

    Returns:
        The bytes of the PNG, and a note how much is missing.

    Raises:
        UnreadablePhotoError: It is too large, or too few rows are there.
    """
    width, height, depth, colour, _, _, interlaced = HEADER.unpack(chunks.header)
    if colour not in CHANNELS or not width or not height:
        raise UnreadablePhotoError(TRUNCATED)
    bits = depth * CHANNELS[colour]
    rows = _row_lengths(width, height, bits, bool(interlaced))
    expected = sum(length * count for length, count in rows)
    refuse_large(width, height, request, COPIES * (expected + len(chunks.pixels)))
    found, is_whole = _decompressed(chunks.pixels, expected)
    if is_whole:
        note = "wrong checksums in the PNG"
    else:
        found, _ = _decompressed(chunks.pixels[: chunks.sound_pixels], expected)
        share = len(found) / expected
        if share < MIN_SHARE and chunks.sound_pixels < len(chunks.pixels):
            raise UnreadablePhotoError("broken image: wrong checksums of its pixels")
        note = "cut off: the end of the PNG is missing" if share == 1 else note_of_missing_rows(share)
    rest = len(found)
    lines = bytearray(found)
    for length, count in rows:
        for _ in range(count):
            there = min(rest, length)
            rest -= there
            lines += bytes(length - there) if there or not length else bytes([UP]) + bytes(length - 1)
    whole = replace(chunks, pixels=zlib.compress(lines, 1))
    return without_side_chunks(whole), note


def _row_lengths(width: int, height: int, bits: int, interlaced: bool) -> list[tuple[int, int]]:
    """Return (bytes per row with its filter, rows) of the whole picture or of each pass."""
    passes = PASSES if interlaced else ((0, 0, 1, 1),)
    sides = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes]
    return [(1 + -(-columns * bits // 8), count) for columns, count in sides if columns > 0 and count > 0]


def _decompressed(content: bytes, most: int) -> tuple[bytes, bool]:
    """Decompress up to `most` bytes; return them, and whether they are all there and their checksum is right."""
    stream, found = zlib.decompressobj(), bytearray()
    try:
        for place in range(0, len(content), STEP):
            found += stream.decompress(content[place : place + STEP], most - len(found) + 1)
            if stream.eof or len(found) > most:
                break
    except zlib.error:
        pass
    return bytes(found[:most]), stream.eof and len(found) == most


def _is_sound(data: FileBytes, place: int) -> bool:
    """Tell whether a chunk lies at a place of the file and its checksum is right."""
    length = int.from_bytes(data[place : place + 4], "big")
    end = place + 8 + length
    if end + 4 > len(data) or not NAME.fullmatch(data[place + 4 : place + 8]):
        return False
    return zlib.crc32(data[place + 4 : end]) == int.from_bytes(data[end : end + 4], "big")


def _plausible(data: FileBytes, place: int) -> bool:
    """Tell whether a chunk may begin at a place of the file, or the file ends there."""
    return place == len(data) or bool(NAME.fullmatch(data[place + 4 : place + 8]))


def _next_landmark(data: FileBytes, place: int, end: int) -> int:
    """Find where the next chunk begins after a damaged one.

    Args:
        data: The file.
        place: Where the damaged chunk begins.
        end: Where it ends by its own length.

    Returns:
        A sound chunk inside it if there is one, since its length is wrong then; else its end if a chunk may begin
        there; else the next sound chunk, or else the end of the file.
    """
    for found in LANDMARK.finditer(data, place + 8):
        start = found.start() - 4
        if start >= end and _plausible(data, end):
            break
        if start >= place + 8 and _is_sound(data, start):
            return start
    return end if end <= len(data) and _plausible(data, end) else len(data) + 4


def _is_usable(name: bytes, content: bytes, header: bytes) -> bool:
    """Tell whether a chunk has a length that its kind may have, and a profile is neither too large nor none."""
    if name == b"tRNS":
        colour = header[9] if len(header) > 9 else -1
        return len(content) == TRANSPARENCY.get(colour, -1) or (colour == 3 and 0 < len(content) <= 256)
    if name != b"iCCP":
        return True
    stream = zlib.decompressobj()
    try:
        stream.decompress(content[content.find(b"\0") + 2 :], LARGEST_PROFILE)
    except zlib.error:
        return False
    return stream.eof


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
