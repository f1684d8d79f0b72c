"""Refuse photos that cannot be decoded, or whose decoding would take too much memory."""

from indexer.photos.decoding.picture import Request
from indexer.photos.retry import OTHER_DECODER, with_pixels

# Photos of more pixels are refused, against decompression bombs.
MAX_PIXELS = 250_000_000
# Bytes of memory that decoding may take per pixel of the limit above, so 1 GB by default, and never under 256 MB.
BYTES_PER_PIXEL = 4
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


class MoreMemoryError(MemoryError):
    """A photo whose decoding takes more memory than was granted, and not too much; it is asked for again.

    Args:
        needed: Bytes that it takes.
    """

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


def memory_budget(max_pixels: int) -> int:
    """Return how many bytes of memory the decoding of a photo, with its file, may take."""
    return max(BYTES_PER_PIXEL * max_pixels, SMALLEST_BUDGET)


def pixels_for(size: int) -> int:
    """Return the least limit of pixels with which so many bytes are within the memory budget."""
    return -(-size // BYTES_PER_PIXEL)


def refuse_large(width: int, height: int, request: Request, needed: int = 0) -> None:
    """Refuse a photo before its pixels are decoded, if they are too many or take too much memory.

    Args:
        width: Pixels of a row.
        height: Rows.
        request: What limits it.
        needed: Bytes of memory that its decoding takes at the peak, with its file.

    Raises:
        UnreadablePhotoError: It is too large.
        MoreMemoryError: It takes more than was granted.
    """
    pixels, budget = width * height, memory_budget(request.max_pixels)
    if pixels > request.max_pixels:
        raise UnreadablePhotoError(
            f"{width} x {height} is {pixels:,} pixels, over the limit of {request.max_pixels:,} "
            "(--max-pixels changes it)",
            with_pixels(pixels),
        )
    if needed > budget:
        raise UnreadablePhotoError(
            f"{width} x {height} takes {needed:,} bytes of memory to decode, over the limit of {budget:,} "
            "(--max-pixels changes it)",
            with_pixels(pixels_for(needed)),
        )
    if request.granted is not None and needed > request.granted:
        raise MoreMemoryError(needed)


def out_of_memory(max_pixels: int) -> UnreadablePhotoError:
    """Return the refusal of a photo whose decoding ran out of memory although its header promised less."""
    budget = memory_budget(max_pixels)
    return UnreadablePhotoError(
        f"needs over {budget:,} bytes of memory to decode, or there is too little (--max-pixels changes the limit)",
        with_pixels(max_pixels + 1),
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
