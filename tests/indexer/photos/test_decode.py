import hashlib
import math
import sys

import numpy as np
import pillow_heif
import pytest
import simplejpeg
from PIL import Image

from indexer.photos.decode import decode_upright
from indexer.photos.decoding.colour import to_rgb
from indexer.photos.square_transform import SquareTransform, to_square
from photo_samples import (
    JPEG,
    NOT_AN_IMAGE,
    STORED,
    UPRIGHT,
    decoded,
    dng,
    encoded,
    quarters,
    refusal,
    seen,
    smooth,
    turned,
    with_segment,
)

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")  # as decode.py does outside pytest

pillow_heif.register_heif_opener()  # so that Pillow writes HEIC here; decode.py enables reading by itself


def colour(data: bytes) -> tuple[int, ...]:
    """Return the one colour of a picture that has only one."""
    pixels = np.asarray(decode_upright(data)[0])
    assert (pixels == pixels[0, 0]).all()
    return tuple(int(channel) for channel in pixels[0, 0])


# Formats


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("JPEG", "a.jpg", {"quality": 95}),
        ("JPEG", "a.jpeg", {"quality": 95, "progressive": True}),
        ("MPO", "a.jpg", {"quality": 95, "pages": True}),
        ("PNG", "a.png", {}),
        ("PNG", "a.png", {"pages": True}),
        ("WEBP", "a.webp", {"quality": 95}),
        ("WEBP", "a.webp", {"lossless": True, "pages": True}),
        ("GIF", "a.gif", {}),
        ("GIF", "a.gif", {"pages": True}),
        ("BMP", "a.bmp", {}),
        ("DIB", "a.dib", {}),
        ("TIFF", "a.tif", {}),
        ("TIFF", "a.tiff", {"compression": "tiff_lzw", "pages": True}),
        ("TIFF", "a.tiff", {"compression": "jpeg"}),
        ("AVIF", "a.avif", {"quality": 90}),
        ("HEIF", "a.heic", {"quality": 90}),
    ],
)
def test_every_format_shows_the_picture_or_its_first_frame(tmp_path, kind, name, options):
    data = encoded(quarters(), kind, **options)
    photo = decoded(tmp_path, data, name)
    assert (photo.width, photo.height, seen(photo.pixels)) == (96, 64, UPRIGHT)
    assert (photo.pixels.shape, photo.pixels.dtype) == ((32, 32, 3), np.uint8)
    assert photo.digest == hashlib.blake2b(data, digest_size=16).digest()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "HEIF", "AVIF", "BMP"])
def test_what_a_file_holds_counts_and_not_its_suffix(tmp_path, kind):
    assert seen(decoded(tmp_path, encoded(quarters(), kind), "photo.jpg").pixels) == UPRIGHT
    assert seen(decoded(tmp_path, JPEG, f"photo.{kind.lower()}").pixels) == UPRIGHT


def test_a_lossless_picture_keeps_every_pixel():
    picture = smooth(90, 70)
    for kind in ("PNG", "BMP", "TIFF"):
        assert np.array_equal(decode_upright(encoded(picture, kind))[0], picture)


# Orientation


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(
    ("kind", "options", "width", "height"),
    [
        ("JPEG", {}, 96, 64),  # decoded at half size
        ("JPEG", {}, 60, 40),  # at full size
        ("JPEG", {}, 601, 411),  # at an eighth, rounded up
        ("MPO", {"pages": True}, 96, 64),
        ("PNG", {}, 96, 64),
        ("WEBP", {}, 96, 64),
        ("TIFF", {}, 96, 64),
        ("TIFF", {"compression": "tiff_lzw"}, 96, 64),
        ("TIFF", {"pages": True}, 96, 64),
        ("AVIF", {}, 96, 64),
        ("HEIF", {}, 96, 64),
    ],
)
def test_every_orientation_comes_out_upright(tmp_path, kind, options, width, height, orientation):
    photo = decoded(tmp_path, encoded(turned(orientation, width, height), kind, orientation, **options))
    assert (photo.width, photo.height, seen(photo.pixels)) == (width, height, UPRIGHT)


@pytest.mark.parametrize("orientation", STORED)
def test_jpegs_that_only_pillow_decodes_come_out_upright(tmp_path, orientation):
    strange = encoded(turned(orientation), "JPEG", orientation, quality=95)[:-2] + b"extra bytes\xff\xd9"
    with pytest.raises(ValueError):
        simplejpeg.decode_jpeg(strange)
    inks = encoded(turned(orientation).convert("CMYK"), "JPEG", orientation, quality=95)
    for data in (strange, inks):
        photo = decoded(tmp_path, data)
        assert (photo.width, photo.height, seen(photo.pixels)) == (96, 64, UPRIGHT)


