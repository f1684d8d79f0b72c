"""search.results: the JSON form of a result, and the table for a terminal."""

import json
import os
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from indexer.photos.metadata.record import NOT_READ, PhotoMetadata
from search.results import Hit, SearchResult, table

# Invalid UTF-8, a newline, a terminal escape, a right-to-left override, blanks, a percent sign.
ODD = os.fsdecode(b"/p/a b\n\x1b[31m%20\xff") + "\u202egpj.jpg"
ODD_SHOWN = "/p/a b\\n\\x1b[31m%20\\udcff\\u202egpj.jpg"
TAKEN = datetime(2020, 7, 14, 12, 30, 59, 250_000, timezone(timedelta(hours=2)))
KNOWN = PhotoMetadata(TAKEN, "exif", "Nikon D90", None, 48.8584, 2.2945, 6, "photo")
BUS = Hit(1, "/p/bus.jpg", 0.87504, 1.49996, 640, 480, ("/p/copy.jpg",), KNOWN)
RESULT = SearchResult("7", "a bus", (BUS, Hit(2, ODD, 0.25, -0.125, 30, 20)), good_match=True)
NOTHING = SearchResult("8", "a cat", (), good_match=False)


def test_the_json_form_has_what_there_is_and_rounds_to_four_decimals() -> None:
    known = {"taken": "2020-07-14T12:30:59.250000+02:00", "taken_from": "exif", "camera": "Nikon D90", "lens": None}
    known |= {"latitude": 48.8584, "longitude": 2.2945, "orientation": 6, "kind": "photo"}
    bus = replace(BUS, stack=("/p/b.jpg", "/p/c.jpg"))
    full = SearchResult("7", "a bus", (bus,), True, ("too long",), 0.123456, blocked="no", error="bad")
    hit = {"rank": 1, "path": "/p/bus.jpg", "relevance": 0.875, "score": 1.5, "width": 640, "height": 480}
    assert full.as_dict() == {
        "format": 1,
        "id": "7",
        "query": "a bus",
        "good_match": True,
        "match_probability": 0.1235,
        "blocked": True,
        "disclaimer": "no",
        "error": "bad",
        "notes": ["too long"],
        "hits": [{**hit, "copies": ["/p/copy.jpg"], "stack": ["/p/b.jpg", "/p/c.jpg"], "stack_size": 4, **known}],
    }
    assert NOTHING.as_dict() == {"format": 1, "id": "8", "query": "a cat", "good_match": False, "hits": []}


def test_a_path_that_is_not_utf_8_keeps_its_bytes_through_json() -> None:
    path = json.loads(json.dumps(RESULT.as_dict()))["hits"][1]["path"]
    assert os.fsencode(path) == b"/p/a b\n\x1b[31m%20\xff" + "\u202egpj.jpg".encode()


def test_the_table_has_rank_relevance_and_path_with_copies_counted() -> None:
    assert table(RESULT) == f"   1  0.875  /p/bus.jpg  (+1 same)\n   2  0.250  {ODD_SHOWN}"
    assert table(NOTHING) == ""


def test_hits_by_date_come_newest_first_by_the_clock_and_keep_their_ranks() -> None:
    times = [datetime(2019, 1, 1), None, TAKEN, datetime(2020, 7, 14, 12, 30), datetime(2019, 1, 1)]
    hits = tuple(
        replace(BUS, rank=rank, metadata=replace(NOT_READ, taken=taken)) for rank, taken in enumerate(times, 1)
    )
    result = replace(RESULT, hits=hits)
    # 12:30 without an offset is before 12:30:59 in any zone, and hits of one time stay in the order of their ranks.
    assert [hit.rank for hit in result.by_date().hits] == [3, 4, 1, 5, 2]
    assert result.by_date().by_date() == result.by_date()
    assert replace(result.by_date(), hits=result.hits) == result


def test_the_table_names_the_first_photos_of_a_stack() -> None:
    few = replace(BUS, copies=(), stack=("/p/a.jpg", ODD))
    many = replace(BUS, rank=2, stack=tuple(f"/p/{place}.jpg" for place in range(11)))
    assert table(SearchResult("7", "a bus", (few, many), good_match=True)) == (
        f"   1  0.875  /p/bus.jpg  (+2: a.jpg, {ODD_SHOWN.rpartition('/')[2]})\n"
        "   2  0.875  /p/bus.jpg  (+1 same)  (+11: 0.jpg, 1.jpg, 2.jpg, ...)"
    )
