"""Decode one photo: file -> bytes -> digest and upright RGB pixels at the size that an encoder wants."""

import hashlib
import mmap
import os
import stat
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from indexer.photos.content import FIRST_BYTES, RAW_SUFFIXES, kind_of_content
from indexer.photos.decoding.damage.cut_files import is_cut
from indexer.photos.decoding.jpeg import decode_jpeg
from indexer.photos.decoding.jxl import decode_jxl
from indexer.photos.decoding.limits import (
    MAX_PIXELS,
    MIN_SHARE,
    NOT_AN_IMAGE,
    TRUNCATED,
    MoreMemoryError,
    UnreadablePhotoError,
    memory_budget,
    out_of_memory,
    pixels_for,
)
from indexer.photos.decoding.orientation import upright
from indexer.photos.decoding.picture import MAPPED_BYTES, FileBytes, Picture, Request
from indexer.photos.decoding.pillow_kinds import decode_gif, decode_with_pillow
from indexer.photos.decoding.png import decode_png
from indexer.photos.decoding.raw import decode_raw
from indexer.photos.decoding.tiff import decode_tiff
from indexer.photos.decoding.tiff_directory import is_camera_raw
from indexer.photos.file_head import is_contact_sheet
from indexer.photos.memory.sparse_files import stored_bytes
from indexer.photos.retry import ALWAYS, with_pixels
from indexer.photos.square_transform import SquareTransform, to_square

# Our own limit comes with a message that names the option; Pillow's would only warn at first.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns of odd metadata in files that decode well; each warning would be two lines on stderr.
warnings.filterwarnings("ignore", module=r"PIL\.")

DECODERS: dict[str, Callable[[FileBytes, Request], Picture]] = {
    "JPEG": decode_jpeg,
    "PNG": decode_png,
    "RAW": decode_raw,
    "JXL": decode_jxl,
    "GIF": decode_gif,
    "TIFF": lambda data, request: (decode_raw if is_camera_raw(data) else decode_tiff)(data, request),
} | {
    kind: partial(decode_with_pillow, kind=kind)
    for kind in ("WEBP", "BMP", "DIB", "AVIF", "HEIF", "JPEG2000", "PPM", "PSD")
}


@dataclass(frozen=True, slots=True)
class DecodedPhoto:
    """A decoded file.

    Attributes:
        pixels: (size, size, 3) uint8 RGB.
        digest: Digest of the file's bytes, 16 bytes.
        width: Pixels of the upright photo; of a camera RAW file, those of what was decoded: the preview inside it, or
            the sensor's data at half size.
        height: Pixels of the upright photo, likewise.
        note: What was damaged, in a few words; None if nothing was.
    """

    pixels: np.ndarray
    digest: bytes
    width: int
    height: int
    note: str | None = None


class UprightPhoto(NamedTuple):
    """A decoded photo, upright.

    Attributes:
        image: 8-bit RGB, the size of the photo or smaller.
        size: (width, height) of the whole photo.
        note: What was damaged, None if nothing was.
    """

    image: Image.Image
    size: tuple[int, int]
    note: str | None


def decode_photo(path: bytes, transform: SquareTransform, max_pixels: int = MAX_PIXELS) -> DecodedPhoto:
    """Read and decode one file.

    Args:
        path: The file.
        transform: The square that the photo becomes.
        max_pixels: Photos of more pixels are refused.

    Returns:
        The pixels, (size, size, 3) uint8 RGB, with the digest of the file and the size of the photo.

    Raises:
        UnreadablePhotoError: The file cannot be decoded, for any reason.
    """
    return decode_read(read_photo(path, max_pixels), transform, max_pixels)


@dataclass(frozen=True, slots=True, eq=False)
class ReadPhoto:
    """A photo's file that was read: its path, its bytes, one or more, and their digest, 16 bytes."""

    path: bytes
    data: FileBytes
    digest: bytes


