"""Define `PhotoMetadata`: when, where and with what a photo was taken, and of what kind it is."""

from dataclasses import dataclass
from datetime import UTC, datetime

# Kinds of photos; "photo" is all that is of no other kind.
KINDS = ("photo", "screenshot", "panorama", "raw", "scan")


@dataclass(frozen=True, slots=True)
class PhotoMetadata:
    """Facts about a photo beside its picture. None: not known.

    Attributes:
        taken: The time on the clock where it was taken; it has an offset from UTC if that is known.
        taken_from: "exif", "xmp" or "gps" if the file says so there, "file" for the time at which it was changed.
        camera: Make and model, for example "Nikon D90".
        lens: The lens.
        latitude: Degrees north, -90 to 90.
        longitude: Degrees east, -180 to 180.
        orientation: How the file says it is turned, 1 to 8 as in EXIF; searches see every photo upright.
        kind: One of `KINDS`; every file that was read has one.
    """

    taken: datetime | None = None
    taken_from: str | None = None
    camera: str | None = None
    lens: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    orientation: int | None = None
    kind: str | None = None


# Of a file that was not read, and of one that says nothing.
NOT_READ, NOTHING_SAID = PhotoMetadata(), PhotoMetadata(kind="photo")


def file_time(mtime_ns: int) -> datetime:
    """Return the time at which a file was changed, on this machine's clock.

    Args:
        mtime_ns: Nanoseconds since 1970.

    Returns:
        The time with its offset; that of a time that no calendar has is the beginning of 1970.
    """
    try:
        return datetime.fromtimestamp(mtime_ns // 1000 / 1e6, UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)
