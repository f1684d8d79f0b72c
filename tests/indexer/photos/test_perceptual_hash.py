import numpy as np
import pytest
from PIL import Image, ImageEnhance

from indexer.photos.perceptual_hash import BRIGHTNESS, SCALE, WIDTH, likeness_vectors, perceptual_hash
from photo_samples import smooth
from unusual_photos.made_stacks import sample_photo


def vector(image: Image.Image, size: int = 260) -> np.ndarray:
    """Return the likeness vector (WIDTH,) of an image squeezed into a square."""
    square = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
    return likeness_vectors(np.frombuffer(perceptual_hash(square), np.int8)[None])[0]


def test_a_half_black_half_white_picture_has_the_values_of_the_formula() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, 32:] = 200
    values = np.frombuffer(perceptual_hash(pixels), np.int8)
    assert len(values) == WIDTH == 320
    # Brightness: 64 cells of -100 or 100, of norm 800; a half of the hash has norm sqrt(1/2).
    grid = values[:BRIGHTNESS].reshape(8, 8)
    assert (grid[:, :4] == -round(SCALE / np.sqrt(2) / 8)).all()
    assert (grid[:, 4:] == round(SCALE / np.sqrt(2) / 8)).all()
    # Edges: brighter to the right in the two columns of cells beside the step, equally in 16 cells; no other direction.
    edges = values[BRIGHTNESS:].reshape(4, 8, 8)
    assert (edges[0, :, 3:5] == round(SCALE / np.sqrt(2) / 4)).all()
    assert np.count_nonzero(edges) == 16


@pytest.mark.parametrize("name", ["cat", "coffee", "rocket", "astronaut"])
def test_a_copy_of_another_size_is_the_same_and_a_mirrored_photo_is_not(name: str) -> None:
    photo = sample_photo(name)
    whole = vector(photo)
    assert whole @ whole == pytest.approx(1, abs=0.02)
    assert whole @ vector(photo.resize((photo.width // 2, photo.height // 2))) > 0.98
    assert whole @ vector(ImageEnhance.Brightness(photo).enhance(0.8)) > 0.97
    assert whole @ vector(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) < 0.8


def test_different_photos_are_less_alike_than_a_shifted_one() -> None:
    photo = sample_photo("cat")
    width, height = photo.size
    shifted = photo.crop((round(width * 0.03), 0, width, round(height * 0.97)))
    assert vector(photo) @ vector(shifted) > 0.85 > vector(photo) @ vector(sample_photo("rocket")) + 0.1


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_picture_without_contrast_is_like_no_other(grey: int) -> None:
    assert not vector(Image.new("RGB", (300, 200), (grey, grey, grey))).any()


def test_squares_of_encoders_are_of_any_size() -> None:
    assert vector(smooth(64, 64), size=8) @ vector(smooth(64, 64), size=8) == pytest.approx(1, abs=0.02)
