"""Read the size of a WebP from its header (RFC 9649), before a decoder takes memory for it."""

from indexer.photos.decoding.limits import TRUNCATED, UnreadablePhotoError
from indexer.photos.decoding.picture import FileBytes

# Bytes up to the end of the size, whatever the kind of the first chunk.
HEADER_BYTES = 30


def webp_size(data: FileBytes) -> tuple[int, int]:
    """Read the size of a WebP.

    Args:
        data: The bytes of a file.

    Returns:
        (width, height).

    Raises:
        UnreadablePhotoError: The file ends before it, or its first chunk is of a kind that is not known.
    """
    head = bytes(data[:HEADER_BYTES])
    if len(head) < HEADER_BYTES:
        raise UnreadablePhotoError(TRUNCATED)

    def number(at: int, size: int) -> int:
        return int.from_bytes(head[at : at + size], "little")

    if head[12:16] == b"VP8X":
        return number(24, 3) + 1, number(27, 3) + 1
    if head[12:16] == b"VP8L":
        sides = number(21, 4)
        return (sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1
    if head[12:16] == b"VP8 ":
        return number(26, 2) & 0x3FFF, number(28, 2) & 0x3FFF
    raise UnreadablePhotoError("broken image: the WebP begins with no picture")
