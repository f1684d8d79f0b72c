"""Exact copies share a row of the index; a search shows those that it asks for, and no others."""

import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.encoders import ImageEncoder
from indexer.index import Index
from indexer.photos.metadata.record import PhotoMetadata
from reranker.ranker import Ranker
from search.filters import Circle, Filters
from search.results import Hit
from search.searcher import Searcher

# Where each photo lies, and the year in which its file was changed. The cat is there three times.
YEARS = {
    "old/cat.png": 2019,
    "new/cat.png": 2021,
    "new/deep/cat again.png": 2023,
    "old/coffee.png": 2022,
    "new/Screenshot 1.png": 2020,
    "old/moon.png": 2020,
}
SOURCES = {"cat": "animals/chelsea.png", "coffee": "things/coffee.png", "moon": "space/moon.png"}
CAT = {name for name in YEARS if "cat" in name}


@dataclass(frozen=True)
class Library:
    """A searcher of the photos below `root`."""

    root: Path
    searcher: Searcher

    def hits(self, **options: object) -> list[Hit]:
        return self.searcher.search("a cat", 10, **options)  # type: ignore[arg-type]

    def name(self, path: str) -> str:
        return os.path.relpath(path, self.root)

    def shown(self, **options: object) -> dict[str, list[str]]:
        """Return the copies that each hit names, by its path."""
        return {self.name(hit.path): [self.name(path) for path in hit.copies] for hit in self.hits(**options)}


@pytest.fixture(scope="module")
def library(photos: Path, encoder: ImageEncoder, ranker: Ranker, tmp_path_factory: pytest.TempPathFactory) -> Library:
    root = tmp_path_factory.mktemp("copies") / "photos"
    for word, source in SOURCES.items():
        with Image.open(photos / source) as photo:
            pixels = Image.fromarray(np.asarray(photo.convert("RGB")))
        pixels.save(root.parent / f"{word}.png")  # it does not say when it was taken
    for name, year in YEARS.items():
        word = next((word for word in SOURCES if word in name), "moon")
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root.parent / f"{word}.png", root / name)
        time = datetime(year, 6, 1).timestamp()
        os.utime(root / name, (time, time))
    Index.build(root, root.parent / "index", encoder=encoder).attach(ranker)
    return Library(root, Searcher(Index.open(root.parent / "index")))


def test_without_conditions_a_photo_and_its_copies_are_one_hit(library: Library) -> None:
    assert library.shown() == {
        "new/cat.png": ["new/deep/cat again.png", "old/cat.png"],
        "old/coffee.png": [],
        "new/Screenshot 1.png": ["old/moon.png"],
    }


def test_below_a_folder_only_the_copies_there_are_named(library: Library) -> None:
    for folder in ("new", str(library.root / "new"), f"{library.root}/old/../new/"):
        assert library.shown(under=folder) == {
            "new/cat.png": ["new/deep/cat again.png"],
            "new/Screenshot 1.png": [],
        }
    assert library.shown(under="new/deep") == {"new/deep/cat again.png": []}
    assert library.hits(under="new/deep")[0].stack_size == 1


@pytest.mark.parametrize(
    ("after", "before", "cats"),
    [
        (2019, 2020, ["old/cat.png"]),
        (2020, 2022, ["new/cat.png"]),
        (2021, 2024, ["new/cat.png", "new/deep/cat again.png"]),
        (2022, 2024, ["new/deep/cat again.png"]),
        (2024, 2030, []),
    ],
)
def test_each_copy_has_the_time_of_its_own_file(library: Library, after: int, before: int, cats: list[str]) -> None:
    filters = Filters(datetime(after, 1, 1), datetime(before, 1, 1))
    shown = library.shown(filters=filters)
    assert [name for path, copies in shown.items() for name in (path, *copies) if name in CAT] == cats
    every = [hit for hit in library.hits(filters=filters, show_all=True) if library.name(hit.path) in CAT]
    assert [(library.name(hit.path), hit.metadata.taken.year) for hit in every if hit.metadata.taken is not None] == [
        (name, YEARS[name]) for name in cats
    ]


def test_one_copy_must_meet_all_conditions(library: Library) -> None:
    # Of the cat, one copy is old and another one of 2021; none is both.
    filters = Filters(datetime(2021, 1, 1), datetime(2022, 1, 1))
    result = library.searcher.answer("a cat", filters=filters, under="old")
    assert (result.hits, result.notes) == ((), ("no photo passes the filters",))
    assert library.shown(filters=filters, under="new") == {"new/cat.png": []}


def test_a_kind_that_a_name_tells_holds_for_all_copies(library: Library) -> None:
    # The other one was indexed later, and neither name was the first by chance.
    assert library.shown(filters=Filters(kind="screenshot")) == {"new/Screenshot 1.png": ["old/moon.png"]}
    assert set(library.shown(filters=Filters(kind="photo"))) == {"new/cat.png", "old/coffee.png"}


def test_all_shows_every_copy_as_a_hit_that_names_the_others(library: Library) -> None:
    hits = library.hits(show_all=True)
    assert {library.name(hit.path) for hit in hits} == set(YEARS)
    assert [hit.rank for hit in hits] == list(range(1, 7))
    cats = [hit for hit in hits if library.name(hit.path) in CAT]
    assert [library.name(hit.path) for hit in cats] == sorted(CAT)
    assert {(hit.score, hit.relevance, hit.stack_size) for hit in cats} == {(cats[0].score, cats[0].relevance, 3)}
    for hit in cats:
        assert {library.name(path) for path in (hit.path, *hit.copies)} == CAT
    assert [hit.path for hit in library.searcher.search("a cat", 2, show_all=True)] == [hit.path for hit in hits[:2]]


def test_filters_say_of_one_photo_what_they_say_of_the_index() -> None:
    photo = PhotoMetadata(datetime(2020, 1, 1), "exif", "Nikon D90", None, 48.8583, 2.2945, None, "scan")
    met = [
        Filters(after=datetime(2020, 1, 1)),
        Filters(before=datetime(2020, 1, 1, 0, 0, 1)),
        Filters(camera="d90 NIKON"),
        Filters(near=Circle(48.85, 2.29, 1)),
        Filters(kind="scan"),
    ]
    missed = [
        Filters(after=datetime(2020, 1, 1, 0, 0, 1)),
        Filters(before=datetime(2020, 1, 1)),
        Filters(camera="d90 canon"),
        Filters(near=Circle(48.85, 2.29, 0.5)),
        Filters(kind="photo"),
    ]
    assert [filters.meets(photo) for filters in (*met, *missed)] == [True] * 5 + [False] * 5
    assert not any(filters.meets(PhotoMetadata()) for filters in met)


def test_a_copy_that_is_on_the_disk_is_shown_before_one_that_is_not(library: Library) -> None:
    before = "new/cat.png"
    assert library.shown()[before] == ["new/deep/cat again.png", "old/cat.png"]
    away = library.root.parent / "away.png"
    (library.root / before).rename(away)
    try:
        assert library.shown()["new/deep/cat again.png"] == ["old/cat.png", "new/cat.png"]
        shown = [name for name in library.shown(show_all=True) if name in CAT]
        assert shown == ["new/deep/cat again.png", "old/cat.png", "new/cat.png"]
    finally:
        away.rename(library.root / before)
    assert library.shown()[before] == ["new/deep/cat again.png", "old/cat.png"]
