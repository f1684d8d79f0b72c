"""TIFFs of every depth and layout; tifffile writes them, so that another hand than ours decides what they hold."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from indexer.photos.decode import UnreadablePhotoError, decode_upright
from indexer.photos.decoding import tiff, tiff_samples
from photo_samples import STORED, UPRIGHT, encoded, refusal, seen, smooth, turned
from photo_samples import tiff as tiff_bytes
from unusual_photos.colour_profiles import display_p3_in_srgb, display_p3_profile

PIXELS = np.asarray(smooth(150, 110))
DEEP = PIXELS.astype(np.uint16) * 257
GREY = PIXELS[..., 1]
OPAQUE = np.full(GREY.shape, 65535, np.uint16)


def written(values: np.ndarray, photometric: str = "rgb", **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric=photometric, **options)
    return buffer.getvalue()


def found(data: bytes) -> np.ndarray:
    photo = decode_upright(data)
    assert photo.note is None
    assert photo.size == (150, 110)
    return np.asarray(photo.image, np.int16)


TYPES = {
    "uint16": DEEP,
    "uint32": DEEP.astype(np.uint32),
    "int16": (DEEP // 2).astype(np.int16),
    "float16": (PIXELS / 255).astype(np.float16),
    "float32": (PIXELS / 255).astype(np.float32),
    "float64": PIXELS / 255,
    "float32 of 0 to 255": PIXELS.astype(np.float32),
    "float32 of 0 to 65535": DEEP.astype(np.float32),
}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("options", [{}, {"tile": (64, 48)}, {"byteorder": ">"}, {"bigtiff": True, "rowsperstrip": 7}])
def test_every_depth_in_every_layout_looks_as_8_bits(kind, planar, options):
    values = TYPES[kind] if planar == "contig" else np.ascontiguousarray(TYPES[kind].transpose(2, 0, 1))
    data = written(values, planarconfig=planar, **options)
    assert abs(found(data) - PIXELS).max() <= 1


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("kind", ["uint16", "uint32", "float32"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", ["zlib", "lzma"])
def test_compressed_samples_are_the_same(kind, planar, compression, predictor):
    values = TYPES[kind] if planar == "contig" else np.ascontiguousarray(TYPES[kind].transpose(2, 0, 1))
    predictor = predictor and kind != "float32"  # that one is below
    data = written(values, planarconfig=planar, compression=compression, predictor=predictor)
    assert abs(found(data) - PIXELS).max() <= 1


def by_hand(planes: list[bytes], bits: int, sample_format: int, **tags: int) -> bytes:
    """Make a TIFF of 150 x 110 with three planes, each a compressed strip."""
    starts = [8 + sum(map(len, planes[:i])) for i in range(3)]
    numbers = {"compression": 259, "predictor": 317}
    entries = [
        (256, 4, (150,)),
        (257, 4, (110,)),
        (258, 3, (bits,) * 3),
        (262, 3, (2,)),
        (277, 3, (3,)),
        (284, 3, (2,)),
    ]
    entries += [
        (273, 4, tuple(starts)),
        (279, 4, tuple(map(len, planes))),
        (278, 4, (110,)),
        (339, 3, (sample_format,) * 3),
    ]
    entries += [(numbers[name], 3, (value,)) for name, value in tags.items()]
    content = b"".join(planes)
    return b"II*\0" + struct.pack("<I", 8 + len(content)) + content + tiff_bytes(entries, 8 + len(content))


def compressed_by_pillow(content: np.ndarray, compression: str) -> bytes:
    """Compress the bytes of rows as Pillow's TIFF of one strip does."""
    rows = Image.fromarray(np.ascontiguousarray(content).view(np.uint8).reshape(110, -1))
    data = encoded(rows, "TIFF", compression=compression, tiffinfo={278: 110})
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        return data[page.dataoffsets[0] : page.dataoffsets[0] + page.databytecounts[0]]


@pytest.mark.parametrize(("compression", "number"), [("tiff_lzw", 5), ("packbits", 32773), ("zstd", 50000)])
@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_compressions_of_libtiff_hold_planes_of_any_depth(kind, compression, number):
    planes = [compressed_by_pillow(TYPES[kind][..., i], compression) for i in range(3)]
    bits, sample_format = (16, 1) if kind == "uint16" else (32, 3)
    assert abs(found(by_hand(planes, bits, sample_format, compression=number)) - PIXELS).max() <= 1


@pytest.mark.parametrize("bits", [16, 32, 64])
def test_differences_of_the_bytes_of_floats_are_undone(bits):
    planes = []
    for i in range(3):
        values = (PIXELS[..., i] / 255).astype(f">f{bits // 8}")
        ordered = values.view(np.uint8).reshape(110, 150, -1).transpose(0, 2, 1).reshape(110, -1)  # highest bytes first
        differences = np.diff(ordered, axis=1, prepend=np.uint8(0))
        planes.append(zlib.compress(differences.tobytes()))
    assert abs(found(by_hand(planes, bits, 3, compression=8, predictor=3)) - PIXELS).max() <= 1


