"""Camera RAW: by content, by its preview where that is of use, developed where it is not; upright once."""

import numpy as np
import pytest

from indexer.photos.square_transform import SquareTransform
from photo_samples import JPEG, UPRIGHT, decoded, dng, encoded, quarters, refusal, seen, smooth, turned

PHOTO = smooth(96, 64)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a", "a.png"])
def test_a_raw_file_is_known_by_its_content(tmp_path, name):
    photo = decoded(tmp_path, dng(encoded(quarters(), "JPEG", quality=95), 1), name)
    assert (photo.width, photo.height, seen(photo.pixels), photo.note) == (96, 64, UPRIGHT, None)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_photo_named_as_raw_is_read_as_what_it_is(tmp_path, kind):
    for name in ("a.dng", "a.nef", "a.cr2"):
        assert seen(decoded(tmp_path, encoded(quarters(), kind), name).pixels) == UPRIGHT


def test_a_preview_smaller_than_the_encoder_wants_is_not_used(tmp_path):
    data = dng(encoded(quarters(), "JPEG", quality=95), 1)
    preview = decoded(tmp_path, data, "a.dng", SquareTransform(64))
    assert seen(preview.pixels) == UPRIGHT
    developed = decoded(tmp_path, data, "a.dng", SquareTransform(65))  # the preview has 64 rows
    assert np.ptp(developed.pixels.astype(int), axis=(0, 1)).max() <= 1  # the sensor saw an even grey
    cropped = decoded(tmp_path, data, "a.dng", SquareTransform(48, "crop", 65))
    assert np.ptp(cropped.pixels.astype(int), axis=(0, 1)).max() <= 1


@pytest.mark.parametrize("preview", [JPEG[: len(JPEG) // 2], JPEG[:-2], JPEG[:40], b"\xff\xd8\xff\xe0 nothing"])
def test_a_damaged_preview_is_not_used(tmp_path, preview):
    photo = decoded(tmp_path, dng(preview, 1), "a.dng")
    assert np.ptp(photo.pixels.astype(int), axis=(0, 1)).max() <= 1
    assert photo.note is None


def test_a_small_preview_is_better_than_nothing(tmp_path):
    data = dng(encoded(quarters(), "JPEG", quality=95), 1)
    photo = decoded(tmp_path, data, "a.dng", SquareTransform(65), max_pixels=20_000)  # the sensor has 24,576
    assert seen(photo.pixels) == UPRIGHT
    assert photo.note == "only the preview of 96 x 64 can be read"
    assert refusal(tmp_path, data, "a.dng", max_pixels=5_000).startswith("192 x 128 is 24,576 pixels")


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_an_orientation_that_preview_and_raw_file_both_tell_is_applied_once(tmp_path, orientation):
    width, height = (96, 64) if orientation < 5 else (64, 96)
    preview = encoded(turned(orientation, width, height), "JPEG", orientation, quality=95)
    photo = decoded(tmp_path, dng(preview, orientation), "a.dng")
    assert (photo.width, photo.height, seen(photo.pixels)) == (width, height, UPRIGHT)


@pytest.mark.parametrize("orientation", [6, 8])
def test_a_preview_that_the_camera_has_turned_stays_as_it_is(tmp_path, orientation):
    photo = decoded(tmp_path, dng(encoded(quarters(width=64, height=96), "JPEG", quality=95), orientation), "a.dng")
    assert (photo.width, photo.height, seen(photo.pixels)) == (64, 96, UPRIGHT)


@pytest.mark.parametrize("orientation", [6, 8])
def test_what_is_developed_is_upright(tmp_path, orientation):
    photo = decoded(tmp_path, dng(b"no preview", orientation), "a.dng")
    assert (photo.width, photo.height) == (64, 96)
