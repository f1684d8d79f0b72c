"""JPEGs: damaged ones as viewers show them, rare codings, orientation and profile."""

import io

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from indexer.photos.decode import UnreadablePhotoError, decode_upright
from photo_samples import JPEG, UPRIGHT, encoded, quarters, refusal, seen, smooth, turned, with_segment
from unusual_photos.colour_profiles import display_p3_in_srgb, display_p3_profile, ink_profile, srgb_profile
from unusual_photos.rare_jpegs import ARITHMETIC, LOSSLESS

PHOTO = smooth(500, 376)
END = "cut off: the end marker is missing"


def difference(data: bytes, whole: bytes | Image.Image, min_side: int = 0) -> float:
    """Return the mean difference of two pictures in grey levels."""
    expected = whole if isinstance(whole, Image.Image) else decode_upright(whole, min_side=min_side).image
    found = decode_upright(data, min_side=min_side).image
    return float(abs(np.asarray(found, np.int16) - np.asarray(expected, np.int16)).mean())


def cut(data: bytes, percent: float) -> bytes:
    return data[: int(len(data) * percent / 100)]


WAYS = {
    "baseline": {"quality": 90},
    "half colours": {"quality": 90, "subsampling": 2},
    "full colours": {"quality": 90, "subsampling": 0},
    "own tables": {"quality": 90, "optimize": True},
    "restarts": {"quality": 90, "restart_marker_rows": 1},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_without_its_end_marker_is_read_whole(way, missing):
    data = encoded(PHOTO, "JPEG", **WAYS[way])
    assert difference(data[:-missing], data) == 0
    assert decode_upright(data[:-missing]).note == END
    assert decode_upright(data).note is None


@pytest.mark.parametrize("way", WAYS)
def test_a_jpeg_keeps_the_rows_before_the_cut(way):
    data = encoded(PHOTO, "JPEG", **WAYS[way])
    whole = np.asarray(decode_upright(data).image)
    photo = decode_upright(cut(data, 90))
    words = photo.note.split()
    assert words[:5] == ["cut", "off:", "the", "last", words[4]]
    missing = int(words[4])
    assert 5 <= missing <= 16
    rows = round(len(whole) * (1 - missing / 100)) - 8  # the row of blocks with the cut is only partly there
    assert np.array_equal(np.asarray(photo.image)[:rows], whole[:rows])
    assert (np.asarray(photo.image)[-4:] == 128).all()
    assert difference(cut(data, 98), data) < 5


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("percent", [1, 25, 50, 70])
def test_a_jpeg_of_which_too_few_rows_are_there_is_refused(tmp_path, way, percent):
    data = encoded(PHOTO, "JPEG", **WAYS[way])
    assert refusal(tmp_path, cut(data, percent)) == "the file is cut short"


@pytest.mark.parametrize("filling", [b"\0", b"\xff"])
def test_what_fills_a_file_after_the_cut_is_no_picture(filling):
    data = encoded(PHOTO, "JPEG", quality=90)
    filled = cut(data, 90) + filling * (len(data) // 10)
    photo, plain = decode_upright(filled), decode_upright(cut(data, 90))
    assert np.array_equal(photo.image, plain.image)
    assert photo.note == plain.note


def test_a_cut_jpeg_of_a_grey_bottom_is_told_from_one_without():
    picture = PHOTO.copy()
    picture.paste((128, 128, 128), (0, 160, 500, 376))
    data = encoded(picture, "JPEG", quality=90)
    assert decode_upright(data[:-2]).note == END


def test_a_cut_jpeg_is_read_at_reduced_scale_and_turned():
    data = encoded(turned(6, 1040, 1040), "JPEG", 6, quality=95)
    photo = decode_upright(data[:-2], min_side=260)
    assert (photo.image.size, seen(np.asarray(photo.image)), photo.note) == ((260, 260), UPRIGHT, END)


@pytest.mark.parametrize(("percent", "bound"), [(97, 0.5), (85, 2), (70, 4)])
def test_a_progressive_jpeg_is_read_when_its_coarse_scans_are_there(percent, bound):
    data = encoded(PHOTO, "JPEG", quality=90, progressive=True)
    assert difference(cut(data, percent), data) < bound
    assert decode_upright(cut(data, percent)).note == "cut off: the finest details are missing"


def test_a_progressive_jpeg_of_a_large_photo_needs_its_first_scan_only():
    large = PHOTO.resize((2000, 1504))
    data = encoded(large, "JPEG", quality=90, progressive=True)
    second_scan = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    start = data[: second_scan + 40]
    assert difference(start, data, min_side=180) < 3  # at an eighth
    with pytest.raises(UnreadablePhotoError, match="the file is cut short"):
        decode_upright(start, min_side=500)  # at a half
    with pytest.raises(UnreadablePhotoError, match="the file is cut short"):
        decode_upright(data[: second_scan // 2], min_side=180)


def test_damage_in_the_middle_is_named():
    data = bytearray(encoded(PHOTO, "JPEG", quality=90, restart_marker_rows=1))
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    photo = decode_upright(bytes(data))
    assert photo.note.startswith("damaged JPEG data (")
    assert difference(bytes(data), PHOTO) < 5


def test_bytes_after_the_end_are_no_damage():
    for rest in (b"\0" * 5000, b"film" * 5000, JPEG):
        photo = decode_upright(JPEG + rest)
        assert (seen(np.asarray(photo.image)), photo.note) == (UPRIGHT, None)


def test_oddities_that_harm_no_pixel_are_no_damage():
    version = JPEG.index(b"JFIF\0") + 5
    odd = [JPEG[:version] + b"\7" + JPEG[version + 1 :], JPEG[:-2] + bytes(40) + JPEG[-2:]]
    for data in odd:
        with pytest.raises(ValueError):
            simplejpeg.decode_jpeg(data)
        assert np.array_equal(decode_upright(data).image, decode_upright(JPEG).image)
        assert decode_upright(data).note is None
    stray = decode_upright(JPEG[:-2] + b"some bytes" + JPEG[-2:])
    assert stray.note == "damaged JPEG data (3 extraneous bytes before marker 0xd9)"


# Codings


def test_an_arithmetic_jpeg_is_read():
    photo = decode_upright(ARITHMETIC)
    with Image.open(io.BytesIO(ARITHMETIC)) as image:
        assert np.array_equal(photo.image, image)
    assert photo.note is None
    assert difference(ARITHMETIC, smooth(96, 192)) < 10


def test_an_arithmetic_jpeg_without_its_end_shows_no_noise():
    whole = np.asarray(decode_upright(ARITHMETIC).image)
    photo = decode_upright(ARITHMETIC[:-2])
    assert (photo.note, np.array_equal(photo.image, whole)) == (END, True)
    photo = decode_upright(cut(ARITHMETIC, 90))
    assert photo.note == "cut off: the last 17 % of its rows are missing"
    assert np.array_equal(np.asarray(photo.image)[:159], whole[:159])
    assert (np.asarray(photo.image)[159:] == 128).all()
    with pytest.raises(UnreadablePhotoError, match="the file is cut short"):
        decode_upright(cut(ARITHMETIC, 60))


def test_a_lossless_jpeg_of_8_bits_is_read():
    assert difference(LOSSLESS, smooth(24, 16)) < 1


def test_a_jpeg_of_a_coding_that_is_not_read_is_named():
    frame = JPEG.index(b"\xff\xc0")

    def changed(place: int, value: int) -> bytes:
        return JPEG[: frame + place] + bytes([value]) + JPEG[frame + place + 1 :]

    for data, reason in (
        (changed(4, 12), "JPEG of 12 bits per channel, which is not read"),
        (changed(4, 16)[: frame + 1] + b"\xc3" + changed(4, 16)[frame + 2 :], "JPEG of 16 bits per channel, lossless"),
        (changed(9, 2), "JPEG of 2 channels, which is not read"),
    ):
        with pytest.raises(UnreadablePhotoError, match=reason):
            decode_upright(data)


def test_inks_of_a_jpeg_are_read_with_and_without_its_end():
    inks = smooth(200, 160).convert("CMYK")
    data = encoded(inks, "JPEG", quality=95)
    assert difference(data, inks.convert("RGB")) < 3
    assert difference(data[:-2], data) == 0
    assert decode_upright(data[:-2]).note == END
    assert decode_upright(cut(data, 88)).note.startswith("cut off: the last ")


def test_ycck_is_read_as_its_inks():
    # Pillow writes plain CMYK; with the transform of Adobe's marker set, its numbers mean YCCK.
    flat = encoded(Image.new("CMYK", (32, 32), (0, 127, 127, 40)), "JPEG", quality=95, subsampling=0)
    adobe = flat.index(b"Adobe")
    data = flat[: adobe + 11] + b"\2" + flat[adobe + 12 :]
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB"))
    assert abs(np.asarray(decode_upright(data).image).astype(int) - expected).max() <= 2
    assert abs(expected.astype(int) - np.asarray(decode_upright(flat).image)).max() > 30


# Profiles


def test_colours_of_a_wide_profile_become_srgb():
    data = encoded(PHOTO, "JPEG", quality=97, subsampling=0, icc_profile=display_p3_profile())
    plain = decode_upright(encoded(PHOTO, "JPEG", quality=97, subsampling=0)).image
    found = np.asarray(decode_upright(data).image)
    assert abs(found - display_p3_in_srgb(np.asarray(plain))).max() < 2
    assert abs(found.astype(int) - plain).mean() > 3


@pytest.mark.parametrize("profile", [srgb_profile(), b"no profile", ink_profile((50, 60, 40))])
def test_a_profile_that_is_srgb_or_none_changes_nothing(profile):
    data = encoded(PHOTO, "JPEG", quality=90, icc_profile=profile)
    assert np.array_equal(decode_upright(data).image, simplejpeg.decode_jpeg(data))


def test_inks_are_shown_by_their_profile():
    cyan = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    red = ink_profile((50, 60, 40))  # CIELAB of a red
    found = np.asarray(decode_upright(encoded(cyan, "JPEG", quality=95, icc_profile=red)).image)
    assert abs(found[5, 5].astype(int) - (212, 57, 56)).max() <= 4
    assert np.asarray(decode_upright(encoded(cyan, "JPEG", quality=95)).image)[5, 5].tolist() == [0, 255, 255]


def test_orientation_of_xmp_does_not_add_to_that_of_exif():
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    image, size, _ = decode_upright(with_segment(encoded(turned(6), "JPEG", 6, quality=95), 0xE1, xmp))
    assert (size, seen(np.asarray(image))) == ((96, 64), UPRIGHT)


def test_a_stereo_pair_in_one_file_shows_its_first_picture():
    pair = encoded(quarters(), "MPO", quality=95, pages=True)
    assert seen(np.asarray(decode_upright(pair).image)) == UPRIGHT
    first_end = pair.index(b"\xff\xd9") + 2
    assert seen(np.asarray(decode_upright(pair[:first_end]).image)) == UPRIGHT  # the second picture is missing
