"""The memory of a decoder is bounded: by the size of the file before it is read, by its pixels before they are made."""

import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.photos import decode
from indexer.photos.decode import ReadPhoto, UnreadablePhotoError, decode_read, decode_upright
from indexer.photos.decoding import colour
from indexer.photos.decoding.colour import to_rgb
from indexer.photos.decoding.limits import MoreMemoryError
from indexer.photos.square_transform import SquareTransform
from photo_samples import JPEG, PNG, UPRIGHT, decoded, encoded, refusal_of, seen, smooth

# Prints by how many MB decoding raises the peak of a fresh process.
PEAK = """if True:
    import os, resource, sys
    from indexer.photos.decode import UnreadablePhotoError, decode_photo
    from indexer.photos.square_transform import SquareTransform
    def peak():
        if os.path.exists("/proc/self/status"):  # getrusage counts what the parent had when it started this process
            return next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 << (20 if sys.platform == "darwin" else 10))
    before = peak()
    try:
        photo = decode_photo(os.fsencode(sys.argv[1]), SquareTransform(64))
        print(peak() - before, *photo.pixels.reshape(-1, 3).mean(axis=0).round().astype(int))
    except UnreadablePhotoError as error:
        print(peak() - before, error)
"""


def peak_megabytes(path: Path) -> tuple[int, str]:
    """Decode in a fresh process; return by how many MB its peak rose, and the mean colour or the reason."""
    root = Path(__file__).parents[3]
    child = subprocess.run([sys.executable, "-c", PEAK, path], cwd=root, capture_output=True, text=True, check=True)
    rise, rest = child.stdout.strip().split(" ", 1)
    return int(rise), rest


