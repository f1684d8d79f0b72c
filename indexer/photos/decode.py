"""One photo: file -> bytes -> digest and upright RGB pixels at the size an encoder wants."""

import hashlib
import io
import os
import stat
import warnings
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF")
RAW_SUFFIXES = (b".dng", b".cr2", b".cr3", b".nef", b".arw", b".orf", b".rw2", b".raf", b".pef", b".srw")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
MAX_PIXELS = 250_000_000

# What the EXIF orientations 2 to 8 take to stand upright; from 5 on, width and height change places.
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


class UnreadablePhoto(Exception):
    """This file gives no picture; the message is the reason, for the list of skipped photos."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How a photo becomes the square that a network sees.

    `mode` "squash" resizes the whole photo to `size` x `size`; "crop" resizes its shorter side to `resize`, which is
    `size` or more, and cuts the centre. `filter` is the name of a Pillow resampling filter.
    """

    size: int
    mode: str = "squash"
    resize: int = 0
    filter: str = "bilinear"


@dataclass(frozen=True, slots=True)
class Decoded:
    """`pixels`: (size, size, 3) uint8 RGB; `digest`: of the file's bytes; `width`, `height`: of the upright photo.

    For a camera RAW file they are those of the preview inside it.
    """

    pixels: np.ndarray
    digest: bytes
    width: int
    height: int


def load(path: bytes, fit: Fit, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Read and decode one file. Raises UnreadablePhoto with the reason, whatever is wrong with it."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UnreadablePhoto("not a regular file")
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UnreadablePhoto(f"cannot be read: {error.strerror}") from None
    except MemoryError:
        raise UnreadablePhoto("not enough memory to read it") from None
    if not data:
        raise UnreadablePhoto("empty file")
    digest = hashlib.blake2b(data, digest_size=16).digest()
    try:
        if os.path.splitext(path)[1].lower() in RAW_SUFFIXES:
            data = _raw_preview(data, max_pixels)
        image, (width, height) = open_upright(data, max_pixels, at_least=max(fit.size, fit.resize))
    except UnreadablePhoto:
        raise
    except MemoryError:
        raise UnreadablePhoto("not enough memory to decode it") from None
    except Exception as error:  # Pillow's plugins raise a dozen kinds on broken data
        raise UnreadablePhoto(_reason(error)) from None
    return Decoded(np.asarray(fit_square(image, fit)), digest, width, height)


def open_upright(data: bytes, max_pixels: int = MAX_PIXELS, at_least: int = 0) -> tuple[Image.Image, tuple[int, int]]:
    """Decode image bytes to upright 8-bit RGB: (image, (width, height) of the full photo, upright).

    A JPEG is decoded at the smallest of the scales 1, 1/2, 1/4 and 1/8 whose sides are both `at_least` or more (0:
    full size), so the image may be smaller than the photo.
    """
    formats: tuple[str, ...] = FORMATS
    if _is_heif(data):
        _enable_heif()
        formats = ("HEIF",)
    with Image.open(io.BytesIO(data), formats=formats) as image:
        width, height = image.size
        _refuse_huge(width, height, max_pixels)
        if image.format in ("JPEG", "MPO"):
            rgb = _scaled_jpeg(image, data, at_least)
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
    """The current frame as 8-bit RGB: deep greys scaled rather than clipped, transparency over white."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_8_bit(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def fit_square(image: Image.Image, fit: Fit) -> Image.Image:
    """The (size x size) picture that `fit` describes, with Pillow's antialiased resampling."""
    resample = Image.Resampling[fit.filter.upper()]
    if fit.mode == "squash":
        return image.resize((fit.size, fit.size), resample, reducing_gap=3.0)
    short, long = sorted(image.size)
    if long > 16 * short:  # resizing all of a thread-thin strip to cut out its centre could take gigabytes
        image = _cut_centre(image, min(image.width, 16 * short), min(image.height, 16 * short))
    width, height = image.size
    # torchvision's Resize rounds the longer side down; embeddings must equal the library's own.
    if width <= height:
        resized = image.resize((fit.resize, int(fit.resize * height / width)), resample)
    else:
        resized = image.resize((int(fit.resize * width / height), fit.resize), resample)
    return _cut_centre(resized, fit.size, fit.size)


def _cut_centre(image: Image.Image, width: int, height: int) -> Image.Image:
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


def _scaled_jpeg(image: Image.Image, data: bytes, at_least: int) -> Image.Image:
    width, height = image.size
    # Halvings only: the scales between them are slower than full size and change the picture more.
    shrink = next((s for s in (8, 4, 2) if min(width, height) >= s * at_least), 1) if at_least else 1
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
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return 1


def _refuse_huge(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise UnreadablePhoto(
            f"{width} x {height} is {width * height:,} pixels, over the limit of {max_pixels:,} "
            "(--max-pixels changes it)"
        )


def _to_8_bit(values: np.ndarray) -> np.ndarray:
    """Deep greys -> uint8: 16-bit integers and floats in 0..1 or 0..255 keep their scale, all else is stretched."""
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
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or of a kind that is not read"
    text = " ".join(str(error).split())
    if "truncated" in text.lower():
        return "truncated image"
    return f"broken image: {text}" if text else f"broken image ({type(error).__name__})"


def _is_heif(data: bytes) -> bool:
    """By the brand, for phones' HEIC photos are often renamed to .jpg. AVIF, which Pillow reads, has the same box."""
    brands = data[8 : int.from_bytes(data[:4], "big")]
    return data[4:8] == b"ftyp" and brands[:4] in HEIF_BRANDS and b"avif" not in brands


def _enable_heif() -> None:
    try:
        import pillow_heif
    except ImportError:
        raise UnreadablePhoto("HEIC needs an extra: pip install 'photoseek[heic]'") from None
    pillow_heif.register_heif_opener()


def _raw_preview(data: bytes, max_pixels: int) -> bytes:
    """The JPEG preview inside a camera RAW file; developed from the sensor data where there is none."""
    try:
        import rawpy
    except ImportError:
        raise UnreadablePhoto("camera RAW needs an extra: pip install 'photoseek[raw]'") from None
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
        raise UnreadablePhoto(f"broken RAW file: {reason}") from None
    buffer = io.BytesIO()
    Image.fromarray(developed).save(buffer, "BMP")
    return buffer.getvalue()
