import contextlib
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from indexer.photos.decode import UnreadablePhotoError, decode_photo
from indexer.photos.square_transform import SquareTransform
from photo_samples import (
    JPEG,
    NOT_AN_IMAGE,
    PNG,
    SMALL,
    UPRIGHT,
    decoded,
    dng,
    encoded,
    quarters,
    refusal,
    refusal_of,
    seen,
    smooth,
    with_segment,
)

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")  # as decode.py does outside pytest

pillow_heif.register_heif_opener()  # so that Pillow writes HEIC here; decode.py enables reading by itself


# Refusals


def png_header(width: int, height: int) -> bytes:
    """Return a PNG header with a size and no pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + start + struct.pack(">I", 9) + b"IDAT"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_more_pixels_than_the_limit_are_refused_and_as_many_are_read(tmp_path, kind):
    data = encoded(quarters(), kind)
    assert decoded(tmp_path, data, max_pixels=6144).width == 96
    assert refusal(tmp_path, data, max_pixels=6143) == (
        "96 x 64 is 6,144 pixels, over the limit of 6,143 (--max-pixels changes it)"
    )


def test_a_decompression_bomb_is_refused_before_a_pixel_is_decoded(tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(Image.Image, "load", never)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", never)
    message = "60000 x 50000 is 3,000,000,000 pixels, over the limit of 250,000,000 (--max-pixels changes it)"
    assert refusal(tmp_path, png_header(60000, 50000)) == message
    start = JPEG.index(b"\xff\xc0") + 5  # marker, length, depth; then height and width
    jpeg = JPEG[:start] + struct.pack(">HH", 50000, 60000) + JPEG[start + 4 :]
    assert refusal(tmp_path, jpeg) == message


BROKEN = {
    "no bytes": (b"", "empty file"),
    "zeros": (b"\0" * 1000, NOT_AN_IMAGE),
    "a text": (b"this is a text", NOT_AN_IMAGE),
    "a drawing": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", NOT_AN_IMAGE),
    "a document": (b"%PDF-1.4", NOT_AN_IMAGE),
    "a film": (b"\0\0\0\x18ftypisom\0\0\0\0isommp41", NOT_AN_IMAGE),
    "a JPEG's first bytes": (JPEG[:20], NOT_AN_IMAGE),
    "a JPEG's first half": (JPEG[: len(JPEG) // 2], "the file is cut short"),
    "a JPEG's header": (JPEG[: JPEG.index(b"\xff\xda")], "broken image: cannot load this image"),
    "all but a JPEG's end": (JPEG[:-40], "the file is cut short"),
    "a PNG's first half": (PNG[: len(PNG) // 2], "the file is cut short"),
    "a PNG's header": (png_header(100, 100), "the file is cut short"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_refused_with_the_reason(tmp_path, kind):
    data, reason = BROKEN[kind]
    assert refusal(tmp_path, data) == reason


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "HEIF", "JPEG2000"])
def test_a_file_of_which_no_decoder_reads_a_part_is_called_cut_short(tmp_path, kind, share):
    data = encoded(smooth(96, 64), kind)
    assert refusal(tmp_path, data[: int(len(data) * share)]) == "the file is cut short"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "HEIF", "JPEG2000"])
def test_half_a_file_is_refused(tmp_path, kind):
    data = encoded(smooth(96, 64), kind)
    assert refusal(tmp_path, data[: len(data) // 2]) == "the file is cut short"


@pytest.mark.parametrize("wrapping", [{"use_container": True}, {}])
def test_half_a_jpeg_xl_is_refused_in_plain_words(tmp_path, wrapping):
    data = encoded(smooth(96, 64), "JXL", **wrapping)
    reason = "the file is cut short" if wrapping else "the JPEG XL is damaged or cut short"
    assert refusal(tmp_path, data[: len(data) // 2]) == reason


@pytest.mark.parametrize("size", [4, 8, 100, 20_000, -60])
def test_a_part_of_a_raw_file_is_refused_in_plain_words(tmp_path, size):
    assert refusal(tmp_path, dng(JPEG, 1)[:size], "a.dng") == "the file is cut short"
    assert refusal(tmp_path, (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + b"\0\1\0\0moov")[:28], "a.cr3") == (
        "the file is cut short"
    )


def test_what_is_no_file_is_refused_and_not_opened(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    for name in ("folder.jpg", "pipe.jpg", "device.jpg"):
        assert refusal_of(tmp_path / name) == "not a regular file"
    assert refusal_of(tmp_path / "gone.jpg") == "cannot be read: No such file or directory"


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    def refusing(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refusing)
    assert refusal_of(Path(__file__)) == "cannot be read: Permission denied"


def test_too_little_memory_is_a_reason_and_a_wrong_fit_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(KeyError):
        decoded(tmp_path, PNG, transform=SquareTransform(32, filter="bilinaer"))
    monkeypatch.setattr("indexer.photos.decoding.pillow_kinds.to_rgb", lambda *_: (_ for _ in ()).throw(MemoryError))
    assert refusal(tmp_path, PNG) == (
        "needs over 1,000,000,000 bytes of memory to decode, or there is too little (--max-pixels changes the limit)"
    )


def test_a_path_is_any_bytes(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"\xff\n\x1b[31m \xe2\x80\xae.jpg")
    with open(path, "wb") as file:
        file.write(JPEG)
    assert seen(decode_photo(path, SMALL).pixels) == UPRIGHT


# Oddities that do no harm

ODD = {
    "bytes after the end": JPEG + b"trailing garbage" * 50,
    "zeros after the end": JPEG + b"\0" * 4096,
    "a second picture after the end": JPEG + encoded(Image.new("RGB", (99, 99)), "JPEG"),
    "stray bytes before the end": JPEG[:-2] + b"stray\xff\xd9",
    "fill bytes between segments": JPEG[:2] + b"\xff\xff" + JPEG[2:],
    "EXIF of noise": with_segment(JPEG, 0xE1, b"Exif\0\0" + bytes(range(256))),
    "EXIF of ones": with_segment(JPEG, 0xE1, b"Exif\0\0" + b"\xff" * 64),
    "EXIF of nothing": with_segment(JPEG, 0xE1, b"Exif\0\0"),
    "EXIF whose entries point outside": with_segment(
        JPEG, 0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\xff\xff\xff\xff\xff\xff\xff\x7f" * 20
    ),
    "EXIF whose orientation is a fraction by zero": with_segment(
        JPEG, 0xE1, b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x05\0\x01\0\0\0\x1a\0\0\0\0\0\0\0" + b"\x01\0\0\0\0\0\0\0"
    ),
    "XMP of noise": with_segment(JPEG, 0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmp \xff\xfe" + bytes(range(256))),
    "a false index of pictures": with_segment(JPEG, 0xE2, b"MPF\0II*\0\x08\0\0\0" + bytes(range(60))),
    "a false colour profile": with_segment(JPEG, 0xE2, b"ICC_PROFILE\0\x01\x01" + b"\xff" * 99),
    "a PNG with EXIF of noise": encoded(quarters(), "PNG", exif=b"Exif\0\0" + bytes(range(99))),
    "a PNG with bytes after the end": PNG + b"garbage" * 50,
    "a PNG without its last chunk": PNG[:-12],
    "a WebP with EXIF of noise": encoded(quarters(), "WEBP", exif=b"Exif\0\0" + bytes(range(99)), lossless=True),
}


@pytest.mark.parametrize("oddity", ODD)
def test_a_harmless_oddity_is_read(tmp_path, oddity):
    photo = decoded(tmp_path, ODD[oddity])
    assert (photo.width, photo.height, seen(photo.pixels)) == (96, 64, UPRIGHT)


def test_reading_odd_files_writes_nothing_to_the_terminal(tmp_path):
    palette = encoded(quarters().quantize(4), "PNG", transparency=bytes([255, 0, 255, 255]))
    tagged = encoded(quarters(), "TIFF", tiffinfo={65000: "?" * 9}, compression="tiff_lzw")
    for number, data in enumerate([*ODD.values(), palette, tagged, tagged[:-30], JPEG[:-9], PNG[:-99], b"II*\0" * 9]):
        (tmp_path / f"{number}.jpg").write_bytes(data)
    code = """if True:
        import os, sys
        from indexer.photos.decode import UnreadablePhotoError, decode_photo
        from indexer.photos.square_transform import SquareTransform
        for name in os.listdir(os.fsencode(sys.argv[1])):
            try:
                decode_photo(os.path.join(os.fsencode(sys.argv[1]), name), SquareTransform(32))
            except UnreadablePhotoError:
                pass
    """
    root = Path(__file__).parents[3]
    child = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=root, capture_output=True, check=False)
    assert (child.returncode, child.stdout, child.stderr) == (0, b"", b"")


# Any bytes at all

STARTS = [
    b"",
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"BM",
    b"II*\0",
    b"RIFF\x99\0\0\0WEBP",
    b"\0\0\0\x18ftypheic",
]
KINDS = ("WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF", "JXL")
DEEP = encoded(Image.fromarray(np.full((64, 96), 30000, np.uint16)), "TIFF", compression="tiff_lzw")
WHOLE = [JPEG, PNG, DEEP, *(encoded(quarters(), kind) for kind in KINDS), dng(JPEG, 6), dng(b"", 6)]
CHANGES = st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=4)), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def reads_or_refuses(folder: Path, data: bytes) -> None:
    with contextlib.suppress(UnreadablePhotoError):
        assert decoded(folder, data, "photo.jpg", max_pixels=10**6).pixels.shape == (32, 32, 3)


@settings(max_examples=150, deadline=None)
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(folder, start, rest):
    reads_or_refuses(folder, start + rest)


@settings(max_examples=400, deadline=None)
@given(whole=st.sampled_from(WHOLE), changes=CHANGES, cut=st.one_of(st.just(0), st.integers(1, 200)))
def test_a_damaged_photo_is_read_or_refused(folder, whole, changes, cut):
    data = bytearray(whole[: len(whole) - cut])
    for place, change in changes:
        place %= len(data) or 1
        data[place : place + len(change)] = change
    reads_or_refuses(folder, bytes(data))