def test_an_orientation_that_only_xmp_tells_is_obeyed():
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    image, size, _ = decode_upright(with_segment(encoded(turned(6), "JPEG", quality=95), 0xE1, xmp))
    assert (size, image.size, seen(np.asarray(image))) == ((96, 64), (96, 64), UPRIGHT)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_out_of_range_is_none(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert seen(np.asarray(decode_upright(encoded(quarters(), "PNG", exif=exif.tobytes()))[0])) == UPRIGHT


# Modes


def test_a_grey_jpeg_has_three_equal_channels(tmp_path):
    ramp = Image.linear_gradient("L")
    pixels = decoded(tmp_path, encoded(ramp, "JPEG", quality=95), transform=SquareTransform(256)).pixels.astype(int)
    assert (pixels == pixels[..., :1]).all()
    assert abs(pixels[..., 0] - np.arange(256)[:, None]).max() <= 3


@pytest.mark.parametrize(
    ("picture", "kind", "expected"),
    [
        (Image.new("CMYK", (9, 9), (0, 255, 255, 0)), "JPEG", (255, 0, 0)),
        (Image.new("CMYK", (9, 9), (255, 0, 255, 0)), "TIFF", (0, 255, 0)),
        (Image.new("RGBA", (9, 9), (200, 0, 0, 51)), "PNG", (244, 204, 204)),  # a fifth of red: 255 - 0.2 * 55 = 244
        (Image.new("RGBA", (9, 9), (1, 2, 3, 0)), "PNG", (255, 255, 255)),
        (Image.new("RGBA", (9, 9), (1, 2, 3, 255)), "TIFF", (1, 2, 3)),
        (Image.new("LA", (9, 9), (100, 102)), "PNG", (193, 193, 193)),  # 255 - 0.4 * 155 = 193
        (Image.new("L", (9, 9), 77), "PNG", (77, 77, 77)),
        (Image.new("1", (9, 9), 1), "PNG", (255, 255, 255)),
        (Image.new("1", (9, 9), 0), "TIFF", (0, 0, 0)),
        (Image.new("I;16", (9, 9), 25700), "PNG", (100, 100, 100)),  # 25700 / 257
        (Image.new("I;16", (9, 9), 25700), "TIFF", (100, 100, 100)),
        (Image.new("I;16", (9, 9), 65535), "PNG", (255, 255, 255)),
        (Image.new("I", (9, 9), 257), "TIFF", (1, 1, 1)),
        (Image.new("I", (9, 9), -7), "TIFF", (0, 0, 0)),  # nothing to stretch
        (Image.new("F", (9, 9), 0.2), "TIFF", (51, 51, 51)),  # 0.2 * 255
        (Image.new("F", (9, 9), 51.0), "TIFF", (51, 51, 51)),
        (Image.new("F", (9, 9), 1e9), "TIFF", (0, 0, 0)),
        (Image.new("F", (9, 9), float("nan")), "TIFF", (0, 0, 0)),
    ],
)
def test_every_mode_gives_its_8_bit_colour(picture, kind, expected):
    assert colour(encoded(picture, kind, **({"quality": 100} if kind == "JPEG" else {}))) == expected


def test_deep_greys_are_scaled_and_not_clipped():
    ramp = Image.fromarray(np.array([[0, 256, 257, 32768, 65279, 65535]], np.uint16))
    for kind in ("PNG", "TIFF"):
        assert np.asarray(decode_upright(encoded(ramp, kind))[0])[0, :, 1].tolist() == [0, 1, 1, 128, 254, 255]


def test_numbers_out_of_every_range_are_stretched_and_what_is_no_number_stays_in_bounds():
    values = np.array([[-100, 0, 60, 300, np.nan, np.inf, -np.inf]], np.float32)
    # (0 + 100) * 255 / 400 = 63.75; (60 + 100) * 255 / 400 = 102
    grey = np.asarray(to_rgb(Image.fromarray(values)))[0, :, 0]
    assert grey.tolist() == [0, 64, 102, 255, 0, 255, 0]


def test_transparent_palette_colours_lie_over_white():
    picture = Image.fromarray(np.repeat(np.array([[0, 1, 2]], np.uint8), 3, axis=0), "P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    gif = decode_upright(encoded(picture, "GIF", transparency=1))[0]
    assert np.asarray(gif)[0].tolist() == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]
    png = decode_upright(encoded(picture, "PNG", transparency=bytes([255, 0, 51])))[0]
    assert np.asarray(png)[0].tolist() == [[255, 0, 0], [255, 255, 255], [204, 204, 255]]


def test_a_transparent_colour_of_an_rgb_png_lies_over_white():
    picture = Image.fromarray(np.array([[[9, 9, 9], [10, 20, 30]]], np.uint8))
    image, _, _ = decode_upright(encoded(picture, "PNG", transparency=(9, 9, 9)))
    assert np.asarray(image)[0].tolist() == [[255, 255, 255], [10, 20, 30]]


# Scale


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize(
    ("width", "height", "shrink"), [(1024, 768, 2), (900, 1600, 2), (2101, 2090, 8), (1041, 1300, 4), (521, 520, 2)]
)
def test_a_jpeg_decoded_small_looks_like_one_decoded_whole(width, height, shrink, subsampling):
    data = encoded(smooth(width, height), "JPEG", quality=92, subsampling=subsampling)
    small, size, _ = decode_upright(data, min_side=260)
    whole, _, _ = decode_upright(data)
    assert size == whole.size == (width, height)
    assert small.size == (math.ceil(width / shrink), math.ceil(height / shrink))
    for transform in (SquareTransform(260), SquareTransform(224, "crop", 256)):
        ours, exact = (np.asarray(to_square(image, transform)).astype(int) for image in (small, whole))
        assert abs(ours - exact).mean() < 1.5


def test_a_jpeg_less_than_twice_as_large_is_decoded_whole():
    data = encoded(smooth(500, 375), "JPEG", quality=92)
    assert np.array_equal(decode_upright(data, min_side=260)[0], simplejpeg.decode_jpeg(data))


def test_pillow_decodes_its_share_of_jpegs_small_as_well():
    data = encoded(smooth(1040, 1200).convert("CMYK"), "JPEG")
    image, size, _ = decode_upright(data, min_side=260)
    assert (image.size, size) == ((260, 300), (1040, 1200))


@pytest.mark.parametrize(
    "transform",
    [
        SquareTransform(64),
        SquareTransform(48, "crop", 56),
        SquareTransform(64, filter="bicubic"),
        SquareTransform(48, "crop", 48, "lanczos"),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 1), (3, 2000), (2000, 3), (64, 64), (47, 49), (1, 30000)])
