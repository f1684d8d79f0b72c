"""Filter photos by when, where and with what they were taken, and by kind: what was asked -> rows of the index."""

from dataclasses import dataclass
from datetime import date, datetime, time
from math import isfinite
from types import NoneType

import numpy as np

from indexer.argument_checks import check_kind, is_number, shown
from indexer.errors import PhotoseekError
from indexer.photos.metadata.record import KINDS, PhotoMetadata
from indexer.storage.tables.metadata_table import MetadataConditions, MetadataTable

# The mean radius of the Earth in kilometres (IUGG).
EARTH_RADIUS = 6371.0088
# Kilometres of one degree of latitude.
DEGREE = EARTH_RADIUS * np.pi / 180
# Distances are computed with float64, and a photo at the very edge counts.
ROUNDING = 1e-6
# What is said of a time with an offset from UTC.
CLOCK_TIME = "give the time as a clock showed it where the photo was taken"


@dataclass(frozen=True, slots=True)
class Circle:
    """All places within a distance of one.

    Attributes:
        latitude: Degrees north of the middle, -90 to 90.
        longitude: Degrees east of the middle, -180 to 180.
        km: The distance along the Earth's surface in kilometres.

    Raises:
        PhotoseekError: The middle is not on Earth, the distance is not above 0, or one of them is not a number.
    """

    latitude: float
    longitude: float
    km: float = 1.0

    def __post_init__(self) -> None:
        for value in (self.latitude, self.longitude, self.km):
            if not is_number(value):
                raise PhotoseekError(
                    f"a Circle takes latitude, longitude and km as numbers, as Circle(48.8584, 2.2945, km=5), got "
                    f"{shown(value)}"
                )
        if not (abs(self.latitude) <= 90 and abs(self.longitude) <= 180):
            raise PhotoseekError(
                f"there is no place {self.latitude:g},{self.longitude:g}; latitude goes from -90 to 90, longitude from "
                "-180 to 180"
            )
        if not (self.km > 0 and isfinite(self.km)):
            raise PhotoseekError(f"a distance must be above 0 km, got {self.km:g}")

    def holds(self, places: np.ndarray) -> np.ndarray:
        """Return whether each of some places is within the circle.

        Args:
            places: (m, 2) latitude and longitude in degrees.

        Returns:
            (m,) bool.
        """
        inside: np.ndarray = kilometres(places, self) <= self.km + ROUNDING
        return inside


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions that hits must meet, all of them; None for any. A photo that does not say meets none.

    Attributes:
        after: Taken at this time or later, as a clock showed it where the photo was taken. A date is its beginning. For
            a photo that does not say when it was taken, the time at which the file was changed counts.
        before: Taken earlier than this time, so `date(2021, 1, 1)` leaves out all of 2021.
        camera: Every word of this text is part of the name of the camera, whatever its case.
        near: Taken within this circle.
        kind: One of `photo`, `screenshot`, `panorama`, `raw` and `scan`.

    Raises:
        PhotoseekError: A time has an offset, the camera is empty, the kind is not known, or one of them is of another
            type.
    """

    after: datetime | date | None = None
    before: datetime | date | None = None
    camera: str | None = None
    near: Circle | None = None
    kind: str | None = None

    def __post_init__(self) -> None:
        for name, moment in (("after", self.after), ("before", self.before)):
            check_kind(name, moment, (date, NoneType), "a date or datetime, as date(2020, 7, 14)")
            if isinstance(moment, datetime) and moment.tzinfo is not None:
                raise PhotoseekError(f"{moment.isoformat()} has an offset from UTC; {CLOCK_TIME}")
        check_kind("camera", self.camera, (str, NoneType), "a text")
        check_kind("near", self.near, (Circle, NoneType), "a Circle, as Circle(48.8584, 2.2945, km=5)")
        if self.camera is not None:
            read_camera(self.camera)
        if self.kind is not None and self.kind not in KINDS:
            raise PhotoseekError(f"there is no kind {self.kind!r}; the kinds are {', '.join(KINDS)}")

    def __bool__(self) -> bool:
        """Return whether there is any condition."""
        return self != NO_FILTERS

    @property
    def ask_for_time(self) -> bool:
        """Whether there is a condition on the time at which photos were taken."""
        return self.after is not None or self.before is not None

    def meets(self, photo: PhotoMetadata) -> bool:
        """Return whether a photo meets all conditions.

        Args:
            photo: What is known of it.
        """
        after, before = _beginning(self.after), _beginning(self.before)
        clock = None if photo.taken is None else photo.taken.replace(tzinfo=None)
        camera = "" if photo.camera is None else photo.camera.lower()
        place = (photo.latitude, photo.longitude)
        return bool(
            (after is None or (clock is not None and clock >= after))
            and (before is None or (clock is not None and clock < before))
            and (self.camera is None or all(word.lower() in camera for word in self.camera.split()))
            and (self.kind is None or photo.kind == self.kind)
            and (self.near is None or (None not in place and self.near.holds(np.array([place], np.float64))[0]))
        )

    def rows(self, table: MetadataTable) -> np.ndarray:
        """Return the rows whose photos meet all conditions.

        Args:
            table: What is known of the photos.

        Returns:
            (m,) int64, sorted; rows of deleted photos may be among them.
        """
        conditions = MetadataConditions(
            _beginning(self.after),
            _beginning(self.before),
            None if self.camera is None else tuple(self.camera.split()),
            self.kind,
            None if self.near is None else _latitudes(self.near),
        )
        if self.near is None:
            return table.select(conditions)
        rows, places = table.select_places(conditions)
        return rows[self.near.holds(places)]


NO_FILTERS = Filters()


def read_moment(text: str) -> datetime:
    """Read a time as people write it: a year, a month, a day or a full time in ISO format.

    Args:
        text: For example `2020`, `2020-07`, `2020-07-14` or `2020-07-14T12:30`.

    Returns:
        Its beginning.

    Raises:
        PhotoseekError: It is none of these, or has an offset from UTC.
    """
    text = text.strip()
    filled = {4: "-01-01", 7: "-01"}.get(len(text), "")
    try:
        moment = datetime.fromisoformat(text + filled)
    except ValueError:
        raise PhotoseekError(f"{text!r} is no time; write 2020, 2020-07, 2020-07-14 or 2020-07-14T12:30") from None
    if moment.tzinfo is not None:
        raise PhotoseekError(f"{text!r} has an offset from UTC; {CLOCK_TIME}")
    return moment


def read_camera(text: str) -> str:
    """Return words of the name of a camera.

    Args:
        text: The words.

    Raises:
        PhotoseekError: There are none.
    """
    if not text.split():
        raise PhotoseekError("the name of a camera is empty")
    return text


def read_circle(text: str) -> Circle:
    """Read a place with a distance: latitude, longitude and, if it is not 1, kilometres.

    Args:
        text: For example `48.8584,2.2945` or `48.8584,2.2945,5`.

    Raises:
        PhotoseekError: It cannot be read, or is not on Earth.
    """
    try:
        latitude, longitude, *km = (float(part) for part in text.split(","))
        (distance,) = km or [1.0]
    except ValueError:
        raise PhotoseekError(f"{text!r} is no place; write LAT,LON or LAT,LON,KM, such as 48.8584,2.2945,5") from None
    try:
        return Circle(latitude, longitude, distance)
    except PhotoseekError as error:
        raise PhotoseekError(f"{text!r}: {error}") from None


def kilometres(places: np.ndarray, circle: Circle) -> np.ndarray:
    """Return how far places are from the middle of a circle, along a great circle.

    Args:
        places: (m, 2) latitude and longitude in degrees.
        circle: The circle.

    Returns:
        (m,) float64 kilometres.

    References:
        The haversine formula: R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68 (1984), 159.
    """
    here = np.radians([circle.latitude, circle.longitude])
    there = np.radians(places)
    half = np.sin((there - here) / 2) ** 2
    share = half[:, 0] + np.cos(here[0]) * np.cos(there[:, 0]) * half[:, 1]
    distances: np.ndarray = 2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.clip(share, 0, 1)))
    return distances


def _latitudes(circle: Circle) -> tuple[float, float]:
    """Return the southernmost and the northernmost latitude of a circle."""
    reach = circle.km / DEGREE + ROUNDING
    return circle.latitude - reach, circle.latitude + reach


def _beginning(moment: datetime | date | None) -> datetime | None:
    """Return a time as it is, and the first moment of a day."""
    return moment if moment is None or isinstance(moment, datetime) else datetime.combine(moment, time())
