"""Wrong metadata: what can be read is, the rest is left out, and no photo fails for it."""

import os
import struct
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.photos.decode import decode_photo
from indexer.photos.metadata.containers import find_tags
from indexer.photos.metadata.exif_directories import read_exif
from indexer.photos.metadata.reading import metadata_of, read_metadata
from indexer.photos.metadata.record import NOTHING_SAID, PhotoMetadata
from photo_samples import SMALL, encoded, quarters
from unusual_photos.exif_blocks import (
    ASCII,
    EXIF_PART,
    GPS_PART,
    LONG,
    RATIONAL,
    SHORT,
    block,
    camera_exif,
    directory,
    jpeg_with,
)

MODEL, ORIENTATION, XMP_TAG = 0x0110, 0x0112, 0x02BC


said = partial(PhotoMetadata, kind="photo")


def longs(value: int, order: str = "<") -> bytes:
    return struct.pack(order + "I", value)


def read(folder: Path, exif: bytes) -> PhotoMetadata | None:
    """Return the metadata of a JPEG with this EXIF, which must decode all the same."""
    path = folder / "photo.jpg"
    path.write_bytes(jpeg_with(exif))
    assert decode_photo(os.fsencode(path), SMALL).pixels.shape == (32, 32, 3)
    return read_metadata(os.fsencode(path))


def test_text_is_cut_at_nul_and_read_as_utf_8_or_latin_1(tmp_path: Path) -> None:
    cases = {
        b"X100\0\0garbage": "X100",
        "Caméra".encode(): "Caméra",
        "Caméra".encode("latin-1"): "Caméra",
        b"  A\n\x1b[31m  B ": "A [31m B",
    }
    for raw, name in cases.items():
        entry = (MODEL, ASCII, len(raw), longs(8 + 2 + 12 + 4))
        found = read(tmp_path, block(directory([entry]), extra=raw))
        assert found is not None
        assert found.camera == name


def test_directories_that_lead_to_themselves_end(tmp_path: Path) -> None:
    entries = [(MODEL, ASCII, 4, b"X1\0\0"), (EXIF_PART, LONG, 1, longs(8)), (GPS_PART, LONG, 1, longs(8))]
    assert read(tmp_path, block(directory(entries))) == said(camera="X1")
    beyond = [(MODEL, ASCII, 4, b"X1\0\0"), (EXIF_PART, LONG, 1, longs(0xFFFFFFFF)), (GPS_PART, SHORT, 1, b"\1\0")]
    assert read(tmp_path, block(directory(beyond))) == said(camera="X1")


@pytest.mark.filterwarnings("ignore:Tag data larger than file")  # Pillow's, while it decodes
def test_values_of_huge_size_or_of_another_type_are_passed_over(tmp_path: Path) -> None:
    entries = [
        (0x010F, ASCII, 0xFFFFFFFF, longs(8)),
        (MODEL, SHORT, 2, b"\1\0\2\0"),
        (MODEL, ASCII, 4, b"no\0\0"),
        (0x9003, RATIONAL, 1, longs(8)),
        (ORIENTATION, ASCII, 2, b"6\0"),
        (0xA434, 99, 4, b"lens"),
        (XMP_TAG, 1, 0, b""),
    ]
    # A model that is a number is none, and the first entry of a tag counts.
    assert read(tmp_path, block(directory(entries))) == NOTHING_SAID


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_exif_does_not_know_is_none(tmp_path: Path, value: int) -> None:
    assert read(tmp_path, block(directory([(ORIENTATION, SHORT, 1, struct.pack("<H", value))]))) == NOTHING_SAID


def test_both_byte_orders_are_read(tmp_path: Path) -> None:
    for order in "<>":
        turned = (ORIENTATION, SHORT, 1, struct.pack(order + "H", 3))
        assert read(tmp_path, block(directory([turned], order), order=order)) == said(orientation=3)


def test_a_place_of_fractions_over_zero_is_none(tmp_path: Path) -> None:
    main = directory([(MODEL, ASCII, 4, b"X1\0\0"), (GPS_PART, LONG, 1, longs(8 + 30))])
    at = 8 + 30 + 54
    gps = directory(
        [(1, ASCII, 2, b"N\0"), (2, RATIONAL, 3, longs(at)), (3, ASCII, 2, b"E\0"), (4, RATIONAL, 3, longs(at + 24))]
    )
    fractions = struct.pack("<6I", 48, 1, 51, 1, 0, 0) + struct.pack("<6I", 2, 1, 0, 1, 0, 1)
    assert read(tmp_path, block(main, gps, extra=fractions)) == said(camera="X1")
    fractions = struct.pack("<6I", 48, 1, 51, 1, 0, 1) + struct.pack("<6I", 2, 1, 0, 1, 0, 1)
    assert read(tmp_path, block(main, gps, extra=fractions)) == said(camera="X1", latitude=48.85, longitude=2.0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_file_cut_anywhere_says_less_and_nothing_wrong(kind: str) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    data = encoded(quarters(), kind, exif=camera_exif())
    whole = metadata_of(find_tags(data), b"a.jpg")
    assert whole.camera == "Nikon D90"
    for length in range(0, len(data), 7):
        cut = metadata_of(find_tags(data[:length]), b"a.jpg")
        # The parts of a second and the offset are values of their own.
        assert cut.taken is None or cut.taken.strftime("%Y%m%d %H%M%S") == "20200714 123059"
        assert (cut.latitude, cut.longitude) in ((None, None), (48.8584, 2.2945))


JUNK = camera_exif().removeprefix(b"Exif\0\0")


@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(0, len(JUNK)))
def test_bytes_of_any_kind_make_no_error(junk: bytes, at: int) -> None:
    damaged = JUNK[:at] + junk + JUNK[at + len(junk) :]
    image, gps = read_exif(damaged)
    assert set(image) | set(gps) <= set(range(1 << 16))
    for start in (b"\xff\xd8\xff\xe1", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"\0\0\0\x18ftyp", b"8BPS", b"II*\0"):
        found = metadata_of(find_tags(start + junk + damaged), b"a.jpg")
        assert found.orientation in (None, *range(1, 9))
