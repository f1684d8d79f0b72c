import os
import struct
import zlib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from indexer.photos.metadata.reading import read_metadata
from indexer.photos.metadata.record import NOTHING_SAID, PhotoMetadata, file_time
from photo_samples import dng, encoded, quarters
from unusual_photos.exif_blocks import EIFFEL, SHOT, camera_exif

SUMMER = timezone(timedelta(hours=2))
TAKEN = datetime(2020, 7, 14, 12, 30, 59, 250_000, SUMMER)
WHOLE = PhotoMetadata(TAKEN, "exif", "Nikon D90", "18.0-55.0 mm f/3.5-5.6", 48.8584, 2.2945, 6, "photo")
XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" {attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta>"""


def read(path: Path) -> PhotoMetadata | None:
    return read_metadata(os.fsencode(path))


def saved(path: Path, exif: bytes | None = None, **options) -> PhotoMetadata | None:
    if exif is not None:
        options["exif"] = exif
    quarters().save(path, **options)
    return read(path)


def xmp(attributes: str = "", elements: str = "") -> bytes:
    return XMP.format(attributes=attributes, elements=elements).encode()


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "heic", "avif"])
def test_every_format_says_the_same(tmp_path: Path, ending: str) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    found = saved(tmp_path / f"photo.{ending}", camera_exif(orientation=6))
    # Pillow writes the turn of an AVIF into the picture's own properties, and no more into EXIF.
    orientation = None if ending == "avif" else 6
    assert found == PhotoMetadata(*[getattr(WHOLE, name) for name in FIELDS[:6]], orientation, "photo")


FIELDS = ("taken", "taken_from", "camera", "lens", "latitude", "longitude", "orientation", "kind")


@pytest.mark.parametrize("chunk", ["exif", "packed", "plain"])
def test_png_has_exif_in_its_own_chunk_or_in_a_text(tmp_path: Path, chunk: str) -> None:
    exif = camera_exif(orientation=6)
    notes = PngImagePlugin.PngInfo()
    if chunk != "exif":
        lines = f"\nexif\n{len(exif):8}\n{exif.hex()}\n"
        notes.add_text("Raw profile type exif", lines, zip=chunk == "packed")
    options = {"exif": exif} if chunk == "exif" else {"pnginfo": notes}
    assert saved(tmp_path / "a.png", **options) == WHOLE