def test_differences_in_lzw_are_undone():
    planes = []
    for i in range(3):
        differences = np.diff(DEEP[..., i], axis=1, prepend=np.uint16(0))
        planes.append(compressed_by_pillow(differences, "tiff_lzw"))
    assert np.array_equal(found(by_hand(planes, 16, 1, compression=5, predictor=2)), PIXELS)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_samples_that_share_bytes_are_unpacked(bits):
    values = DEEP >> (16 - bits)
    places = np.arange(bits - 1, -1, -1)
    # A row begins at a byte of its own.
    planes = [
        np.packbits((values[..., i, None] >> places & 1).astype(np.uint8).reshape(110, -1), axis=1).tobytes()
        for i in range(3)
    ]
    assert abs(found(by_hand(planes, bits, 1)) - PIXELS).max() <= 1


# Colours


def three(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None].astype(np.int16), 3, axis=2)


def test_greys_of_every_kind():
    deep = DEEP[..., 1]
    for data in (
        written(deep, "minisblack"),
        written(65535 - deep, "miniswhite"),
        written(255 - GREY, "miniswhite"),
        written((GREY / 255).astype(np.float32), "minisblack"),
        written(GREY.astype(np.float64), "minisblack"),
        written(np.dstack([deep, OPAQUE]), "minisblack", extrasamples=["unassalpha"]),
        written(np.dstack([deep, deep]), "minisblack", extrasamples=["unspecified"]),
        written(np.dstack([GREY, GREY]), "minisblack", extrasamples=["unspecified"]),
    ):
        assert abs(found(data) - three(GREY)).max() <= 1


def test_one_bit_is_black_or_white():
    bits = GREY > 127
    assert np.array_equal(found(written(bits, "minisblack")), three(bits * 255))
    assert np.array_equal(found(written(bits, "miniswhite")), three(~bits * 255))


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("deep", [False, True])
def test_what_a_mask_hides_is_white(planar, deep):
    mask = np.where(np.arange(150) < 100, 255, 0).astype(np.uint8) * np.ones((110, 1), np.uint8)
    values = np.dstack([PIXELS, mask])
    values = values.astype(np.uint16) * 257 if deep else values
    values = values if planar == "contig" else np.ascontiguousarray(values.transpose(2, 0, 1))
    pixels = found(written(values, planarconfig=planar, extrasamples=["unassalpha"]))
    assert np.array_equal(pixels[:, :100], PIXELS[:, :100])
    assert (pixels[:, 100:] == 255).all()


