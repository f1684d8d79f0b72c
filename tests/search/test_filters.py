"""search.filters: conditions, against a check of every photo one by one, and how they are written."""

import math
import random
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from indexer.errors import PhotoseekError
from indexer.photos.metadata.record import KINDS, PhotoMetadata
from indexer.storage.catalogue import Catalogue
from search.filters import Circle, Filters, kilometres, read_circle, read_moment

CAMERAS = (None, "Nikon D90", "Nikon Z 6", "Apple iPhone 12", "Canon EOS 90D")


def photos() -> list[PhotoMetadata]:
    """Draw 400 photos, a third without a place; some lie at the poles and around the date line."""
    draw = random.Random(7)
    made = []
    for _ in range(400):
        latitude = draw.choice([draw.uniform(-90, 90), draw.choice([90.0, -90.0]), draw.uniform(-1, 1), 48.8])
        longitude = draw.choice([draw.uniform(-180, 180), 180.0, -180.0, 179.95, -179.95, 2.3])
        place = (None, None) if draw.random() < 1 / 3 else (latitude, longitude)
        taken = datetime(2020, 1, 1) + timedelta(hours=draw.randrange(24 * 800))
        made.append(PhotoMetadata(taken, "exif", draw.choice(CAMERAS), None, *place, None, draw.choice(KINDS)))
    return made


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory):
    opened = Catalogue(tmp_path_factory.mktemp("filters") / "catalogue.sqlite", create=True)
    with opened.transaction():
        opened.metadata.put_many((row, photo, 0) for row, photo in enumerate(photos()))
    yield opened
    opened.close()


def angle_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the distance of two places by the angle between their directions from the Earth's centre."""

    def direction(latitude: float, longitude: float) -> tuple[float, float, float]:
        up, along = math.radians(latitude), math.radians(longitude)
        return math.cos(up) * math.cos(along), math.cos(up) * math.sin(along), math.sin(up)

    return 6371.0088 * 2 * math.asin(min(1, math.dist(direction(*one), direction(*other)) / 2))


def meets(photo: PhotoMetadata, filters: Filters) -> bool:
    near, taken = filters.near, photo.taken
    assert taken is not None
    if near is not None:
        if photo.latitude is None or photo.longitude is None:
            return False
        if angle_km((photo.latitude, photo.longitude), (near.latitude, near.longitude)) > near.km:
            return False
    camera = (photo.camera or "").lower()
    return (
        (filters.after is None or taken >= filters.after)
        and (filters.before is None or taken < filters.before)
        and (filters.camera is None or all(word in camera for word in filters.camera.lower().split()))
        and (filters.kind is None or photo.kind == filters.kind)
    )


@pytest.mark.parametrize(
    "filters",
    [
        Filters(after=datetime(2021, 1, 1)),
        Filters(before=datetime(2021, 1, 1)),
        Filters(after=datetime(2020, 6, 1), before=datetime(2020, 7, 1)),
        Filters(camera="NIKON"),
        Filters(camera="90 nikon"),
        Filters(camera="leica"),
        Filters(kind="raw"),
        Filters(near=Circle(48.8, 2.3)),
        Filters(near=Circle(0, 180, 200)),
        Filters(near=Circle(0.5, -179.99, 30)),
        Filters(near=Circle(90, 0, 500)),
        Filters(near=Circle(-89.9, 50, 2000)),
        Filters(near=Circle(10, 20, 20100)),
        Filters(
            after=datetime(2020, 3, 1), before=datetime(2022, 1, 1), camera="n", near=Circle(0, 180, 9000), kind="photo"
        ),
    ],
)
def test_filters_keep_what_a_check_of_every_photo_keeps(catalogue: Catalogue, filters: Filters) -> None:
    expected = [row for row, photo in enumerate(photos()) if meets(photo, filters)]
    assert filters.rows(catalogue.metadata).tolist() == expected
    assert bool(expected) == (filters.camera != "leica")


