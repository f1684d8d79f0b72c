"""The parts of a query, and what a batch may be given as."""

from pathlib import Path

import pytest

from answers import refusal
from search.queries.query import Photo, Query, Text, as_queries


def test_parts_stand_for_what_their_types_say() -> None:
    query = Query(
        "a dog", like=["a.jpg", Photo("b.jpg", 0.5)], without=["snow", Path("c.jpg"), Text("cars", 2), Photo("d")]
    )
    assert query.wanted_text == Text("a dog", 1.0)
    assert query.wanted_photos == (Photo("a.jpg", 1.0), Photo("b.jpg", 0.5))
    assert query.excluded_texts == (Text("snow", 1.0), Text("cars", 2))
    assert query.excluded_photos == (Photo(Path("c.jpg"), 1.0), Photo("d", 1.0))


def test_one_part_needs_no_list_and_a_generator_is_read_once() -> None:
    query = Query(Text("a dog", 2), like=Path("a.jpg"), without=(word for word in ("snow", "ice")))
    assert query.wanted_text.weight == 2
    assert query.wanted_photos == (Photo(Path("a.jpg")),)
    assert query.excluded_texts == query.excluded_texts == (Text("snow"), Text("ice"))
    assert Query(without="snow").excluded_texts == (Text("snow"),)


@pytest.mark.parametrize(
    ("query", "described"),
    [
        (Query(" a dog ", like="a.jpg"), " a dog "),
        (Query(like=["a.jpg", "b.jpg"]), "like a.jpg and b.jpg"),
        (Query(like="a.jpg", without=["snow", Path("b.jpg")]), "like a.jpg without snow or b.jpg"),
    ],
)
def test_a_query_is_described_by_its_text_or_else_its_parts(query: Query, described: str) -> None:
    assert query.described == described


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: Query(Text("a dog", 0)), "query 1: a weight must be a number above 0, got 0"),
        (lambda: Query(like=Photo("a", -1), id="q"), "query q: a weight must be a number above 0, got -1"),
        (lambda: Query(without=Text("a", float("nan"))), "query 1: a weight must be a number above 0, got nan"),
        (lambda: Query(7), "query 1: 7 is no text"),
        (lambda: Query(like=[3]), "query 1: 3 is no path of a photo"),
        (lambda: Query(without=[None]), "query 1: None is no path of a photo"),
    ],
)
def test_parts_of_other_types_or_without_weight_are_refused(make, line: str) -> None:
    assert refusal(make) == line


def test_a_batch_takes_any_iterable_of_queries_pairs_and_texts() -> None:
    given = ("a cat", ("q", "a dog"), ["r", "the moon"], Query("rocket", id="s"), (4, "coins"))
    asked = [("1", "a cat"), ("q", "a dog"), ("r", "the moon"), ("s", "rocket"), ("4", "coins")]
    assert [(query.id, query.text) for query in as_queries(iter(given))] == asked
    assert [(query.id, query.text) for query in as_queries({"a": "a cat", "b": "a dog"})] == [
        ("a", "a cat"),
        ("b", "a dog"),
    ]
    assert as_queries(query for query in ()) == []


@pytest.mark.parametrize("given", ["a cat", b"a cat", Query("a cat"), 7, None])
def test_a_batch_that_is_one_query_or_none_is_refused(given: object) -> None:
    line = refusal(lambda: as_queries(given))
    assert line.startswith("a batch takes many queries, as texts, pairs (id, text) or Query objects; got ")
    assert line.endswith(repr(given)[:57] if len(repr(given)) <= 60 else "...")


@pytest.mark.parametrize("one", [("a",), ("a", 1), 5, None, b"a cat"])
def test_a_wrong_query_of_a_batch_is_named_by_its_place(one: object) -> None:
    line = f"query 2 of the batch must be a text, a pair (id, text) or a Query, got {one!r}"
    assert refusal(lambda: as_queries(["a cat", one])) == line
