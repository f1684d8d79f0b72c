"""PNGs: damaged ones as viewers show them, deep ones, palettes, transparency."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from indexer.photos.decode import UnreadablePhotoError, decode_upright
from indexer.photos.decoding.limits import TRUNCATED
from photo_samples import NOT_AN_IMAGE, UPRIGHT, encoded, quarters, refusal, seen, smooth, turned
from unusual_photos.colour_profiles import display_p3_in_srgb, display_p3_profile

PICTURE = smooth(300, 240)
PIXELS = np.asarray(PICTURE)
WHOLE = encoded(PICTURE, "PNG")
AFTER_HEADER = 33  # signature and IHDR


def chunk(name: bytes, content: bytes, *, sound: bool = True) -> bytes:
    checksum = zlib.crc32(name + content) ^ (not sound)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def with_bytes(data: bytes) -> bytes:
    """Return the PNG with bytes after its header."""
    return WHOLE[:AFTER_HEADER] + data + WHOLE[AFTER_HEADER:]


def png(pixels: bytes, colour: int = 2, bits: int = 8, *, interlaced: bool = False, side: bytes = b"") -> bytes:
    """Return a PNG of 300 x 240 made of rows with their filters."""
    header = struct.pack(">IIBBBBB", 300, 240, bits, colour, 0, 0, interlaced)
    parts = chunk(b"IHDR", header), side, chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def interlaced() -> bytes:
    """Return the picture as the seven passes of Adam7."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = [b"\0" + row.tobytes() for x, y, dx, dy in passes for row in PIXELS[y::dy, x::dx]]
    return png(b"".join(rows), interlaced=True)


def cut(data: bytes, percent: float) -> bytes:
    return data[: int(len(data) * percent / 100)]


def large_text(**options) -> bytes:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("workflow", "{}" * 800_000, **options)
    return encoded(PICTURE, "PNG", pnginfo=notes)


DAMAGED = "damaged chunks of the PNG ({})"
LEFT_OUT = "chunks of the PNG that are too large or wrong were left out ({})"
SIDE = {
    "wrong checksum of a text": (with_bytes(chunk(b"tEXt", b"Comment\0hello", sound=False)), DAMAGED.format("tEXt")),
    "wrong checksum of EXIF": (with_bytes(chunk(b"eXIf", b"MM\0*", sound=False)), DAMAGED.format("eXIf")),
    "wrong checksum of a time": (with_bytes(chunk(b"tIME", bytes(7), sound=False)), DAMAGED.format("tIME")),
    "length far too long": (with_bytes(b"\x7f\xff\xff\xfftEXtComment\0hello1234"), DAMAGED.format("tEXt")),
    "length too long": (with_bytes(b"\0\0\0\x63tEXtComment\0hello1234"), DAMAGED.format("tEXt")),
    "length too short": (with_bytes(b"\0\0\0\2tEXtComment\0hello1234"), DAMAGED.format("tEXt")),
    "name of no letters": (with_bytes(b"\0\0\0\4\xff\xfe\xfd\xfc" + bytes(8)), DAMAGED.format("?")),
    "too short for its kind": (with_bytes(chunk(b"gAMA", b"\0")), LEFT_OUT.format("gAMA")),
    "too short for density": (with_bytes(chunk(b"pHYs", b"\0\0")), LEFT_OUT.format("pHYs")),
    "transparency of another kind": (with_bytes(chunk(b"tRNS", b"12345")), LEFT_OUT.format("tRNS")),
    "text of 1.6 MB": (large_text(zip=True), LEFT_OUT.format("zTXt")),
    "profile of 1.5 MB": (encoded(PICTURE, "PNG", icc_profile=bytes(1_500_000)), LEFT_OUT.format("iCCP")),
    "wrong checksum of the end": (WHOLE[:-4] + b"1234", None),
    "no end": (WHOLE[:-12], None),
    "wrong checksum of the right pixels": (WHOLE[:-16] + b"1234" + WHOLE[-12:], "wrong checksums in the PNG"),
    "bytes after the end": (WHOLE + b"film" * 999, None),
}


@pytest.mark.parametrize("kind", SIDE)
def test_damage_beside_the_pixels_does_no_harm(kind):
    data, note = SIDE[kind]
    photo = decode_upright(data)
    assert np.array_equal(photo.image, PICTURE)
    assert photo.note == note


@pytest.mark.parametrize("kind", ["whole", "interlaced"])
def test_a_png_without_its_last_rows_shows_the_others(kind):
    data = WHOLE if kind == "whole" else interlaced()
    photo = decode_upright(cut(data, 98))
    difference = abs(np.asarray(photo.image, np.int16) - PIXELS)
    assert difference.mean() < 3
    assert not difference[:220:8, ::8].any()  # what the first pass holds
    assert photo.note in [f"cut off: the last {n} % of its rows are missing" for n in (1, 2, 3, 4)]
    assert decode_upright(cut(data, 85)).note.startswith("cut off: the last ")