def flat_png(side: int, colour_type: int, pixel: bytes) -> bytes:
    """Return a PNG of one colour, row by row, so that it takes little memory here."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    stream, row = zlib.compressobj(1), b"\0" + pixel * side
    pixels = b"".join(stream.compress(row) for _ in range(side)) + stream.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def with_sides(png: bytes, width: int, height: int) -> bytes:
    """Return a PNG whose header tells other sides, with the right checksum."""
    header = png[12:16] + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


def test_a_large_transparent_png_takes_little_more_than_its_pixels(tmp_path):
    (tmp_path / "a.png").write_bytes(flat_png(8200, 6, b"\xc8\x00\x00\x33"))  # 67 megapixels, 269 MB as RGBA
    rise, mean = peak_megabytes(tmp_path / "a.png")
    assert mean == "244 204 204"  # a fifth of the red over white
    assert rise < 350


def test_a_sparse_file_is_not_read(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG[:-2])
    os.truncate(path, 1_000_000_000)
    rise, reason = peak_megabytes(path)
    assert re.fullmatch(r"sparse file: only [\d,]{5,6} of its 1,000,000,000 bytes are there", reason)
    assert rise <= 1


def test_a_large_file_that_is_whole_is_read(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG + b"\1" * 65_000_000)
    rise, mean = peak_megabytes(path)
    assert all(abs(int(value) - 127) <= 3 for value in mean.split())
    assert rise < 200


def test_the_memory_of_a_photo_is_known_from_its_header(tmp_path):
    (tmp_path / "a.png").write_bytes(with_sides(flat_png(8, 6, b"\xc8\x00\x00\x33"), 15_780, 15_780))
    rise, reason = peak_megabytes(tmp_path / "a.png")
    needed = int(reason.split()[4].replace(",", ""))
    assert reason == (
        f"15780 x 15780 takes {needed:,} bytes of memory to decode, over the limit of 1,000,000,000 "
        "(--max-pixels changes it)"
    )
    assert 4 * 15_780**2 < needed < 4.5 * 15_780**2
    assert rise < 50


@pytest.mark.parametrize(
    ("kind", "mode", "side"),
    [("TIFF", "F", 5700), ("TIFF", "CMYK", 5700), ("WEBP", "RGBA", 4000), ("PNG", "RGBA", 5000), ("JPEG", "RGB", 6000)],
)
def test_no_decoding_takes_more_than_was_told(tmp_path, monkeypatch, kind, mode, side):
    options = {"JPEG": {"progressive": True}, "WEBP": {"method": 0}, "PNG": {"compress_level": 1}}.get(kind, {})
    colour = {"F": 0.5, "CMYK": (9, 99, 0, 3), "RGB": (200, 0, 0)}.get(mode, (200, 0, 0, 51))
    path = tmp_path / "a"
    Image.new(mode, (side, side), colour).save(path, kind, **options)
    data = path.read_bytes()
    asked = [1]
    while asked == [1] or asked[-1] > asked[-2]:  # some kinds ask again as they learn more
        try:
            decode_read(ReadPhoto(b"a", data, b""), SquareTransform(64), granted=asked[-1])
            break
        except MoreMemoryError as more:
            asked.append(more.needed)
    assert asked == sorted(set(asked))
    rise, _ = peak_megabytes(path)
    assert asked[-1] / 3 < rise * 2**20 <= asked[-1]


def test_a_jpeg_2000_that_is_too_large_is_decoded_at_a_fraction_of_its_size():
    picture = smooth(3500, 3000)  # 24 bytes for each of 10.5 megapixels are over the limit, a quarter of them are not
    photo = decode_upright(encoded(picture, "JPEG2000"), max_pixels=11_000_000, min_side=100)
    assert (photo.size, photo.image.size) == ((3500, 3000), (1750, 1500))
    difference = np.asarray(photo.image, np.int16) - np.asarray(picture.resize((1750, 1500)), np.int16)
    assert abs(difference).mean() < 2
    with pytest.raises(UnreadablePhotoError, match=r"^3500 x 3000 takes 29"):
        decode_upright(encoded(picture, "JPEG2000"), max_pixels=11_000_000)


def test_a_file_that_is_too_large_for_any_photo_is_not_opened(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    os.truncate(path, 1_000_000_001)
    assert refusal_of(path) == (
        "the file has 1,000,000,001 bytes, over the limit of 1,000,000,000 (--max-pixels changes it)"
    )
    os.truncate(path, 256_000_001)
    assert refusal_of(path, max_pixels=10) == (
        "the file has 256,000,001 bytes, over the limit of 256,000,000 (--max-pixels changes it)"
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP", "WEBP", "GIF", "PPM"])
def test_a_file_that_is_mapped_gives_what_one_that_is_read_gives(tmp_path, monkeypatch, kind):
    data = encoded(smooth(300, 200), kind)
    read = decoded(tmp_path, data)
    monkeypatch.setattr(decode, "MAPPED_BYTES", 10)
    mapped = decoded(tmp_path, data)
    assert np.array_equal(read.pixels, mapped.pixels)
    assert (read.digest, read.width, read.height, read.note) == (mapped.digest, 300, 200, None)


def test_a_damaged_file_that_is_mapped_is_read_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "MAPPED_BYTES", 10)
    assert seen(decoded(tmp_path, JPEG[:-2]).pixels) == UPRIGHT
    assert seen(decoded(tmp_path, PNG[:-14]).pixels) == UPRIGHT


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "I;16", "F", "1"])
def test_strips_give_the_picture_of_the_whole(monkeypatch, mode):
    picture = smooth(210, 170)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    elif mode == "F":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.float32) / 255)
    else:
        picture = picture.convert(mode)
        if "A" in mode:
            picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    whole = to_rgb(picture)
    monkeypatch.setattr(colour, "STRIP_PIXELS", 1000)
    assert np.array_equal(to_rgb(picture), whole)
    monkeypatch.setattr(colour, "LARGE_PIXELS", 1000)
    reduced = to_rgb(picture, min_side=14)  # 170 // (4 * 14) = 3
    assert np.array_equal(reduced, whole.reduce(3))