def test_colours_that_are_multiplied_by_their_mask_are_put_over_white():
    values = np.zeros((110, 150, 4), np.uint16)
    values[:, :100] = (100 * 257, 50 * 257, 0, 65535)
    values[:, 100:120] = (20 * 257, 10 * 257, 0, 51 * 257)  # a fifth of the same colour
    pixels = found(written(values, extrasamples=["assocalpha"]))
    assert [pixels[0, column].tolist() for column in (0, 110, 149)] == [[100, 50, 0], [224, 214, 204], [255, 255, 255]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_picture_in_place_of_a_mask_is_named(tmp_path, dtype):
    values = np.dstack([DEEP[..., 0], DEEP[..., 1] // 2 + 16000])
    values = values if dtype == np.uint16 else (values >> 8).astype(np.uint8)
    data = written(values, "minisblack", extrasamples=["unassalpha"])
    reason = "most of this TIFF is half transparent, and decoders disagree about what it shows"
    assert refusal(tmp_path, data, "a.tif") == reason


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("deep", [False, True])
def test_inks_of_every_layout(planar, deep):
    inks = smooth(150, 110).convert("CMYK")
    values = np.asarray(inks)
    values = values.astype(np.uint16) * 257 if deep else values
    values = values if planar == "contig" else np.ascontiguousarray(values.transpose(2, 0, 1))
    assert abs(found(written(values, "separated", planarconfig=planar)) - np.asarray(inks.convert("RGB"))).max() <= 1


@pytest.mark.parametrize("deep", [False, True])
def test_cielab_becomes_srgb(deep):
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(Image.fromarray(PIXELS), to_lab)
    data = encoded(lab, "TIFF")
    if deep:
        lightness, a, b = (tifffile.imread(io.BytesIO(data))[..., i].astype(np.int32) for i in range(3))
        data = written(np.dstack([lightness * 257, a * 256, b * 256]).astype(np.uint16), "cielab")
    assert abs(found(data) - PIXELS).mean() < 1.5


def test_highlights_over_one_do_not_darken_a_float_photo():
    values = (PIXELS / 255).astype(np.float32)
    values[0, :5] = 40.0
    assert abs(found(written(values))[1:] - PIXELS[1:]).max() <= 1


def test_the_profile_of_a_deep_tiff_counts():
    data = written(DEEP, iccprofile=display_p3_profile())
    assert abs(found(data) - display_p3_in_srgb(PIXELS)).max() < 2


# Orientation, pages, damage


@pytest.mark.parametrize("orientation", STORED)
def test_a_deep_tiff_comes_out_upright(orientation):
    stored = np.asarray(turned(orientation)).astype(np.uint16) * 257
    photo = decode_upright(written(stored, extratags=[(274, 3, 1, orientation, True)]))
    assert (photo.size, seen(np.asarray(photo.image))) == ((96, 64), UPRIGHT)


def test_an_orientation_that_only_xmp_tells_is_obeyed():
    stored = np.asarray(turned(6)).astype(np.uint16) * 257
    xmp = b'<rdf tiff:Orientation="6"/>'
    photo = decode_upright(written(stored, extratags=[(700, 1, len(xmp), xmp, True)]))
    assert (photo.size, seen(np.asarray(photo.image))) == ((96, 64), UPRIGHT)


def test_a_tiff_that_only_keeps_the_tags_of_a_dng_is_a_tiff():
    assert np.array_equal(found(written(DEEP, extratags=[(50706, 1, 4, (1, 4, 0, 0), True)])), PIXELS)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_one_large_strip_is_read_in_bands(monkeypatch, planar):
    values = DEEP if planar == "contig" else np.ascontiguousarray(DEEP.transpose(2, 0, 1))
    data = written(values, planarconfig=planar)
    monkeypatch.setattr(tiff_samples, "BAND_PIXELS", 1000)
    assert np.array_equal(found(data), PIXELS)
    strips = written(values, planarconfig=planar, rowsperstrip=47)
    assert np.array_equal(found(strips), PIXELS)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_thumbnail_or_mask_before_the_photo_is_passed_over(dtype):
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(np.zeros((20, 20, 3), np.uint8), photometric="rgb", subfiletype=1)
        file.write(PIXELS if dtype == np.uint8 else DEEP, photometric="rgb")
    assert np.array_equal(found(buffer.getvalue()), PIXELS)


@pytest.mark.parametrize("values", [PIXELS, DEEP])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_without_its_last_rows_shows_the_others(tmp_path, values, compression):
    data = written(values, compression=compression, rowsperstrip=10)
    photo = decode_upright(data[: len(data) * 9 // 10])
    pixels = np.asarray(photo.image)
    assert np.array_equal(pixels[:90], PIXELS[:90])
    assert photo.note.startswith("cut off: the last ")
    assert refusal(tmp_path, data[: len(data) // 2], "a.tif") == "the file is cut short"


def test_two_decoders_that_disagree_are_named(tmp_path, monkeypatch):
    other = Image.fromarray(255 - PIXELS)
    monkeypatch.setattr(tiff, "to_rgb", lambda image, *_: other if image.format == "TIFF" else image)
    reason = "two decoders disagree about this TIFF (16+16+16 bits, compression 1, photometric 2)"
    assert refusal(tmp_path, written(DEEP), "a.tif") == reason


def test_differences_that_some_programs_do_not_undo_are_named(tmp_path):
    data = by_hand([compressed_by_pillow(PIXELS[..., i], "packbits") for i in range(3)], 8, 1, compression=32773)
    assert np.array_equal(found(data), PIXELS)
    data = by_hand([data[8:1000]] * 3, 8, 1, compression=32773, predictor=2)
    reason = "decoders disagree about this TIFF (8+8+8 bits, compression 32773, photometric 2, with a predictor)"
    assert refusal(tmp_path, data, "a.tif") == reason


def test_a_compression_that_is_not_read_is_named(tmp_path):
    data = by_hand([b"x" * 99] * 3, 8, 1, compression=34712)
    reason = "TIFF of a kind that is not read (8+8+8 bits, compression 34712, photometric 2)"
    assert refusal(tmp_path, data, "a.tif") == reason


def test_memory_bounds_a_deep_tiff():
    data = written(TYPES["float64"])
    wide = data.replace(struct.pack("<HHII", 256, 4, 1, 150), struct.pack("<HHII", 256, 4, 1, 100_000))
    # 11 megapixels of 3 x 8 bytes and of 3, bands of 10 rows in three states, 40 MB to work in, and the file.
    needed = 11_000_000 * 27 + 3 * 10 * 100_000 * 24 + 40_000_000 + len(wide)
    reason = f"100000 x 110 takes {needed:,} bytes of memory to decode, over the limit of 256,000,000"
    with pytest.raises(UnreadablePhotoError, match=reason):
        decode_upright(wide, max_pixels=11_000_000)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_that_are_no_numbers_are_black_and_noted(photometric, dtype):
    values = (PIXELS if photometric == "rgb" else GREY).astype(dtype) / 255
    expected = np.asarray(Image.fromarray(PIXELS if photometric == "rgb" else GREY).convert("RGB"), np.int16)
    if photometric == "miniswhite":
        expected = 255 - expected
    values[20:30, 40:50] = np.nan
    expected[20:30, 40:50] = 0
    photo = decode_upright(written(values, photometric))
    assert photo.note == "odd samples: some are no numbers (NaN), and are shown black"
    assert abs(np.asarray(photo.image, np.int16) - expected).max() <= 1
