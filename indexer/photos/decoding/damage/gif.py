"""Complete a GIF that ends too early: the pixels that are missing of its first frame get the first colour.

References:
    GIF89a specification, https://www.w3.org/Graphics/GIF/spec-gif89a.txt
"""

from dataclasses import dataclass

from indexer.photos.decoding.limits import TRUNCATED, UnreadablePhotoError, note_of_missing_rows, refuse_large
from indexer.photos.decoding.picture import FileBytes, Request

EXTENSION, IMAGE, TRAILER = 0x21, 0x2C, 0x3B
# Bytes of the header with the size of the screen, and of an image descriptor.
HEADER_BYTES, DESCRIPTOR_BYTES = 13, 10
MOST_CODE_BITS = 12
LONGEST_SUB_BLOCK = 255
NO_END = "cut off: the end of the GIF is missing"


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame: its pixels, where its compressed data begins and ends, and the data, as far as they are there."""

    width: int
    height: int
    data_start: int
    data: bytes
    end: int
    is_whole: bool


def complete_gif(data: FileBytes, request: Request) -> tuple[FileBytes, str | None]:
    """Complete a GIF that lacks its end.

    Args:
        data: The bytes of a file.
        request: What limits its frames.

    Returns:
        The file, whose first frame can be decoded, and a note on what is missing; None if nothing is.

    Raises:
        UnreadablePhotoError: It lacks too much, or is too large.
    """
    first, place, is_whole = None, HEADER_BYTES + _table_bytes(data, 10), bool(data)
    while place < len(data):
        if data[place] == TRAILER:
            return data, None
        if data[place] == IMAGE:
            frame = _frame(data, place)
            if first is None and not frame.is_whole:
                return _completed(data, frame, request)
            first = first or frame
            end, is_whole = frame.end, frame.is_whole
        elif data[place] == EXTENSION:
            _, end, is_whole = _sub_blocks(data, place + 2)
        else:
            return data, None  # damaged otherwise, which the decoder says
        if not is_whole:
            break
        place = end
    if first is None:
        raise UnreadablePhotoError(TRUNCATED)
    return bytes(data[:place]) + bytes([TRAILER]), NO_END


def _frame(data: FileBytes, place: int) -> _Frame:
    """Read the frame whose descriptor is at a place."""
    if place + DESCRIPTOR_BYTES >= len(data):
        return _Frame(0, 0, len(data) + 1, b"", len(data), is_whole=False)
    width, height = (int.from_bytes(data[place + at : place + at + 2], "little") for at in (5, 7))
    start = place + DESCRIPTOR_BYTES + _table_bytes(data, place + 9) + 1  # behind the size of the codes
    return _Frame(width, height, start, *_sub_blocks(data, start))


def _table_bytes(data: FileBytes, place: int) -> int:
    """Return the bytes of a table of colours, by the flags at a place."""
    if place >= len(data):
        raise UnreadablePhotoError(TRUNCATED)
    return 3 << (data[place] & 7) + 1 if data[place] & 0x80 else 0


def _sub_blocks(data: FileBytes, start: int) -> tuple[bytes, int, bool]:
    """Read sub-blocks: their content, where they end, and whether they are all there."""
    parts, place = [], start
    while place < len(data) and data[place]:
        parts.append(bytes(data[place + 1 : place + 1 + data[place]]))
        place += 1 + data[place]
    return b"".join(parts), place + 1, place < len(data)


def _completed(data: FileBytes, frame: _Frame, request: Request) -> tuple[bytes, str | None]:
    """Complete a GIF whose first frame is cut."""
    if frame.data_start > len(data):
        raise UnreadablePhotoError(TRUNCATED)
    refuse_large(frame.width, frame.height, request)
    total, code_bits = frame.width * frame.height, data[frame.data_start - 1]
    if not 2 <= code_bits <= 8:
        return bytes(data), None  # damaged otherwise, which the decoder says
    pixels, bits, width = _read_codes(frame.data, code_bits, total)
    note = note_of_missing_rows(pixels / total) if pixels < total else NO_END
    content = _with_pixels(frame.data, bits, width, code_bits, total - pixels)
    blocks = [content[at : at + LONGEST_SUB_BLOCK] for at in range(0, len(content), LONGEST_SUB_BLOCK)]
    end = b"".join(bytes([len(block)]) + block for block in blocks) + bytes([0, TRAILER])
    return bytes(data[: frame.data_start]) + end, note


def _read_codes(content: bytes, code_bits: int, total: int) -> tuple[int, int, int]:
    """Read LZW codes as far as they go: how many pixels they stand for, their bits in all, and those of the next."""
    clear = 1 << code_bits
    lengths: list[int] = []
    width, before = code_bits + 1, -1
    pixels = bits = pending = held = 0
    for byte in content:
        pending |= byte << held
        held += 8
        while held >= width:
            code = pending & ((1 << width) - 1)
            if code == clear + 1 or pixels >= total:
                return pixels, bits, width
            pending >>= width
            held -= width
            bits += width
            if code == clear:
                lengths, width, before = [1] * clear + [0, 0], code_bits + 1, -1
                continue
            if not lengths:
                lengths = [1] * clear + [0, 0]
            if code > len(lengths) or (code == len(lengths) and before < 0):
                return pixels, bits - width, width  # damaged here
            if before >= 0 and len(lengths) < 1 << MOST_CODE_BITS:
                lengths.append(lengths[before] + 1)
            pixels += lengths[code]
            before = code
            if len(lengths) == 1 << width and width < MOST_CODE_BITS:
                width += 1
    return pixels, bits, width


def _with_pixels(content: bytes, bits: int, width: int, code_bits: int, count: int) -> bytes:
    """Append codes for so many pixels of the first colour to the first bits of LZW codes, and the code of the end."""
    clear = 1 << code_bits
    result = bytearray(content[: bits // 8])
    held = bits % 8
    pending = content[bits // 8] & ((1 << held) - 1) if held else 0

    def put(code: int, size: int) -> None:
        nonlocal pending, held
        pending |= code << held
        held += size
        while held >= 8:
            result.append(pending & 255)
            pending >>= 8
            held -= 8

    put(clear, width)
    # Single colours up to where codes would grow longer, then all over again.
    at_once = clear - 2
    for number in range(count):
        if number and number % at_once == 0:
            put(clear, code_bits + 1)
        put(0, code_bits + 1)
    put(clear + 1, code_bits + 1)
    put(0, 7)
    return bytes(result)
