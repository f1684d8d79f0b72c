"""Read the time at which a photo was taken from what cameras and programs write."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone

from indexer.photos.metadata import exif_directories as exif
from indexer.photos.metadata.exif_directories import Directory, Value
from indexer.photos.metadata.xmp_values import plain_text, xmp_value

# The year of the first photo that still exists; an earlier one is a mistake.
FIRST_YEAR = 1826
# What clocks show that were never set.
UNSET = datetime(1970, 1, 1)
# How far a clock may be ahead of this machine's, which may be in another time zone.
AHEAD = timedelta(days=1)

# Tags of time, parts of a second and offset, the best first. The time of the last change comes behind those of XMP.
TAKEN_TAGS = (
    (exif.ORIGINAL, exif.SUBSECOND_ORIGINAL, exif.OFFSET_ORIGINAL),
    (exif.DIGITISED, exif.SUBSECOND_DIGITISED, exif.OFFSET_DIGITISED),
)
CHANGED_TAGS = (exif.MODIFIED, exif.SUBSECOND_MODIFIED, exif.OFFSET_MODIFIED)
XMP_NAMES = ("exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate", "exif:DateTimeDigitized")

# Dates have four digits of the year, then parts with any sign between them, as some programs write.
TIME = re.compile(
    r"\s*(\d{4})\D(\d{1,2})\D(\d{1,2})(?:[ T]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,](\d+))?)?\s*"
    r"(Z|[+-]\d\d:?\d\d)?)?\s*$"
)
OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)$")


def time_taken(image: Directory, gps: Directory, xmp: str, now: datetime) -> tuple[datetime | None, str | None]:
    """Return when a photo was taken and where that is written: `exif`, `xmp` or `gps`; None for both if nowhere.

    Args:
        image: EXIF's main directory and its EXIF part.
        gps: Its GPS part.
        xmp: The XMP.
        now: The time; a later one is a mistake.
    """
    found = ((taken, source) for taken, source in _times(image, gps, xmp, now) if taken is not None)
    return next(found, (None, None))


def _times(image: Directory, gps: Directory, xmp: str, now: datetime) -> Iterator[tuple[datetime | None, str]]:
    """Yield the times that are written in a photo, the best first, and where."""

    def exif_time(tags: tuple[int, int, int]) -> datetime | None:
        clock, fraction, offset = (text_of(image.get(tag)) for tag in tags)
        return read_exif_time(clock, now, fraction, offset)

    for tags in TAKEN_TAGS:
        yield exif_time(tags), "exif"
    for name in XMP_NAMES:
        yield read_exif_time(xmp_value(xmp, name) or "", now), "xmp"
    yield exif_time(CHANGED_TAGS), "exif"
    yield _gps_time(gps, now), "gps"


def read_exif_time(text: str, now: datetime, fraction: str = "", offset: str = "") -> datetime | None:
    """Read a time as EXIF or XMP has it.

    Args:
        text: The time, `2020:07:14 12:30:59` or `2020-07-14T12:30:59.5+02:00`; a day alone is its beginning.
        now: The time; a later one is a mistake.
        fraction: The digits behind the second, if they stand elsewhere.
        offset: The offset from UTC, if it stands elsewhere.

    Returns:
        The time, with an offset if there is one; None if there is none that can be right.
    """
    found = TIME.match(text)
    if found is None:
        return None
    *parts, inner_fraction, inner_offset = found.groups()
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    digits = "".join(c for c in inner_fraction or fraction if c in "0123456789")
    try:
        # Clocks write a leap second as 60.
        taken = datetime(year, month, day, hour, minute, min(second, 59) if second <= 60 else second)
    except ValueError:
        return None
    taken = taken.replace(microsecond=int(digits[:6].ljust(6, "0")), tzinfo=_read_offset(inner_offset or offset))
    clock = taken.replace(tzinfo=None)
    latest = now.replace(tzinfo=None) + AHEAD
    return taken if clock.year >= FIRST_YEAR and clock != UNSET and clock <= latest else None


def text_of(value: Value | None) -> str:
    """Return the text of a value, up to the first NUL and without control characters; empty if it is no text."""
    if not isinstance(value, bytes):
        return ""
    raw = value.split(b"\0", 1)[0]
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return plain_text(text)


def _read_offset(text: str) -> timezone | None:
    """Read an offset from UTC, at most 14 hours as on Earth."""
    if text == "Z":
        return UTC
    found = OFFSET.match(text)
    if found is None:
        return None
    sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if sign == "-" else offset) if offset <= timedelta(hours=14) else None


def _gps_time(gps: Directory, now: datetime) -> datetime | None:
    """Return the time of the satellites, which is UTC."""
    day = read_exif_time(text_of(gps.get(exif.GPS_DATE)), now)
    clock = gps.get(exif.GPS_TIME)
    if day is None or not isinstance(clock, tuple) or len(clock) != 3:
        return None
    try:
        seconds = timedelta(hours=clock[0], minutes=clock[1], seconds=clock[2])
    except (ValueError, OverflowError):
        return None
    if not timedelta(0) <= seconds < timedelta(days=1):
        return None
    return datetime.combine(date(day.year, day.month, day.day), time(), UTC) + seconds
