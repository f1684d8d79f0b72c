"""Options that filter and sort: `photoseek search`, `photoseek batch`, and what `photoseek info` says of the photos."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from command_line import SAMPLE, misused, photoseek
from unusual_photos.exif_blocks import camera_exif

# Name of the file, time, make and model, place.
SHOTS = {
    "cat.jpg": ("2019:07:14 12:00:00", "NIKON CORPORATION", "NIKON D90", (48.0, 51.0, 30.0)),
    "saucer.jpg": ("2020:07:14 12:00:00", "Canon", "Canon EOS R", (48.0, 51.0, 30.0)),
    "mission_patch.jpg": ("2021:07:14 12:00:00", "NIKON CORPORATION", "NIKON Z 6", (10.0, 0.0, 0.0)),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos of the sample with what a camera says, and a screenshot."""
    root = tmp_path_factory.mktemp("shots") / "photos"
    root.mkdir()
    sources = {path.name: path for path in SAMPLE.rglob("*.jpg")}
    for name, (taken, make, model, latitude) in SHOTS.items():
        gps = {1: "N", 2: latitude, 3: "E", 4: (2.0, 17.0, 40.2)}
        with Image.open(sources[name]) as photo:
            photo.save(root / name, exif=camera_exif(make, model, {0x9003: taken}, gps))
    with Image.open(sources["cat_fur.jpg"]) as photo:
        photo.save(root / "Screenshot 2022-01-01.png")
    return root


@pytest.fixture(scope="module")
def shots(library: Path) -> Path:
    index = library.parent / "index"
    assert photoseek("build", library, "-i", index, "-q").exit_code == 0
    return index


def found(index: Path, *options: object) -> list[str]:
    """Return the names of the photos that a search prints, in their order."""
    result = photoseek("search", "a cat", "-i", index, "--misses", "--paths", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    return [Path(line).name for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--after", "2020", "--before", "2021"], {"saucer.jpg"}),
        (["--after", "2020-07-14T12:00", "--before", "2021-07-14T12:00"], {"saucer.jpg"}),
        (["--before", "2020-07"], {"cat.jpg"}),
        (["--camera", "nikon"], {"cat.jpg", "mission_patch.jpg"}),
        (["--camera", "z nikon", "--after", "2021"], {"mission_patch.jpg"}),
        (["--near", "48.8584,2.2945"], {"cat.jpg", "saucer.jpg"}),
        (["--near", "10,2,50"], {"mission_patch.jpg"}),
        (["--near", "48.8584,2.2945,20015"], {"cat.jpg", "saucer.jpg", "mission_patch.jpg"}),
        (["--kind", "screenshot"], {"Screenshot 2022-01-01.png"}),
    ],
)
def test_search_finds_what_passes_the_filters(shots: Path, options: list[str], names: set[str]) -> None:
    assert set(found(shots, *options)) == names


def test_search_sorts_by_date_and_json_says_what_is_known(shots: Path) -> None:
    assert found(shots, "--camera", "n", "--sort", "date") == ["mission_patch.jpg", "saucer.jpg", "cat.jpg"]
    result = photoseek("search", "a cat", "-i", shots, "--camera", "d90", "--json")
    (hit,) = json.loads(result.stdout)["hits"]
    known = {name: hit[name] for name in ("taken", "taken_from", "camera", "lens", "latitude", "longitude", "kind")}
    assert known == {
        "taken": "2019-07-14T12:00:00",
        "taken_from": "exif",
        "camera": "Nikon D90",
        "lens": None,
        "latitude": 48.8583333,
        "longitude": 2.2945,
        "kind": "photo",
    }


def test_search_says_that_nothing_passes(shots: Path) -> None:
    result = photoseek("search", "a cat", "-i", shots, "--camera", "leica", "--fail-if-empty")
    line = "no good match for 'a cat'\n"
    assert (result.exit_code, result.stdout, result.stderr) == (3, line, "note: no photo passes the filters\n")


def test_batch_filters_and_sorts(shots: Path, tmp_path: Path) -> None:
    queries, output = tmp_path / "q.txt", tmp_path / "r.csv"
    queries.write_text("a cat\na cup\n")
    options = ("--near", "48.8584,2.2945", "--sort", "date")
    assert photoseek("batch", queries, "-o", output, "-i", shots, *options).exit_code == 0
    with open(output, newline="") as file:
        records = [(r["query_id"], Path(r["path"]).name, r["taken"], r["camera"]) for r in csv.DictReader(file)]
    expected = [("saucer.jpg", "2020-07-14T12:00:00", "Canon EOS R"), ("cat.jpg", "2019-07-14T12:00:00", "Nikon D90")]
    assert records == [(number, *one) for number in ("1", "2") for one in expected]
    result = photoseek("batch", queries, "-o", tmp_path / "r.trec", "-i", shots, "--sort", "date")
    misused(result, "batch", "--sort date: a TREC run is sorted by score; give another ending")


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--after", "yesterday", "'yesterday' is no time; write 2020, 2020-07, 2020-07-14 or 2020-07-14T12:30"),
        ("--before", "2020-13", "'2020-13' is no time; write 2020, 2020-07, 2020-07-14 or 2020-07-14T12:30"),
        ("--near", "Paris", "'Paris' is no place; write LAT,LON or LAT,LON,KM, such as 48.8584,2.2945,5"),
        (
            "--near",
            "48,200",
            "'48,200': there is no place 48,200; latitude goes from -90 to 90, longitude from -180 to 180",
        ),
        ("--near", "48,2,0", "'48,2,0': a distance must be above 0 km, got 0"),
        (
            "--after",
            "2020-07-14T12:30Z",
            "'2020-07-14T12:30Z' has an offset from UTC; give the time as a clock showed it where the photo was taken",
        ),
        ("--camera", "", "the name of a camera is empty"),
        ("--camera", " ", "the name of a camera is empty"),
        ("--kind", "video", "'video' is not one of 'photo', 'screenshot', 'panorama', 'raw', 'scan'."),
        ("--sort", "size", "'size' is not one of 'relevance', 'date'."),
    ],
)
def test_filters_that_say_nothing_are_misuse(shots: Path, option: str, value: str, problem: str) -> None:
    result = photoseek("search", "a cat", "-i", shots, option, value)
    misused(result, "search", f"Invalid value for '{option}': {problem}")


def test_info_says_when_where_and_with_what(shots: Path) -> None:
    lines = photoseek("info", "-i", shots).stdout.splitlines()
    assert lines[-5:] == [
        "taken           2019-07-14 to 2021-07-14",
        "file times      1",
        "with a place    3",
        "cameras         Canon EOS R (1), Nikon D90 (1), Nikon Z 6 (1)",
        "kinds           photo (3), screenshot (1)",
    ]
    assert json.loads(photoseek("info", "-i", shots, "--json").stdout)["metadata"] == {
        "first_taken": "2019-07-14T12:00:00",
        "last_taken": "2021-07-14T12:00:00",
        "file_times": 1,
        "places": 3,
        "cameras": {"Canon EOS R": 1, "Nikon D90": 1, "Nikon Z 6": 1},
        "kinds": {"photo": 3, "screenshot": 1},
        "missing": 0,
    }
