"""Decode camera RAW: by the preview inside the file, or developed from the sensor's data."""

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from indexer.photos.decoding.colour import to_rgb
from indexer.photos.decoding.damage.cut_files import is_cut
from indexer.photos.decoding.jpeg import decode_jpeg
from indexer.photos.decoding.limits import TRUNCATED, UnreadablePhotoError, refuse_large
from indexer.photos.decoding.orientation import ORIENTATION
from indexer.photos.decoding.picture import FileBytes, Picture, Request, as_file
from indexer.photos.memory.estimates import file_bytes
from indexer.photos.retry import with_module

if TYPE_CHECKING:
    import rawpy

# LibRaw's flips -> EXIF orientations.
FLIPS = {0: 1, 3: 3, 5: 8, 6: 6}
# Bytes of memory per pixel of the sensor while it is developed at half size, as measured.
PEAK_BYTES = 8
# How often LibRaw and its binding copy the file.
FILE_COPIES = 1


def decode_raw(data: FileBytes, request: Request) -> Picture:
    """Decode a camera RAW file.

    Args:
        data: The bytes of a file.
        request: How large the picture should be and may be.

    Returns:
        The preview, if its sides are at least as long as asked for; else the developed picture, at half the size of the
        sensor; else the small preview, with a note.

    Raises:
        UnreadablePhotoError: It is too large, broken, or needs an extra that is not installed.
    """
    try:
        import rawpy
    except ImportError:
        reason = "camera RAW needs an extra: pip install 'photoseek[raw]'"
        raise UnreadablePhotoError(reason, with_module("rawpy")) from None
    try:
        with rawpy.imread(as_file(data)) as raw:
            preview = _preview(raw, request)
            if preview is not None and min(preview.width, preview.height) >= request.min_side:
                return preview
            try:
                return _developed(raw, request, file_bytes(data, FILE_COPIES))
            except (rawpy.LibRawError, UnreadablePhotoError):
                if preview is None:
                    raise
                note = f"only the preview of {preview.width} x {preview.height} can be read"
                return Picture(preview.image, preview.width, preview.height, preview.orientation, note)
    except rawpy.LibRawError as error:
        raise UnreadablePhotoError(_reason(error, data)) from None


def _reason(error: "rawpy.LibRawError", data: FileBytes) -> str:
    """Say in plain words what is wrong with a RAW file; LibRaw calls a file that is cut short an input error."""
    import rawpy

    if isinstance(error, rawpy.LibRawIOError) or is_cut(data, "RAW"):
        return TRUNCATED
    if isinstance(error, rawpy.LibRawFileUnsupportedError):
        return "camera RAW of a kind that is not read, or damaged"
    text = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
    return f"damaged camera RAW ({text})"


def _preview(raw: "rawpy.RawPy", request: Request) -> Picture | None:
    """Return the largest preview, None if there is none that can be decoded whole."""
    import rawpy

    turn = FLIPS.get(raw.sizes.flip, 1)
    try:
        preview = raw.extract_thumb()
        if preview.format == rawpy.ThumbFormat.BITMAP:
            image = Image.fromarray(np.asarray(preview.data))
            return Picture(to_rgb(image), image.width, image.height, turn)
        if preview.format != rawpy.ThumbFormat.JPEG:
            return None
        picture = decode_jpeg(bytes(preview.data), request)
        tells = _tells_orientation(bytes(preview.data))
    except MemoryError:
        raise
    except Exception:  # no preview, one of a kind that is not read, or broken data
        return None
    if picture.note is not None:
        return None
    orientation = picture.orientation if tells else turn
    # Some cameras turn the preview and not the sensor's data; LibRaw writes the orientation into it all the same.
    if turn >= 5 and (picture.width > picture.height) != (raw.sizes.width > raw.sizes.height):
        orientation = 1
    return Picture(picture.image, picture.width, picture.height, orientation)


def _tells_orientation(jpeg: bytes) -> bool:
    """Tell whether a JPEG says how it is to be turned."""
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        return ORIENTATION in image.getexif()


def _developed(raw: "rawpy.RawPy", request: Request, file_size: int) -> Picture:
    """Develop the sensor's data at half size, upright."""
    width, height = raw.sizes.width, raw.sizes.height
    refuse_large(width, height, request, file_size + PEAK_BYTES * width * height)
    image = Image.fromarray(raw.postprocess(half_size=True, use_camera_wb=True))
    return Picture(image, image.width, image.height)
