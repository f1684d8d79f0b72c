import pillow_heif
import pillow_jxl  # noqa: F401
import pytest
from PIL import Image

from indexer.photos.content import FIRST_BYTES, kind_of_content
from photo_samples import dng, encoded, quarters

pillow_heif.register_heif_opener()

KINDS = {
    "JPEG": ("JPEG", {}),
    "MPO": ("JPEG", {"pages": True}),
    "PNG": ("PNG", {}),
    "GIF": ("GIF", {}),
    "WEBP": ("WEBP", {}),
    "BMP": ("BMP", {}),
    "DIB": ("DIB", {}),
    "TIFF": ("TIFF", {}),
    "AVIF": ("AVIF", {}),
    "HEIF": ("HEIF", {}),
    "JPEG2000": ("JPEG2000", {}),
    "PPM": ("PPM", {}),
    "JXL": ("JXL", {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_recognised_by_its_first_bytes(kind):
    expected, options = KINDS[kind]
    assert kind_of_content(encoded(quarters(), kind, **options)[:FIRST_BYTES]) == expected


def test_variants_of_kinds():
    assert kind_of_content(encoded(quarters(), "TIFF", big_tiff=True)[:FIRST_BYTES]) == "TIFF"
    assert kind_of_content(encoded(quarters(), "JPEG2000", no_jp2=True)[:FIRST_BYTES]) == "JPEG2000"
    assert kind_of_content(encoded(quarters(), "JXL", use_container=True)[:FIRST_BYTES]) == "JXL"
    for mode in ("1", "L", "I;16", "F"):
        picture = Image.new(mode, (9, 9))
        assert kind_of_content(encoded(picture, "PPM")[:FIRST_BYTES]) == "PPM", mode
    assert kind_of_content(b"P6\n# a comment\n9 9 255\n") == "PPM"
    assert kind_of_content(b"8BPS\0\1" + bytes(20)) == "PSD"
    # The directories of a DNG tell that it is RAW, and not its first bytes.
    assert kind_of_content(dng(b"", 1)[:FIRST_BYTES]) == "TIFF"


@pytest.mark.parametrize(
    "start",
    [
        b"II*\0\x10\0\0\0CR\2\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
        b"IIRS\x08\0\0\0",
        b"MMOR\0\0\0\x08",
        b"IIU\0\x18\0\0\0",
        b"II\x1a\0\0\0HEAPCCDR",
        b"\0MRM\0\0",
        b"FOVb\0\0",
    ],
)
def test_camera_files_are_recognised(start):
    assert kind_of_content(start.ljust(FIRST_BYTES, b"\0")) == "RAW"


@pytest.mark.parametrize(
    ("brands", "kind"),
    [
        (b"heic\0\0\0\0mif1heic", "HEIF"),
        (b"mif1\0\0\0\0mif1heic", "HEIF"),
        (b"mif1\0\0\0\0mif1avif", "AVIF"),
        (b"avif\0\0\0\0avifmif1", "AVIF"),
        (b"mif1\0\0\0\0mif1    ", "HEIF"),
        (b"isom\0\0\0\0isommp41", None),
        (b"qt  \0\0\0\0qt      ", None),
        (b"mp42\0\0\0\0mp42mp41", None),
    ],
)
def test_boxes_are_told_by_their_brands(brands, kind):
    assert kind_of_content((b"\0\0\0\x18ftyp" + brands).ljust(FIRST_BYTES, b"\0")) == kind


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\xff\xd8",
        b"no photo\n",
        b"BMW is a maker of cars, and this is a text about one of them.",
        b"P5 is a postal district",
        b"P1\n",
        b"GIF is a format",
        b"RIFF\x99\0\0\0WAVEfmt ",
        b"RIFF\x99\0\0\0AVI LIST",
        b"\0\0\1\0\1\0\x10\x10",  # an icon
        b"%PDF-1.7",
        b"PK\3\4",
        b"<svg xmlns=",
        b"\x28\0\0\0" + bytes(60),
        bytes(64),
        b"ID3\4",
    ],
)
def test_what_is_no_photo_is_none(start):
    assert kind_of_content(start) is None


@pytest.mark.parametrize(
    "start",
    [
        b"P1\n2 2\n0 1\n1 0\n",
        b"P1 2 2 0110",
        b"P4\n8 1\n\xff",
        b"P2\n2 2\n255\n0 1 2 3\n# end",
        b"P2 9 9 255\n" + b"12 " * 600,
        b"P3 1 1 255 1 2 3",
        b"P5\n2 2\n255\n\0\1\2\3",
        b"P5 3 3 65535\n" + bytes(18),
        b"P6\n# Created by a program that says a lot about itself, more than fits into 64 bytes\n2 1\n255\nabcdef",
        b"P6#c\n0002 1 255\nabcdef",
        b"Pf\n2 2\n-1.0\n" + bytes(16),
        b"PF\n2 2\n1.000000\n" + bytes(48),
    ],
)
def test_portable_pixmaps_are_told_by_their_header(start):
    assert kind_of_content(start[:FIRST_BYTES]) == "PPM"


@pytest.mark.parametrize(
    "text",
    [
        b"P1 - do the laundry\n",
        b"P1 10 20 30 minutes",
        b"P1\n# a heading\nand a text",
        b"P1 0 0\n",
        b"P1: 2 2",
        b"P2 2 be or not 2 be",
        b"P3 2024 12 24 Christmas",
        b"P4 1 a",
        b"P5 2 2",
        b"P5 12345678901 2 255\n",
        b"P6 7 days 8 nights",
        b"Pf 1 2 three",
        b"IIRO was here",
        b"IIRS, a list",
        b"MMORPG of the year",
        b"FOVbar",
    ],
)
def test_texts_that_begin_as_photos_do_are_none(text):
    assert kind_of_content(text) is None
