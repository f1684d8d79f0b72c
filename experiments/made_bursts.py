"""Make bursts of a photo: frames as a hand-held camera takes them within a second, and copies in several sizes.

A frame differs from the next by what a hand and a camera do: it is shifted, turned by less than two degrees and zoomed
a little; its exposure, gamma and white balance move; half of the frames are blurred; a patch of the picture, the
subject, has moved; every fourth frame is smaller, and each is saved at a JPEG quality of its own.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter


@dataclass(frozen=True, slots=True)
class BurstSettings:
    """Differences between the frames of a burst; the values are drawn evenly from these ranges.

    Attributes:
        frames: Frames of a burst.
        shift: Largest shift, as a share of the sides.
        turn: Largest turn, in degrees.
        zoom: Largest zoom.
        gamma: Range of the exponent of the brightness.
        exposure: Range of the factor of the brightness.
        white_balance: Range of the factor of each colour.
        blur: Largest radius of the blur, in pixels of a photo 500 wide.
        subject_shift: Largest shift of the subject, as shares of width and height.
        quality: Range of the JPEG quality.
        copies: Sizes of the copies, as shares of the photo's.
    """

    frames: int = 8
    shift: float = 0.025
    turn: float = 1.5
    zoom: float = 1.04
    gamma: tuple[float, float] = (0.85, 1.18)
    exposure: tuple[float, float] = (0.85, 1.15)
    white_balance: tuple[float, float] = (0.95, 1.05)
    blur: float = 1.0
    subject_shift: tuple[float, float] = (0.1, 0.04)
    quality: tuple[int, int] = (55, 95)
    copies: tuple[float, ...] = (1.0, 0.6, 0.3)


def made_burst(
    photo: Image.Image, random: np.random.Generator, settings: BurstSettings | None = None
) -> Iterator[bytes]:
    """Make the files of a burst.

    Args:
        photo: An RGB photo.
        random: Draws how the frames differ.
        settings: How much they differ.

    Yields:
        JPEG files: the frames, then copies of the whole photo in several sizes.
    """
    settings = settings or BurstSettings()
    for number in range(settings.frames):
        frame = _lit(_framed(_with_moved_subject(photo, random, settings), random, settings), random, settings)
        if random.random() < 0.5:
            frame = frame.filter(ImageFilter.GaussianBlur(random.uniform(0, settings.blur) * photo.width / 500))
        yield _saved(_resized(frame, random.uniform(0.3, 0.7)) if number % 4 == 3 else frame, random, settings)
    for share in settings.copies:
        yield _saved(_resized(photo, share), random, settings)


def _with_moved_subject(photo: Image.Image, random: np.random.Generator, settings: BurstSettings) -> Image.Image:
    """Paste a patch of the middle beside its place, with soft edges."""
    width, height = photo.size
    patch_width, patch_height = int(width * random.uniform(0.12, 0.25)), int(height * random.uniform(0.2, 0.4))
    left = int(random.uniform(0.25 * width, 0.75 * width - patch_width))
    top = int(random.uniform(0.25 * height, 0.75 * height - patch_height))
    right, down = (random.uniform(-most, most) for most in settings.subject_shift)
    margin = max(2, patch_width // 8)
    mask = Image.new("L", (patch_width, patch_height))
    mask.paste(255, (margin, margin, max(margin, patch_width - margin), max(margin, patch_height - margin)))
    mask = mask.filter(ImageFilter.GaussianBlur(margin / 2))
    moved = photo.copy()
    patch = photo.crop((left, top, left + patch_width, top + patch_height))
    moved.paste(patch, (left + int(right * width), top + int(down * height)), mask)
    return moved


def _framed(photo: Image.Image, random: np.random.Generator, settings: BurstSettings) -> Image.Image:
    """Shift, turn and zoom a photo inside its borders."""
    width, height = photo.size
    angle = np.deg2rad(random.uniform(-settings.turn, settings.turn))
    scale = 0.92 / random.uniform(1, settings.zoom)
    right, down = random.uniform(-settings.shift, settings.shift, 2) * (width, height)
    cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
    origin = (
        width / 2 + right - cosine * width / 2 + sine * height / 2,
        height / 2 + down - sine * width / 2 - cosine * height / 2,
    )
    to_source = (cosine, -sine, origin[0], sine, cosine, origin[1])
    return photo.transform(photo.size, Image.Transform.AFFINE, to_source, Image.Resampling.BICUBIC)


def _lit(photo: Image.Image, random: np.random.Generator, settings: BurstSettings) -> Image.Image:
    """Change gamma, exposure and white balance."""
    values = (np.asarray(photo, np.float32) / 255) ** random.uniform(*settings.gamma)
    values = values * random.uniform(*settings.exposure) * random.uniform(*settings.white_balance, 3)
    return Image.fromarray((values.clip(0, 1) * 255).astype(np.uint8))


def _resized(photo: Image.Image, share: float) -> Image.Image:
    """Resize a photo to a share of its sides."""
    size = (max(1, round(photo.width * share)), max(1, round(photo.height * share)))
    return photo.resize(size, Image.Resampling.LANCZOS)


def _saved(photo: Image.Image, random: np.random.Generator, settings: BurstSettings) -> bytes:
    """Return a photo as a JPEG file."""
    low, high = settings.quality
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=int(random.integers(low, high + 1)))
    return buffer.getvalue()
