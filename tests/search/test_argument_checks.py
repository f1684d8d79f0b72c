"""Arguments of another type are refused in one line that says what to give instead."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from answers import names, refusal
from indexer.index import Index
from search.filters import Circle, Filters
from search.queries.query import Photo, Query, Text
from search.searcher import Searcher

DAY = "a date or datetime, as date(2020, 7, 14)"
CIRCLE = "a Circle, as Circle(48.8584, 2.2945, km=5)"
NUMBERS = "a Circle takes latitude, longitude and km as numbers, as Circle(48.8584, 2.2945, km=5), got"


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: Filters(after="2020"), f"after must be {DAY}, got '2020'"),
        (lambda: Filters(before=2020), f"before must be {DAY}, got 2020"),
        (lambda: Filters(after=np.datetime64("2020-01-01")), f"after must be {DAY}, got np.datetime64('2020-01-01')"),
        (lambda: Filters(near=(1, 2)), f"near must be {CIRCLE}, got (1, 2)"),
        (lambda: Filters(near="48,2"), f"near must be {CIRCLE}, got '48,2'"),
        (lambda: Filters(camera=5), "camera must be a text, got 5"),
        (
            lambda: Filters(kind=["raw"]),
            "there is no kind ['raw']; the kinds are photo, screenshot, panorama, raw, scan",
        ),
        (lambda: Circle("48", 2), f"{NUMBERS} '48'"),
        (lambda: Circle(48, None), f"{NUMBERS} None"),
        (lambda: Circle(48, 2, "5 km"), f"{NUMBERS} '5 km'"),
        (lambda: Query("a cat", id=7), "the id of a query must be a text, got 7"),
        (lambda: Query(Text("a cat", "2")), "query 1: a weight must be a number above 0, got '2'"),
        (lambda: Query(like=Photo("x.jpg", None)), "query 1: a weight must be a number above 0, got None"),
        (
            lambda: Searcher("indexes/x"),
            "index must be an open index, as Index.open('indexes/photos'), got 'indexes/x'",
        ),
    ],
)
def test_parts_of_another_type_are_refused(make: Callable[[], object], line: str) -> None:
    assert refusal(make) == line


@pytest.fixture(scope="module")
def searcher(plain: Path) -> Searcher:
    return Searcher(Index.open(plain))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"k": "3"}, "k must be a whole number, got '3'"),
        ({"k": 2.5}, "k must be a whole number, got 2.5"),
        ({"k": None}, "k must be a whole number, got None"),
        ({"k": 0}, "k must be 1 or more, got 0"),
        ({"min_score": "x"}, "min_score must be a number from 0 to 1, got 'x'"),
        ({"min_score": None}, "min_score must be a number from 0 to 1, got None"),
        ({"under": 5}, "under must be a folder, as a str or Path, got 5"),
        ({"under": b"space"}, "under must be a folder, as a str or Path, got b'space'"),
        ({"filters": {"kind": "raw"}}, "filters must be Filters(...), got {'kind': 'raw'}"),
        ({"filters": None}, "filters must be Filters(...), got None"),
        ({"like": 5}, "query 1: 5 is no path of a photo"),
        ({"without": 5}, "query 1: 5 is no path of a photo"),
    ],
)
def test_options_of_another_type_are_refused(searcher: Searcher, options: dict[str, object], line: str) -> None:
    assert refusal(lambda: searcher.answer("a cat", **options)) == line
    assert refusal(lambda: searcher.search("a cat", **options)) == line


def test_a_searcher_refuses_what_it_cannot_open_with(searcher: Searcher) -> None:
    for candidates, line in (
        ("9", "a whole number, got '9'"),
        (0, "1 or more, got 0"),
        (1.5, "a whole number, got 1.5"),
    ):
        assert refusal(lambda n=candidates: Searcher(searcher.index, candidates=n)) == f"candidates must be {line}"
    line = "ranker must be a Ranker, as Ranker.load('rankers/team'), got 'rankers/team'"
    assert refusal(lambda: Searcher(searcher.index, "rankers/team")) == line
    assert refusal(lambda: searcher.answer(None)) == "query 1: None is no text"


def test_numbers_of_numpy_and_paths_are_taken(searcher: Searcher, photos: Path) -> None:
    plain = searcher.answer("a dog", 2, min_score=0.001, under=str(photos / "space"))
    taken = searcher.answer("a dog", np.int64(2), min_score=np.float32(0.001), under=photos / "space")
    assert (len(names(taken)), names(taken)) == (2, names(plain))
    assert Filters(after=date(2020, 1, 1), near=Circle(np.float64(1), np.int32(2))) != Filters()
