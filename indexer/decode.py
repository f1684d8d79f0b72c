"""One photo: file -> bytes -> digest and upright RGB pixels at the size an encoder wants."""

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "HEIF")
RAW_SUFFIXES = (b".dng", b".cr2", b".cr3", b".nef", b".arw", b".orf", b".rw2", b".raf", b".pef", b".srw")
HEIF_SUFFIXES = (b".heic", b".heif")
MAX_PIXELS = 250_000_000

# Our own limit comes with a message that names the option; Pillow's would only warn at first.
Image.MAX_IMAGE_PIXELS = None


class UnreadablePhoto(Exception):
    """This file gives no picture; the message is the reason, for the list of skipped photos."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How a photo becomes the square that a network sees.

    `mode` "squash" resizes the whole photo to `size` x `size`; "crop" resizes its shorter side to `resize` and cuts
    the centre. `filter` is the name of a Pillow resampling filter.
    """

    size: int
    mode: str = "squash"
    resize: int = 0
    filter: str = "bilinear"


@dataclass(frozen=True, slots=True)
class Decoded:
    """`pixels`: (size, size, 3) uint8 RGB; `digest`: of the file's bytes; `width`, `height`: upright, as stored."""

    pixels: np.ndarray
    digest: bytes
    width: int
    height: int


def load(path: bytes, fit: Fit, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Read and decode one file. Raises UnreadablePhoto with the reason, whatever is wrong with it."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UnreadablePhoto(f"cannot be read: {error.strerror}") from None
    if not data:
        raise UnreadablePhoto("empty file")
    digest = hashlib.blake2b(data, digest_size=16).digest()
    suffix = path[path.rfind(b".") :].lower()
    if suffix in RAW_SUFFIXES:
        data = _raw_preview(data)
    elif suffix in HEIF_SUFFIXES:
        _enable_heif()
    try:
        image, size = open_upright(data, max_pixels, at_least=max(fit.size, fit.resize))
        pixels = np.asarray(fit_square(image, fit))
    except UnreadablePhoto:
        raise
    except MemoryError:
        raise UnreadablePhoto("not enough memory to decode it") from None
    except Exception as error:  # Pillow's plugins raise a dozen kinds on broken data
        raise UnreadablePhoto(_reason(error)) from None
    return Decoded(pixels, digest, *size)


def open_upright(data: bytes, max_pixels: int = MAX_PIXELS, at_least: int = 0) -> tuple[Image.Image, tuple[int, int]]:
    """Decode image bytes to upright 8-bit RGB: (image, (width, height) of the full photo, upright).

    A JPEG is decoded at the smallest scale whose sides are both `at_least` or more (0: full size), so the image may
    be smaller than the photo.
    """
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise UnreadablePhoto(
                f"{width} x {height} is {width * height / 1e6:.0f} megapixels, over the limit of "
                f"{max_pixels / 1e6:.0f} (--max-pixels changes it)"
            )
        orientation = image.getexif().get(0x0112, 1)
        rgb = None
        if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L") and at_least:
            rgb = _scaled_jpeg(data, at_least)
        if rgb is None:
            rgb = to_rgb(image)
    if orientation in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        rgb.info["exif"] = exif.tobytes()
        rgb = ImageOps.exif_transpose(rgb)
        if orientation >= 5:
            width, height = height, width
    return rgb, (width, height)


def to_rgb(image: Image.Image) -> Image.Image:
    """The first frame as 8-bit RGB: deep greys scaled rather than clipped, transparency over white."""
    image.seek(0)
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_8_bit(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def fit_square(image: Image.Image, fit: Fit) -> Image.Image:
    """The (size x size) picture that `fit` describes, with Pillow's antialiased resampling."""
    resample = Image.Resampling[fit.filter.upper()]
    if fit.mode == "squash":
        return image.resize((fit.size, fit.size), resample, reducing_gap=3.0)
    width, height = image.size
    scale = fit.resize / min(width, height)
    # torchvision's Resize rounds the longer side down; embeddings must equal the library's own.
    new = (fit.resize, int(fit.resize * height / width)) if width <= height else (int(fit.resize * width / height), fit.resize)
    resized = image.resize(new, resample) if scale != 1 else image
    left, top = round((new[0] - fit.size) / 2), round((new[1] - fit.size) / 2)
    return resized.crop((left, top, left + fit.size, top + fit.size))


def _scaled_jpeg(data: bytes, at_least: int) -> Image.Image | None:
    try:
        return Image.fromarray(simplejpeg.decode_jpeg(data, min_height=at_least, min_width=at_least))
    except ValueError:
        # Strict decoding refuses harmless oddities as well as damage; Pillow tells the two apart.
        return None


def _to_8_bit(values: np.ndarray) -> np.ndarray:
    """Deep greys -> uint8: 16-bit integers and floats in 0..1 or 0..255 keep their scale, all else is stretched."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if np.issubdtype(values.dtype, np.integer) and low >= 0 and high <= 65535:
        scaled = values / 257
    elif low >= 0 and high <= 1:
        scaled = values * 255.0
    elif low >= 0 and high <= 255:
        scaled = values.astype(np.float64)
    else:
        scaled = (values.astype(np.float64) - low) * (255 / (high - low))
    return np.nan_to_num(scaled).round().astype(np.uint8)


def _reason(error: Exception) -> str:
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image, or of a kind that is not read"
    text = " ".join(str(error).split())
    return f"broken image: {text}" if text else f"broken image ({type(error).__name__})"


def _enable_heif() -> None:
    try:
        import pillow_heif
    except ImportError:
        raise UnreadablePhoto("HEIC needs an extra: pip install 'photoseek[heic]'") from None
    pillow_heif.register_heif_opener()


def _raw_preview(data: bytes) -> bytes:
    """The JPEG preview inside a camera RAW file; developed from the sensor data where there is none."""
    try:
        import rawpy
    except ImportError:
        raise UnreadablePhoto("camera RAW needs an extra: pip install 'photoseek[raw]'") from None
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            try:
                preview: Any = raw.extract_thumb()
            except rawpy.LibRawError:
                preview = None
            if preview is not None and preview.format == rawpy.ThumbFormat.JPEG:
                return bytes(preview.data)
            developed = raw.postprocess(half_size=True)
    except rawpy.LibRawError as error:
        raise UnreadablePhoto(f"broken RAW file: {error}") from None
    buffer = io.BytesIO()
    Image.fromarray(developed).save(buffer, "BMP")
    return buffer.getvalue()
