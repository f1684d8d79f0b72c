"""search.results: the JSON form of a result, and the table for a terminal."""

import json
import os

from search.results import Hit, SearchResult, table

# Invalid UTF-8, a newline, a terminal escape, a right-to-left override, blanks, a percent sign.
ODD = os.fsdecode(b"/p/a b\n\x1b[31m%20\xff") + "\u202egpj.jpg"
ODD_SHOWN = "/p/a b\\n\\x1b[31m%20\\udcff\\u202egpj.jpg"
BUS = Hit(1, "/p/bus.jpg", 0.87504, 1.49996, 640, 480, ("/p/copy.jpg",))
RESULT = SearchResult("7", "a bus", (BUS, Hit(2, ODD, 0.25, -0.125, 30, 20)), good_match=True)
NOTHING = SearchResult("8", "a cat", (), good_match=False)


def test_the_json_form_has_what_there_is_and_rounds_to_four_decimals() -> None:
    full = SearchResult("7", "a bus", (BUS,), True, ("too long",), 0.123456, blocked="no", error="bad")
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
        "hits": [{**hit, "copies": ["/p/copy.jpg"]}],
    }
    assert NOTHING.as_dict() == {"format": 1, "id": "8", "query": "a cat", "good_match": False, "hits": []}


def test_a_path_that_is_not_utf_8_keeps_its_bytes_through_json() -> None:
    path = json.loads(json.dumps(RESULT.as_dict()))["hits"][1]["path"]
    assert os.fsencode(path) == b"/p/a b\n\x1b[31m%20\xff" + "\u202egpj.jpg".encode()


def test_the_table_has_rank_relevance_and_path_with_copies_counted() -> None:
    assert table(RESULT) == f"   1  0.875  /p/bus.jpg  (+1 same)\n   2  0.250  {ODD_SHOWN}"
    assert table(NOTHING) == ""