def test_a_date_is_its_beginning(catalogue: Catalogue) -> None:
    days = Filters(after=date(2020, 6, 1), before=date(2020, 7, 1))
    times = Filters(after=datetime(2020, 6, 1), before=datetime(2020, 7, 1))
    assert days.rows(catalogue.metadata).tolist() == times.rows(catalogue.metadata).tolist()


def test_distances_go_along_the_earth() -> None:
    import numpy as np

    places = np.array([[0, -179.5], [0, 179.5], [0, 0], [90, 17]])
    # A degree of the equator is 111.195 km; the antipode is half the Earth's circumference away.
    assert kilometres(places, Circle(0, 180)) == pytest.approx([55.5975, 55.5975, 20015.1, 10007.6], abs=0.1)


def test_no_condition_is_false() -> None:
    assert not Filters()
    assert Filters(kind="photo")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2020", datetime(2020, 1, 1)),
        ("2020-07", datetime(2020, 7, 1)),
        (" 2020-07-14 ", datetime(2020, 7, 14)),
        ("2020-07-14T12:30", datetime(2020, 7, 14, 12, 30)),
        ("2020-07-14 12:30:59.5", datetime(2020, 7, 14, 12, 30, 59, 500_000)),
    ],
)
def test_times_are_read_as_people_write_them(text: str, time: datetime) -> None:
    assert read_moment(text) == time


@pytest.mark.parametrize("text", ["", "20", "2020-13", "2020-02-30", "yesterday", "14.07.2020", "0000"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(PhotoseekError) as refused:
        read_moment(text)
    assert str(refused.value) == f"{text!r} is no time; write 2020, 2020-07, 2020-07-14 or 2020-07-14T12:30"


def test_places_are_read_with_their_distance() -> None:
    assert read_circle("48.8584,2.2945") == Circle(48.8584, 2.2945, 1.0)
    assert read_circle(" -33.5, 151 ,0.5") == Circle(-33.5, 151, 0.5)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: read_circle("Paris"), "'Paris' is no place; write LAT,LON or LAT,LON,KM, such as 48.8584,2.2945,5"),
        (
            lambda: read_circle("1,2,3,4"),
            "'1,2,3,4' is no place; write LAT,LON or LAT,LON,KM, such as 48.8584,2.2945,5",
        ),
        (
            lambda: Circle(91, 0),
            "there is no place 91,0; latitude goes from -90 to 90, longitude from -180 to 180",
        ),
        (
            lambda: read_circle("nan,0"),
            "'nan,0': there is no place nan,0; latitude goes from -90 to 90, longitude from -180 to 180",
        ),
        (lambda: Circle(0, 0, 0), "a distance must be above 0 km, got 0"),
        (lambda: Circle(0, 0, math.inf), "a distance must be above 0 km, got inf"),
        (
            lambda: read_moment("2020-07-14T12:30Z"),
            "'2020-07-14T12:30Z' has an offset from UTC; give the time as a clock showed it where the photo was taken",
        ),
        (
            lambda: Filters(after=datetime(2020, 7, 14, 12, 30, tzinfo=timezone(timedelta(hours=2)))),
            "2020-07-14T12:30:00+02:00 has an offset from UTC; give the time as a clock showed it where the photo was "
            "taken",
        ),
        (lambda: Filters(camera=" "), "the name of a camera is empty"),
        (
            lambda: Filters(kind="video"),
            "there is no kind 'video'; the kinds are photo, screenshot, panorama, raw, scan",
        ),
    ],
)
def test_conditions_that_cannot_be_met_are_refused(make, line: str) -> None:
    with pytest.raises(PhotoseekError) as refused:
        make()
    assert str(refused.value) == line


def test_an_index_of_an_older_version_has_no_rows(tmp_path: Path) -> None:
    Catalogue(tmp_path / "catalogue.sqlite", create=True).close()
    catalogue = Catalogue(tmp_path / "catalogue.sqlite")
    assert Filters(kind="photo").rows(catalogue.metadata).tolist() == []
    assert Filters(near=Circle(0, 0)).rows(catalogue.metadata).tolist() == []