def read_photo(path: bytes, max_pixels: int = MAX_PIXELS) -> ReadPhoto:
    """Read a photo's file; a large one is mapped.

    Args:
        path: The file.
        max_pixels: Files that are too large for photos of so many pixels are refused.

    Returns:
        The file.

    Raises:
        UnreadablePhotoError: It is empty, too large, sparse, cannot be read, or is no regular file.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UnreadablePhotoError("not a regular file", ALWAYS)
        with open(path, "rb") as file:
            data = _contents(file, max_pixels, _is_named_raw(path))
            return ReadPhoto(path, data, _digest(file, data))
    except OSError as error:
        raise UnreadablePhotoError(f"cannot be read: {error.strerror}", ALWAYS) from None
    except MemoryError:
        raise out_of_memory(max_pixels) from None


def decode_read(
    photo: ReadPhoto, transform: SquareTransform, max_pixels: int = MAX_PIXELS, granted: int | None = None
) -> DecodedPhoto:
    """Decode a file that was read.

    Args:
        photo: The file.
        transform: The square that the photo becomes.
        max_pixels: Photos of more pixels are refused.
        granted: Bytes of memory that the decoding may take now; None for as much as any photo may.

    Returns:
        The pixels, (size, size, 3) uint8 RGB, with the digest of the file and the size of the photo.

    Raises:
        UnreadablePhotoError: The file cannot be decoded, for any reason.
        MoreMemoryError: It takes more memory than was granted.
    """
    if is_contact_sheet(photo.data):
        raise UnreadablePhotoError("a contact sheet of photoseek")
    try:
        request = Request(max(transform.size, transform.resize), max_pixels, granted)
        image, (width, height), note = _decode(photo.data, request, _is_named_raw(photo.path))
    except (UnreadablePhotoError, MoreMemoryError):
        raise
    except MemoryError:
        raise out_of_memory(max_pixels) from None
    except Exception as error:  # Pillow's plugins raise a dozen kinds on broken data
        raise UnreadablePhotoError(_reason(error)) from None
    return DecodedPhoto(np.asarray(to_square(image, transform)), photo.digest, width, height, note)


def decode_upright(data: FileBytes, max_pixels: int = MAX_PIXELS, min_side: int = 0) -> UprightPhoto:
    """Decode image bytes to upright 8-bit RGB.

    Args:
        data: The bytes of a file.
        max_pixels: Photos of more pixels are refused.
        min_side: A JPEG is decoded at the smallest of the scales 1, 1/2, 1/4 and 1/8 whose sides are both so many
            pixels or more, so that the image may be smaller than the photo; so may other very large photos be. 0 for
            full size.

    Returns:
        The image, the size of the whole photo, and a note if it was damaged.

    Raises:
        UnreadablePhotoError: It is no photo, has too many pixels, is too damaged, or needs an extra that is not
            installed.
        Exception: Any of the kinds that Pillow raises for broken data.
    """
    return _decode(data, Request(min_side, max_pixels))


def _decode(data: FileBytes, request: Request, is_named_raw: bool = False) -> UprightPhoto:
    """Decode by the content, or by LibRaw where only the name says that it is camera RAW."""
    kind = kind_of_content(bytes(data[:FIRST_BYTES])) or ("RAW" if is_named_raw else None)
    if kind is None:
        raise UnreadablePhotoError(NOT_AN_IMAGE)
    try:
        picture = DECODERS[kind](data, request)
    except (UnreadablePhotoError, MemoryError):
        raise
    except Exception:
        if is_cut(data, kind):
            raise UnreadablePhotoError(TRUNCATED) from None
        raise
    width, height = picture.width, picture.height
    if 5 <= picture.orientation <= 8:
        width, height = height, width
    return UprightPhoto(upright(picture.image, picture.orientation), (width, height), picture.note)


def _is_named_raw(path: bytes) -> bool:
    return os.path.splitext(path)[1].lower() in RAW_SUFFIXES


def _contents(file: BufferedReader, max_pixels: int, is_named_raw: bool) -> FileBytes:
    """Read an open file, or map it if it is large; refuse what cannot be a photo before it is read."""
    size = os.fstat(file.fileno()).st_size
    if size > memory_budget(max_pixels):
        reason = f"the file has {size:,} bytes, over the limit of {memory_budget(max_pixels):,}"
        raise UnreadablePhotoError(f"{reason} (--max-pixels changes it)", with_pixels(pixels_for(size)))
    if size > MAPPED_BYTES and (there := stored_bytes(file.fileno(), size)) < MIN_SHARE * size:
        raise UnreadablePhotoError(f"sparse file: only {there:,} of its {size:,} bytes are there")
    if size <= MAPPED_BYTES:
        data = file.read()
        if not data:
            raise UnreadablePhotoError("empty file")
        return data
    if kind_of_content(file.read(FIRST_BYTES)) is None and not is_named_raw:
        raise UnreadablePhotoError(NOT_AN_IMAGE)
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _digest(file: BufferedReader, data: FileBytes) -> bytes:
    """Return the digest of a file; one that is mapped is read a second time, block by block."""
    if isinstance(data, bytes):
        return hashlib.blake2b(data, digest_size=16).digest()
    file.seek(0)
    return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()


def _reason(error: Exception) -> str:
    """Say what is wrong with broken data."""
    if isinstance(error, UnidentifiedImageError):
        return NOT_AN_IMAGE
    text = " ".join(str(error).split())
    if "truncated" in text.lower():
        return TRUNCATED
    return f"broken image: {text}" if text else f"broken image ({type(error).__name__})"
