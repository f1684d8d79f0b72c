"""Tell from its header how much memory the decoding of a photo takes at its peak, in bytes."""

from mmap import mmap

from PIL import Image

from indexer.photos.decoding.colour import STRIP_PIXELS, reduction
from indexer.photos.decoding.picture import FileBytes, Request

# Bytes per pixel of Pillow's modes; all others take 4.
STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
RGB_BYTES = 4
# Bytes per pixel of a strip that is converted, at most, and what decoders need beside pixels.
STRIP_BYTES = 40
WORKSPACE = STRIP_BYTES * STRIP_PIXELS


def file_bytes(data: FileBytes, copies: int = 0) -> int:
    """Return the bytes that a file takes while it is decoded.

    Args:
        data: The file.
        copies: How often the decoder copies it. Pillow copies only what is mapped.
    """
    return len(data) * (1 + copies)


def copies_by_pillow(data: FileBytes) -> int:
    """Return how often a decoder of Pillow that wants a whole file copies it."""
    return int(isinstance(data, mmap))


def rgb_pixels(width: int, height: int, request: Request) -> int:
    """Return how many pixels the RGB picture of a photo has, which is made smaller if the photo is large."""
    factor = reduction(width, height, request.min_side)
    return -(-width // factor) * -(-height // factor)


def picture_bytes(image: Image.Image, request: Request) -> int:
    """Return the peak from the pixels of an image, as Pillow holds them, to its upright RGB picture.

    Args:
        image: An opened image whose pixels need not be decoded yet.
        request: How large the picture should be.

    Returns:
        Bytes: the stored pixels with the RGB made of them, or the RGB with its turned copy.
    """
    width, height = image.size
    rgb = RGB_BYTES * rgb_pixels(width, height, request)
    stored = STORED.get(image.mode, RGB_BYTES) * width * height
    is_kept = image.mode == "RGB" and not {"transparency", "icc_profile"} & image.info.keys() and rgb == stored
    return max(stored + (0 if is_kept else rgb), 2 * rgb) + WORKSPACE
