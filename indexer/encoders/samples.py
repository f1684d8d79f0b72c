"""Sentences and photos to compare precisions and exports on."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

SAMPLE_SENTENCES = (
    "a dog",
    "two children play football on the beach at sunset",
    "A man in a red jacket climbs a snow-covered mountain with an ice axe .",
    "violin",
    "a photo of a lighthouse",
    "People wait for a bus in the rain under umbrellas, and one of them is reading a newspaper.",
    "an empty street at night",
    "black and white portrait of an old woman smiling",
)


def sample_photos(size: int) -> np.ndarray:
    """Crop the two photos that scikit-learn ships, a temple and a flower.

    Args:
        size: Side of a crop, in pixels.

    Returns:
        (16, size, size, 3) uint8 RGB, the first half of the temple.
    """
    from PIL import Image

    # Importing scikit-learn to open two files would take a second.
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    crops = []
    for name in ("china.jpg", "flower.jpg"):
        with Image.open(Path(package.origin).parent / "datasets" / "images" / name) as file:
            photo = np.asarray(file.convert("RGB"))
        height, width = photo.shape[:2]
        for top in (0, height // 3):
            for left in (0, width // 8, width // 4, width // 2):
                crop = Image.fromarray(photo[top : top + height // 2, left : left + width // 2])
                crops.append(np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR)))
    return np.stack(crops)
