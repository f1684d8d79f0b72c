"""Convert images of any mode and colour profile to 8-bit sRGB, in strips, so that the memory stays bounded."""

import io
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

# Pixels that are converted at once.
STRIP_PIXELS = 1_000_000
# Photos of more pixels are made smaller as they are converted, if the encoder wants far fewer pixels.
LARGE_PIXELS = 32_000_000
# A photo that is made smaller keeps so many times the side that the encoder wants, for the fine resampling to follow.
REDUCED_SIDES = 4
# Values that stand for white, where they come from integers of 8 to 16 bits.
WHITES = (255, 1023, 4095, 16383, 65535)
# Share of the values of a float photo that may be over 1 and still count as highlights of a range from 0 to 1.
MAX_HIGHLIGHTS = 0.01
NOT_NUMBERS = "odd samples: some are no numbers (NaN), and are shown black"
# Pillow's name of a mode -> the name of its colour space in a profile.
SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}
# A profile that moves no colour by more levels than this is sRGB itself and is not applied, so that most photos stay
# exactly as they are decoded. Profiles of the same sRGB differ in rounding by 1 or 2.
SAME = 3
# Values per channel at which a profile is compared with sRGB.
GRID = np.arange(0, 256, 15, dtype=np.uint8)
# Longer profiles are not looked at; those of printers take up to 2 MB.
LONGEST = 16_000_000


def to_rgb(image: Image.Image, min_side: int = 0, profile: bytes | None = None) -> Image.Image:
    """Convert the current frame of an image to 8-bit RGB.

    Deep greys are scaled and not clipped, transparent parts become white.

    Args:
        image: The image.
        min_side: A large image may become smaller, but its sides stay so many pixels or more; 0 keeps its size.
        profile: Its colour profile, None if there is none.

    Returns:
        The image in RGB.
    """
    image.load()  # the file behind it may be closed before the result is looked at
    width, height = image.size
    factor = reduction(width, height, min_side)
    if factor == 1 and image.mode == "RGB" and not image.has_transparency_data:
        return to_srgb(image, profile)
    value_range = None
    if image.mode.startswith("I") or image.mode == "F":
        blocks = (np.asarray(strip) for _, strip in _strips(image, 1))
        value_range = shown_range(blocks, is_integer=image.mode != "F")
    if factor == 1 and width * height <= STRIP_PIXELS:
        return _strip_to_rgb(image, value_range, profile)
    result = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for top, strip in _strips(image, factor):
        rgb = _strip_to_rgb(strip, value_range, profile)
        result.paste(rgb.reduce(factor) if factor > 1 else rgb, (0, top // factor))
    return result


def reduction(width: int, height: int, min_side: int) -> int:
    """Return by which whole number a large image may be reduced, so that its sides stay well over `min_side`."""
    if not min_side or width * height <= LARGE_PIXELS:
        return 1
    return max(1, min(width, height) // (REDUCED_SIDES * min_side))


def _strips(image: Image.Image, factor: int) -> Iterator[tuple[int, Image.Image]]:
    """Cut an image into strips whose heights `factor` divides; yield the first row of each, and the strip."""
    rows = max(1, STRIP_PIXELS // (image.width * factor)) * factor
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(image.height, top + rows)))
        if "transparency" in image.info:
            strip.info["transparency"] = image.info["transparency"]
        yield top, strip


def _strip_to_rgb(image: Image.Image, value_range: tuple[float, float] | None, profile: bytes | None) -> Image.Image:
    if value_range is not None:
        image = Image.fromarray(to_8_bit(np.asarray(image), value_range))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        image = Image.alpha_composite(white, rgba).convert("RGB")
    elif image.mode not in SPACES:
        image = image.convert("RGB")
    return to_srgb(image, profile)


def shown_range(blocks: Iterable[np.ndarray], *, is_integer: bool) -> tuple[float, float]:
    """Choose the range of deep values that is shown: 0 to 1 or to the largest integer of so many bits, else their own.

    Args:
        blocks: The values, in parts.
        is_integer: Whether the values are integers of more than 8 bits, which always mean 0 to 65535 if they fit.

    Returns:
        The value that becomes black and the one that becomes white.
    """
    low, high, count, over_one = np.inf, -np.inf, 0, 0
    for block in blocks:
        values = block[np.isfinite(block)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            count, over_one = count + values.size, over_one + int((values > 1).sum())
    if not count:
        return 0.0, 1.0
    if low < 0 or high > 65535:
        return low, high
    if is_integer:
        return 0.0, 65535.0
    if over_one <= MAX_HIGHLIGHTS * count:
        return 0.0, 1.0
    return 0.0, float(next(white for white in WHITES if high <= white))


def note_of_odd_numbers(pixels: Image.Image | np.ndarray) -> str | None:
    """Return the note on a photo of floats some of which are no numbers; None for any other photo."""
    if isinstance(pixels, Image.Image) and pixels.mode != "F":
        return None
    if isinstance(pixels, Image.Image):
        blocks = (np.asarray(strip) for _, strip in _strips(pixels, 1))
    else:
        rows = max(1, STRIP_PIXELS // max(1, pixels[:1].size))
        blocks = (pixels[top : top + rows] for top in range(0, len(pixels), rows))
    return NOT_NUMBERS if any(block.dtype.kind == "f" and bool(np.isnan(block).any()) for block in blocks) else None


def to_8_bit(values: np.ndarray, value_range: tuple[float, float]) -> np.ndarray:
    """Scale numbers to uint8.

    Args:
        values: Integers or floats of any shape; what is no number becomes 0.
        value_range: The value that becomes 0 and the one that becomes 255.

    Returns:
        uint8 of the same shape.
    """
    if value_range == (0.0, 65535.0) and values.dtype.kind in "iu":
        return (np.arange(65536) / 257).round().astype(np.uint8)[values]
    zero, one = value_range
    with np.errstate(all="ignore"):  # infinity and what is no number
        scaled = (values.astype(np.float64) - zero) * (255 / (one - zero or 1.0))
        return np.nan_to_num(scaled.clip(0, 255)).round().astype(np.uint8)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image to 8-bit RGB.

    Args:
        image: An image of mode RGB, L, CMYK or LAB.
        profile: Its colour profile. One that is broken, is meant for another mode, or is sRGB itself is ignored, as
            viewers do.

    Returns:
        The image in sRGB; the image itself if it already is.
    """
    if profile or image.mode == "LAB":
        transform = _transform(profile or b"", image.mode)
        if transform is not None:
            return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> "ImageCmsTransform | None":
    """Return the transform from a profile to sRGB, None if there is nothing to transform."""
    from PIL import ImageCms

    if mode not in SPACES or len(profile) > LONGEST:
        return None
    srgb = ImageCms.createProfile("sRGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile) if profile else ImageCms.createProfile("LAB"))
        if profile and source.profile.xcolor_space.strip() != SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(
            source,
            srgb,
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return None if _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _changes_nothing(transform: "ImageCmsTransform", mode: str) -> bool:
    """Tell whether a transform leaves RGB or grey as it is."""
    if mode == "RGB":
        colours = np.stack(np.meshgrid(GRID, GRID, GRID, indexing="ij"), axis=-1).reshape(len(GRID), -1, 3)
    elif mode == "L":
        colours = GRID[None]
    else:
        return False
    image = Image.fromarray(colours)
    before, after = (np.asarray(picture, np.int16) for picture in (image.convert("RGB"), transform.apply(image)))
    return int(abs(after - before).max()) <= SAME
