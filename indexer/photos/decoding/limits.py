"""Refuse photos that cannot be decoded, or whose decoding would take too much memory."""

from indexer.photos.retry import OTHER_DECODER, with_pixels

# Photos of more pixels are refused, against decompression bombs.
MAX_PIXELS = 250_000_000
# Bytes of memory that decoding may take per pixel of the limit above, so 2 GB by default, and never under 256 MB.
BYTES_PER_PIXEL = 8
SMALLEST_BUDGET = 256_000_000
# Share of the rows of a damaged photo that must be there.
MIN_SHARE = 0.75

NOT_AN_IMAGE = "not an image, or of a kind that is not read"
TRUNCATED = "the file is cut short"


class UnreadablePhotoError(Exception):
    """A file that cannot be decoded; the message is the reason, for the list of skipped photos.

    Args:
        reason: Why.
        retry: When the same file is worth another try, a word of `indexer.photos.retry`.
    """

    def __init__(self, reason: str, retry: str = OTHER_DECODER) -> None:
        super().__init__(reason)
        self.retry = retry


def memory_budget(max_pixels: int) -> int:
    """Return how many bytes of memory the decoding of a photo may take."""
    return max(BYTES_PER_PIXEL * max_pixels, SMALLEST_BUDGET)


def pixels_for(size: int) -> int:
    """Return the least limit of pixels with which so many bytes are within the memory budget."""
    return -(-size // BYTES_PER_PIXEL)


def refuse_large(width: int, height: int, max_pixels: int, bytes_per_pixel: int = 4) -> None:
    """Refuse a photo before its pixels are decoded, if they are too many or take too much memory.

    Args:
        width: Pixels of a row.
        height: Rows.
        max_pixels: Photos of more pixels are refused.
        bytes_per_pixel: Memory that the decoder takes at its peak.

    Raises:
        UnreadablePhotoError: It is too large.
    """
    pixels = width * height
    if pixels > max_pixels:
        raise UnreadablePhotoError(
            f"{width} x {height} is {pixels:,} pixels, over the limit of {max_pixels:,} (--max-pixels changes it)",
            with_pixels(pixels),
        )
    if pixels * bytes_per_pixel > memory_budget(max_pixels):
        raise UnreadablePhotoError(
            f"{width} x {height} takes {pixels * bytes_per_pixel:,} bytes of memory to decode, over the limit of "
            f"{memory_budget(max_pixels):,} (--max-pixels changes it)",
            with_pixels(pixels_for(pixels * bytes_per_pixel)),
        )


def note_of_missing_rows(share: float) -> str:
    """Say how much of a damaged photo is missing.

    Args:
        share: Share of its rows that are there, 0 to 1.

    Returns:
        The note.

    Raises:
        UnreadablePhotoError: Less than `MIN_SHARE` is there.
    """
    if share < MIN_SHARE:
        raise UnreadablePhotoError(TRUNCATED)
    return f"cut off: the last {max(1, round(100 * (1 - share)))} % of its rows are missing"