def test_rows_before_the_cut_are_exact_and_the_last_one_is_repeated():
    rows = b"".join(b"\0" + row.tobytes() for row in PIXELS)
    stored = zlib.compress(rows, 0)
    header = WHOLE[8:AFTER_HEADER]
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", stored)
    lost = 30 * 901 + 400  # 30 rows, a part of another, and what follows the pixels
    photo = decode_upright(data[:-lost])
    found = np.asarray(photo.image)
    assert np.array_equal(found[:209], PIXELS[:209])
    assert (found[210:] == found[209]).all()
    assert photo.note == "cut off: the last 13 % of its rows are missing"


@pytest.mark.parametrize("percent", [3, 30, 50, 60])
def test_a_png_of_which_too_few_rows_are_there_is_refused(tmp_path, percent):
    for data in (WHOLE, interlaced()):
        assert refusal(tmp_path, cut(data, percent)) == "the file is cut short"


def test_wrong_pixels_are_no_picture(tmp_path):
    place = len(WHOLE) * 4 // 10
    data = WHOLE[:place] + b"\x13\x57\x99" + WHOLE[place + 3 :]
    assert refusal(tmp_path, data) == "broken image: wrong checksums of its pixels"


def test_rows_before_wrong_pixels_are_shown():
    stream = zlib.compress(b"".join(b"\0" + row.tobytes() for row in PIXELS), 0)
    parts = [stream[i : i + 8192] for i in range(0, len(stream), 8192)]
    chunks = [chunk(b"IDAT", part) for part in parts]
    chunks[-2] = chunk(b"IDAT", bytes(8192), sound=False)
    photo = decode_upright(WHOLE[:AFTER_HEADER] + b"".join(chunks) + chunk(b"IEND", b""))
    there = (len(parts) - 2) * 8192 // 901 - 1
    assert np.array_equal(np.asarray(photo.image)[:there], PIXELS[:there])
    assert photo.note.startswith("cut off: the last ")


def test_a_damaged_header_is_refused(tmp_path):
    assert refusal(tmp_path, WHOLE[:29] + b"1234" + WHOLE[33:]) == NOT_AN_IMAGE
    assert refusal(tmp_path, WHOLE[:AFTER_HEADER]) == TRUNCATED


def test_limits_hold_for_a_damaged_png():
    data, _ = SIDE["text of 1.6 MB"]
    with pytest.raises(UnreadablePhotoError, match="over the limit of 71,999"):
        decode_upright(data, max_pixels=71_999)
    with pytest.raises(UnreadablePhotoError, match="over the limit of 71,999"):
        decode_upright(cut(WHOLE, 90), max_pixels=71_999)


def test_orientation_and_profile_outlive_a_damaged_chunk():
    data = encoded(turned(6), "PNG", 6)
    data = data[:AFTER_HEADER] + chunk(b"tEXt", b"a\0b", sound=False) + data[AFTER_HEADER:]
    photo = decode_upright(data)
    assert (photo.size, seen(np.asarray(photo.image)), photo.note) == ((96, 64), UPRIGHT, DAMAGED.format("tEXt"))
    data = encoded(PICTURE, "PNG", icc_profile=display_p3_profile())
    data = data[:AFTER_HEADER] + chunk(b"tEXt", b"a\0b", sound=False) + data[AFTER_HEADER:]
    assert abs(np.asarray(decode_upright(data).image) - display_p3_in_srgb(PIXELS)).max() < 2


# Kinds


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bits_look_as_8_bits(colour, channels):
    picture = PIXELS[..., :channels] if channels < 4 else np.dstack([PIXELS, PIXELS[..., 0]])
    if channels == 2:
        picture = np.dstack([PIXELS[..., 0], np.full(PIXELS.shape[:2], 255, np.uint8)])
    deep = (picture.astype(np.uint16) * 257).astype(">u2")
    wide = png(b"".join(b"\0" + row.tobytes() for row in deep), colour, 16)
    plain = png(b"".join(b"\0" + row.tobytes() for row in picture), colour)
    assert np.array_equal(decode_upright(wide).image, decode_upright(plain).image)


def test_an_animation_shows_its_first_frame_that_is_not_empty():
    frames = [Image.new("RGBA", (96, 64)), quarters().convert("RGBA")]
    for kind in ("PNG", "WEBP", "GIF"):
        data = encoded(
            frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
        )
        assert seen(np.asarray(decode_upright(data).image)) == UPRIGHT, kind
