"""Read the markers of a JPEG: the frame's coding, the scans, where the data ends (ITU-T T.81)."""

import re
from dataclasses import dataclass

from indexer.photos.decoding.picture import FileBytes

START_OF_SCAN = 0xDA
END = b"\xff\xd9"
# The codings that begin a frame, SOF0 to SOF15; DHT, JPG and DAC have numbers between them.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
ARITHMETIC = frozenset(range(0xC9, 0xD0)) - {0xCC}
# A marker that ends a scan: no stuffed zero, no restart, no fill byte.
MARKER = re.compile(rb"\xff([\xc0-\xcf\xda-\xfe\xd8\xd9])", re.DOTALL)
# Zeros at the end of a file that has no end marker, from which on they are not data but disk that was never written.
FEWEST_ZEROS = 16
# Zeros with which the data itself may end; more of them would be a wonder, and so few do no harm.
OWN_ZEROS = 2
BLOCK = 1 << 20
COEFFICIENT_BYTES = 2


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """The header of a JPEG's frame.

    Attributes:
        coding: The second byte of its marker, of `FRAMES`.
        precision: Bits per channel.
        channels: How many.
        samples_per_pixel: Their samples, of which coarser channels have fewer.
    """

    coding: int
    precision: int
    channels: int
    samples_per_pixel: float


def jpeg_frame(data: FileBytes) -> JpegFrame | None:
    """Find the header of the frame.

    Args:
        data: A JPEG.

    Returns:
        The header, None if the file ends before it.
    """
    place = 2
    while place + 10 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker in FRAMES:
            factors = [(byte >> 4, byte & 15) for byte in data[place + 11 : place + 10 + 3 * data[place + 9] : 3]]
            across, down = (max((pair[at] for pair in factors), default=1) or 1 for at in (0, 1))
            samples = sum(x * y for x, y in factors) / (across * down)
            return JpegFrame(marker, data[place + 4], data[place + 9], samples)
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def coefficient_bytes(data: FileBytes) -> float:
    """Return the bytes per pixel of the coefficients that a decoder keeps, at any scale, of a JPEG in several scans.

    Args:
        data: A JPEG.

    Returns:
        0 if all channels lie in one scan, so that no coefficients are kept.
    """
    frame = jpeg_frame(data)
    if frame is None:
        return 0.0
    place = 2
    while frame.coding not in PROGRESSIVE and place + 5 <= len(data) and data[place] == 0xFF:
        if data[place + 1] == START_OF_SCAN:
            if data[place + 4] >= frame.channels:
                return 0.0
            break
        place += 1 if data[place + 1] == 0xFF else 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return COEFFICIENT_BYTES * frame.samples_per_pixel


def coefficients_there(data: bytes) -> int:
    """Count the coefficients of a progressive JPEG's first channel that are there, at least as a first approximation.

    Args:
        data: A progressive JPEG without its end.

    Returns:
        0 to 64: how many there are, in zigzag order, before the first that is missing or cut off.
    """
    place = 2
    covered: set[int] = set()
    first_channel = -1
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, size = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xFF:
            place += 1
            continue
        segment = data[place + 4 : place + 2 + size]
        place += 2 + size
        if marker in FRAMES and len(segment) > 6:
            first_channel = segment[6]
        if marker != START_OF_SCAN:
            continue
        found = MARKER.search(data, place)
        if found is None:  # the cut is in this scan
            break
        channels = segment[1 : 1 + 2 * segment[0] : 2]
        first, last, approximation = segment[1 + 2 * segment[0] :][:3]
        if first_channel in channels and approximation >> 4 == 0:
            covered.update(range(first, last + 1))
        place = found.start()
    return next((number for number in range(64) if number not in covered), 64)


def length_before_filling(data: FileBytes) -> int:
    """Return the length of a JPEG without end up to the zeros that fill the rest of its file.

    Args:
        data: A JPEG without its end marker.

    Returns:
        Bytes; the whole length if it does not end in zeros.
    """
    end = len(data)
    while end:
        block = data[max(0, end - BLOCK) : end]
        kept = len(block.rstrip(b"\0"))
        end -= len(block) - kept
        if kept:
            break
    if len(data) - end < FEWEST_ZEROS:
        return len(data)
    return end + OWN_ZEROS
