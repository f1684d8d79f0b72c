"""Decode one photo: file -> bytes -> digest and upright RGB pixels at the size that an encoder wants."""

import hashlib
import io
import os
import stat
import warnings
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from indexer.photos.square_transform import SquareTransform, to_square

# Formats that Pillow may open.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF")
RAW_SUFFIXES = (b".dng", b".cr2", b".cr3", b".nef", b".arw", b".orf", b".rw2", b".raf", b".pef", b".srw")
# The brands by which HEIC files name themselves (ISO/IEC 23008-12).
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
# Photos of more pixels are refused, against decompression bombs: 250 megapixels take 750 MB.
MAX_PIXELS = 250_000_000
# The EXIF tag of the orientation.
ORIENTATION = 0x0112

# Transposition that makes each EXIF orientation from 2 to 8 upright; from 5 on, it swaps width and height.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Our own limit comes with a message that names the option; Pillow's would only warn at first.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns of odd metadata in files that decode well; each warning would be two lines on stderr.
warnings.filterwarnings("ignore", module=r"PIL\.")


class UnreadablePhotoError(Exception):
    """A file cannot be decoded; the message is the reason, for the list of skipped photos."""


@dataclass(frozen=True, slots=True)
class DecodedPhoto:
    """A decoded file.

    Attributes:
        pixels: (size, size, 3) uint8 RGB.
        digest: Digest of the file's bytes, 16 bytes.
        width: Pixels of the upright photo; of a camera RAW file, those of the preview inside it.
        height: Pixels of the upright photo; of a camera RAW file, those of the preview inside it.
    """

    pixels: np.ndarray
    digest: bytes
    width: int
    height: int


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
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UnreadablePhotoError("not a regular file")
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UnreadablePhotoError(f"cannot be read: {error.strerror}") from None
    except MemoryError:
        raise UnreadablePhotoError("not enough memory to read it") from None
    if not data:
        raise UnreadablePhotoError("empty file")
    digest = hashlib.blake2b(data, digest_size=16).digest()
    try:
        if os.path.splitext(path)[1].lower() in RAW_SUFFIXES:
            data = _raw_preview(data, max_pixels)
        image, (width, height) = decode_upright(data, max_pixels, min_side=max(transform.size, transform.resize))
    except UnreadablePhotoError:
        raise
    except MemoryError:
        raise UnreadablePhotoError("not enough memory to decode it") from None
    except Exception as error:  # Pillow's plugins raise a dozen kinds on broken data
        raise UnreadablePhotoError(_reason(error)) from None
    return DecodedPhoto(np.asarray(to_square(image, transform)), digest, width, height)


def decode_upright(data: bytes, max_pixels: int = MAX_PIXELS, min_side: int = 0) -> tuple[Image.Image, tuple[int, int]]:
    """Decode image bytes to upright 8-bit RGB.

    Args:
        data: The bytes of a file.
        max_pixels: Photos of more pixels are refused.
        min_side: A JPEG is decoded at the smallest of the scales 1, 1/2, 1/4 and 1/8 whose sides are both so many
            pixels or more, so that the image may be smaller than the photo; 0 for full size.

    Returns:
        The image, and (width, height) of the whole photo, upright.

    Raises:
        UnreadablePhotoError: The photo has too many pixels, or needs an extra that is not installed.
        Exception: Any of the kinds that Pillow raises for broken data.
    """
    formats: tuple[str, ...] = FORMATS
    if _is_heif(data):
        _enable_heif()
        formats = ("HEIF",)
    with Image.open(io.BytesIO(data), formats=formats) as image:
        width, height = image.size
        _refuse_huge(width, height, max_pixels)
        if image.format in ("JPEG", "MPO"):
            rgb = _scaled_jpeg(image, data, min_side)
        else:
            rgb = to_rgb(image)
            width, height = image.size  # Pillow may turn a TIFF upright as it loads
        orientation = _orientation(image)
    if orientation in UPRIGHT:
        rgb = rgb.transpose(UPRIGHT[orientation])
        if orientation >= 5:
            width, height = height, width
    return rgb, (width, height)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert the current frame to 8-bit RGB; deep greys are scaled, not clipped, transparent parts become white."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_8_bit(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _scaled_jpeg(image: Image.Image, data: bytes, min_side: int) -> Image.Image:
    """Decode a JPEG at a scale that leaves both sides `min_side` or more."""
    width, height = image.size
    # Halvings only: the scales between them are slower than full size and change the picture more.
    shrink = next((s for s in (8, 4, 2) if min(width, height) >= s * min_side), 1) if min_side else 1
    if image.mode in ("RGB", "L"):
        try:
            return Image.fromarray(
                simplejpeg.decode_jpeg(data, min_width=-(-width // shrink), min_height=-(-height // shrink))
            )
        except ValueError:
            pass  # strict decoding refuses harmless oddities as well as damage; Pillow tells the two apart
    image.draft(None, (width // shrink, height // shrink))
    return to_rgb(image)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return 1


def _refuse_huge(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise UnreadablePhotoError(
            f"{width} x {height} is {width * height:,} pixels, over the limit of {max_pixels:,} "
            "(--max-pixels changes it)"
        )


def _to_8_bit(values: np.ndarray) -> np.ndarray:
    """Convert 16-bit integers and floats to uint8; values in 0..1 and 0..255 keep their scale, others are stretched."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if values.dtype.kind in "iu" and low >= 0 and high <= 65535:
        return (np.arange(65536) / 257).round().astype(np.uint8)[values]
    if low >= 0 and high <= 255:
        zero, one = 0.0, 1.0 if high <= 1 else 255.0
    else:
        zero, one = low, high
    scaled = (values.astype(np.float64) - zero) * (255 / (one - zero or 1.0))
    return np.nan_to_num(scaled.clip(0, 255)).round().astype(np.uint8)


def _reason(error: Exception) -> str:
    """Say what is wrong with broken data."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or of a kind that is not read"
    text = " ".join(str(error).split())
    if "truncated" in text.lower():
        return "truncated image"
    return f"broken image: {text}" if text else f"broken image ({type(error).__name__})"


def _is_heif(data: bytes) -> bool:
    """Recognise HEIC by its brand, as phones' photos are often renamed to .jpg; AVIF, which Pillow reads, is none."""
    brands = data[8 : int.from_bytes(data[:4], "big")]
    return data[4:8] == b"ftyp" and brands[:4] in HEIF_BRANDS and b"avif" not in brands


def _enable_heif() -> None:
    """Register the HEIC reader with Pillow."""
    try:
        import pillow_heif
    except ImportError:
        raise UnreadablePhotoError("HEIC needs an extra: pip install 'photoseek[heic]'") from None
    pillow_heif.register_heif_opener()


def _raw_preview(data: bytes, max_pixels: int) -> bytes:
    """Return the JPEG preview inside a camera RAW file, or else a picture developed from the sensor data."""
    try:
        import rawpy
    except ImportError:
        raise UnreadablePhotoError("camera RAW needs an extra: pip install 'photoseek[raw]'") from None
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            try:
                preview = raw.extract_thumb()
            except rawpy.LibRawError:
                preview = None
            if preview is not None and preview.format == rawpy.ThumbFormat.JPEG:
                return bytes(preview.data)
            _refuse_huge(raw.sizes.width, raw.sizes.height, max_pixels)
            developed = raw.postprocess(half_size=True)
    except rawpy.LibRawError as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise UnreadablePhotoError(f"broken RAW file: {reason}") from None
    buffer = io.BytesIO()
    Image.fromarray(developed).save(buffer, "BMP")
    return buffer.getvalue()
