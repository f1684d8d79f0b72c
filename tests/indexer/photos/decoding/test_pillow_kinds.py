"""Kinds that Pillow and its plugins read: JPEG 2000, portable maps, PSD, JPEG XL; what is cut off; animations."""

import re
import struct
import sys

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401
import pytest
from PIL import Image

from indexer.photos.decode import UnreadablePhotoError, decode_upright
from photo_samples import STORED, UPRIGHT, decoded, encoded, quarters, refusal, seen, smooth, turned
from unusual_photos.colour_profiles import display_p3_in_srgb, display_p3_profile

pillow_heif.register_heif_opener()

PICTURE = smooth(150, 110)
PIXELS = np.asarray(PICTURE)


def found(data: bytes) -> np.ndarray:
    photo = decode_upright(data)
    assert photo.note is None
    assert photo.size == photo.image.size
    return np.asarray(photo.image, np.int16)


def psd(pixels: np.ndarray, mode: int = 3) -> bytes:
    """Make a PSD of the flat picture alone."""
    height, width, channels = pixels.shape
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1, channels, height, width, 8, mode)
    return header + bytes(12) + b"\0\0" + np.ascontiguousarray(pixels.transpose(2, 0, 1)).tobytes()


@pytest.mark.parametrize("name", ["a.jp2", "a.j2k", "a.jpg", "a"])
def test_jpeg_2000_is_read(tmp_path, name):
    assert np.array_equal(found(encoded(PICTURE, "JPEG2000", no_jp2=name == "a.j2k")), PIXELS)
    assert seen(decoded(tmp_path, encoded(quarters(), "JPEG2000"), name).pixels) == UPRIGHT


def test_portable_maps_are_read():
    grey = PICTURE.convert("L")
    assert np.array_equal(found(encoded(PICTURE, "PPM")), PIXELS)
    assert np.array_equal(found(encoded(grey, "PPM"))[..., 0], grey)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert np.array_equal(found(encoded(deep, "PPM"))[..., 0], grey)
    numbers = Image.fromarray(np.asarray(grey, np.float32) / 255)
    assert abs(found(encoded(numbers, "PPM"))[..., 0] - np.asarray(grey)).max() <= 1
    text = b"P3\n# made by hand\n2 1\n255\n255 0 0 0 0 255\n"
    assert found(text).tolist() == [[[255, 0, 0], [0, 0, 255]]]


def test_the_flat_picture_of_a_psd_is_read():
    assert np.array_equal(found(psd(PIXELS)), PIXELS)
    inks = np.asarray(PICTURE.convert("CMYK"))
    assert abs(found(psd(255 - inks, 4)) - np.asarray(PICTURE.convert("CMYK").convert("RGB"))).max() <= 1


def test_jpeg_xl_is_read_in_both_wrappings():
    for boxes in (False, True):
        data = encoded(PICTURE, "JXL", lossless=True, use_container=boxes)
        assert abs(found(data) - PIXELS).max() <= 1
        with pytest.raises(UnreadablePhotoError, match="150 x 110 is 16,500 pixels, over the limit of 16,499"):
            decode_upright(data, max_pixels=16_499)


@pytest.mark.parametrize(
    ("width", "height"), [(8, 8), (96, 64), (500, 375), (1, 300), (640, 480), (1920, 1080), (7, 9)]
)
def test_the_size_of_a_jpeg_xl_is_known_before_it_is_decoded(width, height):
    data = encoded(Image.new("RGB", (width, height)), "JXL")
    with pytest.raises(UnreadablePhotoError, match=f"^{width} x {height} is "):
        decode_upright(data, max_pixels=1)


def test_jpeg_xl_without_its_extra_names_the_command(tmp_path, monkeypatch):
    data = encoded(quarters(), "JXL")
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    assert refusal(tmp_path, data) == "JPEG XL needs an extra: pip install 'photoseek[jxl]'"


