"""Transform upright photos to the squares that a network sees."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

# Pillow's factor between the size to which a photo is first reduced, quickly, and its final size.
REDUCING_GAP = 3.0
# Longest side of what is resized, as a multiple of the shorter one: resizing all of a thread-thin strip to cut out its
# centre could take gigabytes.
LONGEST_STRIP = 16


@dataclass(frozen=True, slots=True)
class SquareTransform:
    """Resizing and cropping of a photo to a square.

    Attributes:
        size: Side of the square, in pixels.
        mode: "squash" resizes the whole photo to the square; "crop" resizes its shorter side to `resize` and cuts the
            centre.
        resize: The shorter side before the cut, `size` or more, in pixels; 0 with "squash".
        filter: Name of a Pillow resampling filter.
    """

    size: int
    mode: str = "squash"
    resize: int = 0
    filter: str = "bilinear"


def to_square(image: "Image.Image", transform: SquareTransform) -> "Image.Image":
    """Make the square of a photo, with Pillow's antialiased resampling.

    Args:
        image: The upright photo, RGB.
        transform: How it becomes a square.

    Returns:
        An image of `size` x `size` pixels.
    """
    from PIL import Image

    resample = Image.Resampling[transform.filter.upper()]
    if transform.mode == "squash":
        return image.resize((transform.size, transform.size), resample, reducing_gap=REDUCING_GAP)
    short, long = sorted(image.size)
    if long > LONGEST_STRIP * short:
        image = _cut_centre(image, min(image.width, LONGEST_STRIP * short), min(image.height, LONGEST_STRIP * short))
    width, height = image.size
    # torchvision's Resize rounds the longer side down; embeddings must equal the library's own.
    if width <= height:
        resized = image.resize((transform.resize, int(transform.resize * height / width)), resample)
    else:
        resized = image.resize((int(transform.resize * width / height), transform.resize), resample)
    return _cut_centre(resized, transform.size, transform.size)


def _cut_centre(image: "Image.Image", width: int, height: int) -> "Image.Image":
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))
