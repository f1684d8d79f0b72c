import numpy as np
import pytest
from PIL import Image
from torchvision import transforms

from indexer.photos.square_transform import SquareTransform, to_square
from photo_samples import smooth


def test_the_crop_of_a_strip_is_its_centre():
    strip = np.zeros((5000, 10, 3), np.uint8)
    strip[2495:2505] = 255
    square = np.asarray(to_square(Image.fromarray(strip), SquareTransform(100, "crop", 100)))
    assert (square[10:90] == 255).all()
    assert square[0].max() < 255


@pytest.mark.parametrize(
    "size", [(640, 480), (480, 640), (501, 333), (333, 501), (257, 255), (224, 224), (97, 101), (1601, 103)]
)
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), (232, 224), (235, 224), (224, 224)])
@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
def test_crop_equals_torchvision_resize_and_centre_crop(size, resize, crop, name):
    picture = smooth(*size)
    mode = transforms.InterpolationMode(name)
    expected = transforms.CenterCrop(crop)(transforms.Resize(resize, mode)(picture))
    assert np.array_equal(to_square(picture, SquareTransform(crop, "crop", resize, name)), expected)


def test_squash_equals_torchvision_resize_of_both_sides():
    picture = smooth(500, 375)
    assert np.array_equal(to_square(picture, SquareTransform(260)), transforms.Resize((260, 260))(picture))