@pytest.mark.parametrize("kind", ["BMP", "PPM"])
def test_plain_pixels_without_the_last_ones_are_read(tmp_path, kind):
    data = encoded(PICTURE, kind)
    photo = decode_upright(data[: len(data) * 9 // 10])
    pixels = np.asarray(photo.image)[::-1] if kind == "BMP" else np.asarray(photo.image)
    whole = PIXELS[::-1] if kind == "BMP" else PIXELS
    assert np.array_equal(pixels[:98], whole[:98])
    assert photo.note == "cut off: the last 10 % of its rows are missing"
    assert refusal(tmp_path, data[: len(data) // 2]) == "the file is cut short"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_wide_profile_counts_in_every_kind(kind):
    options = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}.get(kind, {"quality": 95})
    wide = decode_upright(encoded(PICTURE, kind, icc_profile=display_p3_profile(), **options)).image
    plain = np.asarray(decode_upright(encoded(PICTURE, kind, **options)).image)
    assert abs(np.asarray(wide) - display_p3_in_srgb(plain)).max() < 2.5


@pytest.mark.parametrize("orientation", STORED)
def test_what_the_container_tells_is_not_repeated_by_xmp(orientation):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    data = encoded(turned(orientation), "AVIF", orientation, xmp=xmp, quality=90)
    photo = decode_upright(data)
    assert (photo.size, seen(np.asarray(photo.image))) == ((96, 64), UPRIGHT)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
@pytest.mark.parametrize(
    "empty", [Image.new("RGB", (96, 64)), Image.new("RGBA", (96, 64)), Image.new("RGB", (96, 64), "red")]
)
def test_empty_frames_at_the_beginning_are_passed_over(kind, empty):
    frames = [empty, empty.copy(), quarters().convert(empty.mode), Image.new(empty.mode, (96, 64), "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=[100, 90, 80, 70], **options)
    assert seen(np.asarray(decode_upright(data).image)) == UPRIGHT


def test_an_animation_of_empty_frames_shows_the_first():
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.asarray(decode_upright(data).image)[5, 5].tolist() == [255, 0, 0]


@pytest.mark.parametrize("colours", [2, 4, 16, 100, 256])
@pytest.mark.parametrize("share", [0.9, 0.95, 0.99])
def test_a_gif_without_its_last_pixels_is_read_as_far_as_it_goes(colours, share):
    picture = PICTURE.quantize(colours)
    data = encoded(picture, "GIF", interlace=False)
    photo = decode_upright(data[: int(len(data) * share)])
    assert photo.note is not None
    percent = re.fullmatch(r"cut off: the last (\d+) % of its rows are missing", photo.note)
    assert percent is not None
    rows = 110 - int(percent[1]) * 110 // 100 - 2
    assert rows > 75
    assert np.array_equal(np.asarray(photo.image)[:rows], np.asarray(picture.convert("RGB"))[:rows])


def test_a_gif_without_its_end_or_later_frames_has_a_note(tmp_path):
    whole, cut = encoded(quarters(), "GIF"), "cut off: the end of the GIF is missing"
    assert decode_upright(whole).note is None
    for lost in (1, 2, 3):
        photo = decode_upright(whole[:-lost])
        assert (seen(np.asarray(photo.image)), photo.note) == (UPRIGHT, cut)
    frames = [smooth(96, 64), smooth(64, 96).resize((96, 64))]
    animated = encoded(quarters(), "GIF", save_all=True, append_images=frames)
    assert decode_upright(animated).note is None
    for share in (0.3, 0.6, 0.9):
        photo = decode_upright(animated[: int(len(animated) * share)])
        assert (seen(np.asarray(photo.image)), photo.note) == (UPRIGHT, cut)
    for size in (8, 14, 30, len(whole) // 2):
        assert refusal(tmp_path, whole[:size]) == "the file is cut short"
    # What a header promises is not made.
    bomb = whole[:13] + bytes(768) + b"\x2c\0\0\0\0\xff\xff\xff\xff\0\x08\xff"
    with pytest.raises(UnreadablePhotoError, match="65535 x 65535 is "):
        decode_upright(bomb)


def test_floats_that_are_no_numbers_are_black_and_noted():
    values = np.asarray(PICTURE.convert("L"), np.float32) / 255
    values[:10] = np.nan
    photo = decode_upright(encoded(Image.fromarray(values), "PPM"))
    assert photo.note == "odd samples: some are no numbers (NaN), and are shown black"
    assert not np.asarray(photo.image)[:10].any()
    assert abs(np.asarray(photo.image)[10:, :, 0].astype(int) - np.asarray(PICTURE.convert("L"))[10:]).max() <= 1