def test_no_photo_is_too_small_or_too_long(tmp_path, width, height, kind, transform):
    picture = Image.new("RGB", (width, height), (40, 90, 200))
    photo = decoded(
        tmp_path, encoded(picture, kind, **({"quality": 95} if kind == "JPEG" else {})), transform=transform
    )
    assert (photo.width, photo.height) == (width, height)
    assert photo.pixels.shape == (transform.size, transform.size, 3)
    assert abs(photo.pixels.astype(int) - (40, 90, 200)).max() <= 3


# Extras


def test_heic_without_its_extra_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert refusal(tmp_path, encoded(quarters(), "HEIF")) == "HEIC needs an extra: pip install 'photoseek[heic]'"
    assert seen(decoded(tmp_path, encoded(quarters(), "AVIF", quality=90)).pixels) == UPRIGHT


def test_a_plain_install_tells_what_is_no_image(tmp_path, monkeypatch):
    monkeypatch.delitem(Image.OPEN, "HEIF")
    assert refusal(tmp_path, b"text") == NOT_AN_IMAGE


def test_raw_without_its_extra_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rawpy", None)
    reason = refusal(tmp_path, dng(JPEG, 1), "photo.DNG")
    assert reason == "camera RAW needs an extra: pip install 'photoseek[raw]'"


@pytest.mark.parametrize(("orientation", "size"), [(1, (96, 64)), (3, (96, 64)), (6, (64, 96)), (8, (64, 96))])
def test_a_raw_file_shows_its_preview_upright(tmp_path, orientation, size):
    width, height = size
    data = dng(encoded(turned(orientation, width, height), "JPEG", quality=95), orientation)
    photo = decoded(tmp_path, data, "photo.dng")
    assert (photo.width, photo.height, seen(photo.pixels)) == (width, height, UPRIGHT)
    assert photo.digest == hashlib.blake2b(data, digest_size=16).digest()


def test_a_raw_file_without_a_preview_is_developed(tmp_path):
    data = dng(b"no JPEG here", 6)
    photo = decoded(tmp_path, data, "photo.dng")
    assert (photo.width, photo.height) == (64, 96)  # half of the sensor, upright
    assert np.ptp(photo.pixels.astype(int), axis=(0, 1)).max() <= 1  # an even grey stays even
    assert refusal(tmp_path, data, "photo.dng", max_pixels=24575) == (
        "192 x 128 is 24,576 pixels, over the limit of 24,575 (--max-pixels changes it)"
    )


def test_a_broken_raw_file_is_refused_with_the_reason(tmp_path):
    reason = "camera RAW of a kind that is not read, or damaged"
    assert refusal(tmp_path, b"II*\0\x10\0\0\0CR\2\0" + bytes(400), "photo.cr2") == reason
    assert refusal(tmp_path, b"FUJIFILMCCD-RAW " + bytes(400), "photo.raf") == reason
    assert refusal(tmp_path, b"not a camera's file" * 40, "photo.nef") == reason
    assert refusal(tmp_path, b"II", "photo.cr2") == "the file is cut short"
    assert refusal(tmp_path, b"not a camera's file" * 40, "photo.jpg") == NOT_AN_IMAGE