def test_exif_behind_the_picture_of_a_png_is_found(tmp_path: Path) -> None:
    quarters().save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    exif = camera_exif(orientation=6).removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    (tmp_path / "a.png").write_bytes(data[:-12] + chunk + data[-12:])
    assert read(tmp_path / "a.png") == WHOLE


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def test_boxes_of_jpeg_xl_jpeg_2000_and_canon_are_read(tmp_path: Path) -> None:
    exif = camera_exif(orientation=6).removeprefix(b"Exif\0\0")
    jxl = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    jp2 = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    uuid = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
    # Canon's blocks are directories of their own: take those of a whole block apart.
    main, shot, place = (camera_exif(**part).removeprefix(b"Exif\0\0") for part in CANON)
    canon = uuid + box(b"CMT1", main) + box(b"CMT2", as_main(shot, 0x8769)) + box(b"CMT4", as_main(place, 0x8825))
    cases = {
        "a.jxl": jxl + box(b"Exif", b"\0\0\0\0" + exif),
        "offset.jxl": jxl + box(b"Exif", b"\0\0\0\x03...."[:7] + exif),
        "bare.jxl": jxl + box(b"Exif", exif),
        "a.jp2": jp2 + box(b"uuid", b"JpgTiffExif->JP2" + exif),
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        assert read(tmp_path / name) == WHOLE, name
    (tmp_path / "a.cr3").write_bytes(box(b"ftyp", b"crx \0\0\0\0crx ") + box(b"moov", box(b"uuid", canon)))
    assert read(tmp_path / "a.cr3") == PhotoMetadata(
        TAKEN, "exif", "Canon EOS R", "18.0-55.0 mm f/3.5-5.6", 48.8584, 2.2945, None, "raw"
    )


CANON = ({"make": "Canon", "model": "Canon EOS R", "shot": {}, "gps": {}}, {"gps": {}}, {"shot": {}})


def as_main(exif: bytes, part: int) -> bytes:
    """Return a block whose main directory is one of its parts."""
    order = "<" if exif[:2] == b"II" else ">"
    (at,) = struct.unpack(order + "I", exif[4:8])
    (count,) = struct.unpack_from(order + "H", exif, at)
    entries = (struct.unpack_from(order + "HHII", exif, at + 2 + 12 * i) for i in range(count))
    return exif[:4] + struct.pack(order + "I", next(value for tag, *_, value in entries if tag == part)) + exif[8:]


def test_photoshop_and_fuji_files_are_read(tmp_path: Path) -> None:
    exif = camera_exif(orientation=6).removeprefix(b"Exif\0\0")
    resources = b"8BIM" + struct.pack(">H", 1005) + b"\3abc" + struct.pack(">I", 3) + b"odd\0"
    resources += b"8BIM" + struct.pack(">H", 1058) + b"\0\0" + struct.pack(">I", len(exif)) + exif
    psd = b"8BPS" + bytes(22) + struct.pack(">I", 2) + b"ab" + struct.pack(">I", len(resources)) + resources
    (tmp_path / "a.psd").write_bytes(psd)
    assert read(tmp_path / "a.psd") == WHOLE
    jpeg = encoded(quarters(), "JPEG", exif=camera_exif("FUJIFILM", "X-T3", orientation=6))
    raf = (b"FUJIFILMCCD-RAW ".ljust(84, b"\0") + struct.pack(">II", 200, len(jpeg))).ljust(200, b"\0") + jpeg
    (tmp_path / "a.raf").write_bytes(raf)
    found = read(tmp_path / "a.raf")
    assert found is not None
    assert (found.camera, found.taken, found.kind) == ("Fujifilm X-T3", TAKEN, "raw")


@pytest.mark.parametrize(("name", "kind"), [("a.dng", "raw"), ("a.nef", "raw"), ("a.tif", "raw")])
def test_camera_raw_is_told_by_its_ending_or_its_tag(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_bytes(dng(encoded(quarters(), "JPEG"), 8))
    found = read(tmp_path / name)
    assert found is not None
    assert (found.kind, found.orientation) == (kind, 8)


# Times


@pytest.mark.parametrize(
    ("tags", "taken"),
    [
        (SHOT, TAKEN),
        ({0x9003: SHOT[0x9003]}, datetime(2020, 7, 14, 12, 30, 59)),
        ({0x9004: SHOT[0x9003], 0x9292: "5", 0x9012: "Z"}, datetime(2020, 7, 14, 12, 30, 59, 500_000, UTC)),
        # A time that cannot be right gives way to the next.
        ({0x9003: "0000:00:00 00:00:00", 0x9004: "2019:01:02 03:04:05"}, datetime(2019, 1, 2, 3, 4, 5)),
        ({0x9003: "    :  :     :  :  ", 0x9004: "2019:01:02 03:04:05"}, datetime(2019, 1, 2, 3, 4, 5)),
        ({0x9003: "2020:02:30 10:00:00", 0x9004: "2019:01:02 03:04:05"}, datetime(2019, 1, 2, 3, 4, 5)),
        ({0x9003: "20:07:14 12:30:59"}, None),
        ({0x9003: "2120:07:14 12:30:59"}, None),
        ({0x9003: "1970:01:01 00:00:00"}, None),
        ({0x9003: "2020:07:14 25:00:00"}, None),
        ({0x9003: "yesterday"}, None),
        ({0x9003: "1901:05:06 07:08:09"}, datetime(1901, 5, 6, 7, 8, 9)),
        ({0x9003: "2020-07-14T12:30:59"}, datetime(2020, 7, 14, 12, 30, 59)),
        ({0x9003: "2020/07/14 9:05"}, datetime(2020, 7, 14, 9, 5)),
        ({0x9003: "2020:07:14"}, datetime(2020, 7, 14)),
        ({0x9003: "2016:12:31 23:59:60"}, datetime(2016, 12, 31, 23, 59, 59)),
        ({0x9003: SHOT[0x9003], 0x9291: "123456789"}, datetime(2020, 7, 14, 12, 30, 59, 123_456)),
        ({0x9003: SHOT[0x9003], 0x9011: "+99:00"}, datetime(2020, 7, 14, 12, 30, 59)),
        ({0x9003: SHOT[0x9003], 0x9291: "ab", 0x9011: "CEST"}, datetime(2020, 7, 14, 12, 30, 59)),
    ],
)
def test_the_time_is_the_best_that_can_be_right(tmp_path: Path, tags: dict, taken: datetime | None) -> None:
    found = saved(tmp_path / "a.jpg", camera_exif(shot=tags, gps={}))
    assert found is not None
    assert (found.taken, found.taken_from) == (taken, None if taken is None else "exif")


def test_xmp_comes_before_the_time_of_the_last_change_and_gps_last(tmp_path: Path) -> None:
    changed, gps = Image.Exif(), {29: "2020:07:14", 7: (10.0, 30.0, 59.5)}
    changed[0x0132] = "2021:05:06 07:08:09"
    scanned = xmp('photoshop:DateCreated="1986-08-09T10:11:12.5+01:00"')
    found = saved(tmp_path / "scan.jpg", changed.tobytes(), xmp=scanned)
    assert found is not None
    assert (found.taken, found.taken_from) == (datetime(1986, 8, 9, 10, 11, 12, 500_000, EARLIER), "xmp")
    found = saved(tmp_path / "changed.jpg", changed.tobytes())
    assert found is not None
    assert (found.taken, found.taken_from) == (datetime(2021, 5, 6, 7, 8, 9), "exif")
    found = saved(tmp_path / "gps.jpg", camera_exif(shot={}, gps=gps))
    assert found is not None
    assert (found.taken, found.taken_from) == (datetime(2020, 7, 14, 10, 30, 59, 500_000, UTC), "gps")
    assert read(tmp_path / "scan.jpg") != NOTHING_SAID


EARLIER = timezone(timedelta(hours=1))


def test_a_file_time_has_the_offset_of_this_machine() -> None:
    time = file_time(1_594_722_659_250_000_000)
    assert time == datetime(2020, 7, 14, 10, 30, 59, 250_000, UTC)
    assert time.utcoffset() == time.astimezone().utcoffset()
    assert file_time(1 << 70) == datetime(1970, 1, 1, tzinfo=UTC)


# Places, lenses, turns


@pytest.mark.parametrize(
    ("gps", "place"),
    [
        (EIFFEL, (48.8584, 2.2945)),
        ({1: "S", 2: (33.5, 0.0, 0.0), 3: "W", 4: (70.25, 0.0, 0.0)}, (-33.5, -70.25)),
        ({1: "s\0", 2: (33.0, 30.0), 3: "west", 4: (70.25,)}, (-33.5, -70.25)),
        ({1: "N", 2: (90.0, 0.0, 0.0), 3: "E", 4: (180.0, 0.0, 0.0)}, (90, 180)),
        ({1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}, (None, None)),
        ({1: "N", 2: (91.0, 0.0, 0.0), 3: "E", 4: (2.0, 0.0, 0.0)}, (None, None)),
        ({1: "N", 2: (48.0, 0.0, 0.0), 3: "E", 4: (181.0, 0.0, 0.0)}, (None, None)),
        ({2: (48.0, 0.0, 0.0), 4: (2.0, 0.0, 0.0)}, (None, None)),
        ({1: "E", 2: (48.0, 0.0, 0.0), 3: "N", 4: (2.0, 0.0, 0.0)}, (None, None)),
        ({1: "N", 2: (48.0, 0.0, 0.0)}, (None, None)),
    ],
)
def test_a_place_is_taken_if_it_can_be_right(tmp_path: Path, gps: dict, place: tuple) -> None:
    found = saved(tmp_path / "a.jpg", camera_exif(gps=gps))
    assert found is not None
    assert (found.latitude, found.longitude) == place


def test_xmp_gives_what_exif_lacks(tmp_path: Path) -> None:
    attributes = (
        'tiff:Make="Canon" tiff:Model="Canon EOS R" exif:GPSLatitude="48,51.504N" exif:GPSLongitude="2,17,40.2E"'
    )
    elements = "<aux:Lens>EF 24-70mm &amp; more</aux:Lens><tiff:Orientation>3</tiff:Orientation>"
    found = saved(tmp_path / "a.webp", xmp=xmp(attributes, elements))
    assert found == PhotoMetadata(None, None, "Canon EOS R", "EF 24-70mm & more", 48.8584, 2.2945, 3, "photo")


# Kinds


def apple(comment: str) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + comment.encode()
    return exif.tobytes()


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("Screenshot at 4.42.48\u202fPM.png", {}, "screenshot"),
        ("Screenshot_20200714-123059_Maps.jpg", {}, "screenshot"),
        ("Bildschirmfoto 2020-07-14 um 12.30.59.png", {}, "screenshot"),
        ("Capture d’écran 2020-07-14.png", {}, "screenshot"),
        ("スクリーンショット 2020.png", {}, "screenshot"),
        ("IMG_0001.png", {"exif": apple("Screenshot")}, "screenshot"),
        ("a.png", {"exif": apple("a screenshot of life")}, "photo"),
        ("Screenshots of a life.png", {}, "screenshot"),
        ("screenshotter.png", {}, "photo"),
        ("my screenshot.png", {}, "photo"),
        ("Screenshot.jpg", {"exif": camera_exif()}, "photo"),
        ("a.jpg", {"exif": camera_exif(shot={0xA401: 6})}, "panorama"),
        ("a.jpg", {"exif": camera_exif(shot={0xA401: 1})}, "photo"),
        ("a.jpg", {"xmp": xmp('GPano:ProjectionType="equirectangular"')}, "panorama"),
        ("a.jpg", {"xmp": xmp(elements="<GPano:ProjectionType>equirectangular</GPano:ProjectionType>")}, "panorama"),
        (
            "a.jpg",
            {"xmp": xmp('GPano:ProjectionType="equirectangular" GPano:UsePanoramaViewer="False"')},
            "photo",
        ),
        ("a.jpg", {"xmp": xmp('xmlns:GPano="http://ns.google.com/photos/1.0/panorama/"')}, "photo"),
        ("a.jpg", {"exif": camera_exif(shot={0xA300: b"\1"})}, "scan"),
        ("a.jpg", {"exif": camera_exif(shot={0xA300: b"\3"})}, "photo"),
        ("a.jpg", {"exif": camera_exif("Canon", "CanoScan 9000F")}, "scan"),
    ],
)
def test_the_kind_is_told_where_it_can_be_told(tmp_path: Path, name: str, options: dict, kind: str) -> None:
    found = saved(tmp_path / name, **options)
    assert found is not None
    assert found.kind == kind


def test_a_program_for_screenshots_names_itself(tmp_path: Path) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Software", "gnome-screenshot")
    found = saved(tmp_path / "a.png", pnginfo=notes)
    assert found is not None
    assert found.kind == "screenshot"


def test_a_file_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "none.jpg") is None
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no photo at all, but longer than any head")
    assert read(tmp_path / "empty.jpg") == NOTHING_SAID
    assert read(tmp_path / "text.jpg") == NOTHING_SAID
