"""Read the metadata of a photo file."""

import math
import os
import re
from datetime import datetime

from indexer.photos.content import RAW_SUFFIXES
from indexer.photos.metadata import exif_directories as exif
from indexer.photos.metadata.camera_names import camera_name, lens_name
from indexer.photos.metadata.containers import FoundTags, find_tags
from indexer.photos.metadata.exif_directories import Directory, Value
from indexer.photos.metadata.file_bytes import OpenFileParts
from indexer.photos.metadata.record import NOTHING_SAID, PhotoMetadata
from indexer.photos.metadata.times import text_of, time_taken
from indexer.photos.metadata.xmp_values import xmp_value

# How phones and computers begin the names of screenshots, in the languages in which they are most often set up.
SCREENSHOT_NAME = re.compile(
    r"(screen ?shots?|bildschirmfoto|capture d.[eé]cran|captura de (pantalla|ecr[aã])|istantanea|schermafbeelding"
    r"|schermopname|sk[aä]rm(avbild|bild)|sk[jæ]+rmbilde?|zrzut ekranu|sn[ií]mek obrazovky|ekran (resmi|görüntüsü)"
    r"|снимок экрана|スクリーンショット|屏幕截图|屏幕快照|截屏|截图|螢幕截圖|스크린샷)(?![a-z])",
    re.IGNORECASE,
)
# EXIF's CustomRendered of a panorama (Apple), and its FileSource of scanners of film and of prints.
APPLE_PANORAMA, SCANNERS = 6, (1, 2)
GOOGLE_PANORAMA = "SpecialType-PANORAMA"


def read_metadata(path: bytes) -> PhotoMetadata | None:
    """Read the metadata of a file, without its pixels.

    Args:
        path: The file.

    Returns:
        What the file says; what is wrong or missing is not known. The time at which the file was changed is never
        taken for the time of the photo. None if the file cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            return metadata_of(find_tags(OpenFileParts(file.fileno())), path)
    except OSError:
        return None
    except Exception:  # whatever is wrong with metadata, the picture may be right
        return NOTHING_SAID


def metadata_of(found: FoundTags, path: bytes, now: datetime | None = None) -> PhotoMetadata:
    """Make sense of the values in a file.

    Args:
        found: The values.
        path: The file, whose name tells screenshots and camera RAW files.
        now: The time, by default this machine's; a photo of later is not believed.
    """
    image, xmp = found.image, found.xmp
    taken, source = time_taken(image, found.gps, xmp, now or datetime.now())
    make, model = (text_of(image.get(tag)) for tag in (exif.MAKE, exif.MODEL))
    camera = camera_name(make or xmp_value(xmp, "tiff:Make") or "", model or xmp_value(xmp, "tiff:Model") or "")
    lenses = (text_of(image.get(exif.LENS_MODEL)), *(xmp_value(xmp, n) or "" for n in ("exifEX:LensModel", "aux:Lens")))
    latitude, longitude = _exif_place(found.gps) or _xmp_place(xmp) or (None, None)
    return PhotoMetadata(
        taken,
        source,
        camera,
        next((lens for name in lenses if (lens := lens_name(name)) is not None), None),
        latitude,
        longitude,
        _orientation(image, xmp),
        _kind(found, path, camera),
    )


def _exif_place(gps: Directory) -> tuple[float, float] | None:
    """Return latitude and longitude in degrees, None if they are missing or cannot be right."""
    return _checked_place(
        _degrees(gps.get(exif.LATITUDE), text_of(gps.get(exif.LATITUDE_REF)), "NS"),
        _degrees(gps.get(exif.LONGITUDE), text_of(gps.get(exif.LONGITUDE_REF)), "EW"),
    )


def _degrees(value: Value | None, direction: str, directions: str) -> float:
    """Return degrees, minutes and seconds as degrees; NaN if one of them or the direction is missing or wrong."""
    letter = direction[:1].upper()
    if not isinstance(value, tuple) or not 1 <= len(value) <= 3 or letter not in directions or not letter:
        return math.nan
    size = sum(abs(part) / 60**i for i, part in enumerate(value))
    return -size if letter == directions[1] else size


def _xmp_place(xmp: str) -> tuple[float, float] | None:
    """Return latitude and longitude as XMP writes them: `48,51.5N` or `48,51,30N`."""
    degrees = []
    for name, directions in (("exif:GPSLatitude", "NS"), ("exif:GPSLongitude", "EW")):
        text = xmp_value(xmp, name) or ""
        if not re.fullmatch(r"\d{1,3}(,\d{1,2}){0,2}(\.\d+)?[NSEW]", text):
            return None
        degrees.append(_degrees(tuple(float(part) for part in text[:-1].split(",")), text[-1], directions))
    return _checked_place(*degrees)


def _checked_place(latitude: float, longitude: float) -> tuple[float, float] | None:
    """Return a place, None for one that is not on Earth or is 0, 0, which devices write that know no place."""
    on_earth = abs(latitude) <= 90 and abs(longitude) <= 180  # false for NaN
    return (round(latitude, 7), round(longitude, 7)) if on_earth and (latitude or longitude) else None


def _orientation(image: Directory, xmp: str) -> int | None:
    """Return EXIF's orientation, else XMP's; None if there is none from 1 to 8."""
    value = image.get(exif.ORIENTATION)
    number: float | str | None = value[0] if isinstance(value, tuple) else xmp_value(xmp, "tiff:Orientation")
    return next((known for known in range(1, 9) if number in (known, str(known))), None)


def _kind(found: FoundTags, path: bytes, camera: str | None) -> str:
    """Tell the kind of a photo by what its file says, and by its name where that is what programs go by."""
    stem, ending = os.path.splitext(os.path.basename(path))
    if ending.lower() in RAW_SUFFIXES or exif.DNG_VERSION in found.image:
        return "raw"
    if _is_panorama(found):
        return "panorama"
    source = found.image.get(exif.FILE_SOURCE)
    number = source[0] if source else None
    if number in SCANNERS or (camera is not None and re.search("scan(?!ia)", camera, re.IGNORECASE)):
        return "scan"
    if _is_screenshot(found, stem, camera):
        return "screenshot"
    return "photo"


def _is_panorama(found: FoundTags) -> bool:
    rendered = found.image.get(exif.CUSTOM_RENDERED)
    if isinstance(rendered, tuple) and rendered[0] == APPLE_PANORAMA:
        return True
    shown = (xmp_value(found.xmp, "GPano:UsePanoramaViewer") or "true").lower() != "false"
    return GOOGLE_PANORAMA in found.xmp or (shown and xmp_value(found.xmp, "GPano:ProjectionType") is not None)


def _is_screenshot(found: FoundTags, stem: bytes, camera: str | None) -> bool:
    """Apple writes it as the comment, other systems into the name or the program; a camera takes none."""
    comment = found.image.get(exif.COMMENT)
    written = comment[8:].replace(b"\0", b"").strip().lower() if isinstance(comment, bytes) else b""
    if written == b"screenshot" or (xmp_value(found.xmp, "exif:UserComment") or "").lower() == "screenshot":
        return True
    program = text_of(found.image.get(exif.SOFTWARE)).lower()
    named = SCREENSHOT_NAME.match(os.fsdecode(stem)) is not None
    return camera is None and (named or "screenshot" in program)
