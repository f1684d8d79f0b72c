"""Queries as people type them, and what they ask for: written queries, and the notes word by word."""

import csv
from pathlib import Path

import pytest

from indexer.encoders import open_text_encoder
from reranker.ranker import Ranker
from search.queries.query_text import LONGEST_READ, NOTHING_NAMED_NOTE, ParsedQuery, parse_query
from search.queries.spelling import Spelling

with open(Path(__file__).with_name("query_cases.tsv"), encoding="utf-8", newline="") as file:
    CASES = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture(scope="module")
def known(ranker: Ranker) -> Spelling:
    """Return the words that a search with the shipped ranker knows."""
    return Spelling(ranker.known_words, open_text_encoder(ranker.text_encoder, ranker.text_encoder_name).is_word)


def kinds(notes: tuple[str, ...]) -> str:
    """Return what the notes tell of, in the words of the table."""
    corrected = any(" instead of " in note for note in notes)
    excluded = any(" without " in note for note in notes)
    return " and ".join(kind for kind, there in (("correction", corrected), ("exclusion", excluded)) if there)


@pytest.mark.parametrize("case", CASES, ids=[case["query"] for case in CASES])
def test_a_written_query_asks_for_what_its_writer_means(known: Spelling, case: dict[str, str]) -> None:
    parsed = parse_query(case["query"], known)
    found = (parsed.text, "|".join(parsed.excluded), kinds(parsed.notes))
    assert found == (case["searched"], case["excluded"], case["note"])


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (
            "a street without cars",
            ParsedQuery("a street", ("cars",), ("car",), ("searched for 'a street', without 'cars'",)),
        ),
        (
            "no people",
            ParsedQuery(
                "", ("people",), ("people", "person", "a man", "a woman"), ("searched for photos without 'people'",)
            ),
        ),
        (
            "beach, no dogs and no leashes",
            ParsedQuery(
                "beach", ("dogs", "leashes"), ("dog", "leash"), ("searched for 'beach', without 'dogs', 'leashes'",)
            ),
        ),
        ("Bicylce", ParsedQuery("bicycle", (), (), ("searched for 'bicycle' instead of 'Bicylce'",))),
        (
            "a bicylce on the baech, no small dogs",
            ParsedQuery(
                "a bicycle on the beach",
                ("small dogs",),
                ("small dog",),
                (
                    "searched for 'bicycle' instead of 'bicylce'",
                    "searched for 'beach' instead of 'baech'",
                    "searched for 'a bicycle on the beach', without 'small dogs'",
                ),
            ),
        ),
        ("Pictures of DOGS", ParsedQuery("dog")),
        ("a shot of a dog", ParsedQuery("a dog")),
        (
            "beach with no dogs in the snapshot",
            ParsedQuery("beach", ("dogs",), ("dog",), ("searched for 'beach', without 'dogs'",)),
        ),
        (
            "“a street (no cars)”",
            ParsedQuery("a street", ("cars",), ("car",), ("searched for 'a street', without 'cars'",)),
        ),
    ],
)
def test_notes_tell_of_corrections_and_exclusions_and_of_nothing_else(
    known: Spelling, text: str, parsed: ParsedQuery
) -> None:
    assert parse_query(text, known) == parsed


@pytest.mark.parametrize(
    "text", ["dogs!", "Dogs?!", "dog.", '"dogs"', "“dog”", "dog …", "'dog'", "dog,", "a photo of dogs!"]
)
def test_marks_around_a_query_change_nothing(known: Spelling, text: str) -> None:
    assert parse_query(text, known) == ParsedQuery("dog")


def test_marks_that_belong_to_a_text_stay(known: Spelling) -> None:
    for text in ("two dogs run across the grass .", '"stop" sign', "a sign that says “no dogs”", "u.s. flag", "c++"):
        assert parse_query(text, known).text == text


@pytest.mark.parametrize(
    "text",
    ["photo", "the", "no", "Pictures!", "show me", "a photo of a photo of", "without", "two", "shots", "photographs"],
)
def test_a_query_of_frame_words_names_nothing(known: Spelling, text: str) -> None:
    assert parse_query(text, known).names_nothing


@pytest.mark.parametrize(
    "text", ["a dog", "no dogs", "photo album", "7", "🐈", "一只猫", "?", "without cars", "show jumping"]
)
def test_any_other_query_names_something(known: Spelling, text: str) -> None:
    assert not parse_query(text, known).names_nothing


@pytest.mark.parametrize(
    "text", ["photo of", "show me", "no", "without", "not", "no no", "with no", "a photo of a photo of"]
)
def test_something_is_searched_for_where_nothing_but_the_frame_was_typed(known: Spelling, text: str) -> None:
    parsed = parse_query(text, known)
    assert parsed.text != ""
    assert (parsed.excluded, parsed.notes) == ((), (NOTHING_NAMED_NOTE,))


def test_names_file_names_and_numbers_are_not_corrected(known: Spelling) -> None:
    for text in (
        "a photo by Motorcyle",
        "motorcyle2.jpg",
        "IMG_motorcyle",
        "http://motorcyle.com",
        "motor-cyle",
        "12345",
    ):
        assert parse_query(text, known).notes == ()
    # Where everything has capitals, they say nothing.
    assert parse_query("RED MOTORCYLE", known).text == "red motorcycle"
    assert parse_query("Red Motorcyle", known).text == "red motorcycle"


def test_a_long_text_is_searched_for_as_it_is(known: Spelling) -> None:
    text = "A bicylce without a saddle " * 20
    assert len(text.split()) == 100 > LONGEST_READ
    assert parse_query(text, known) == ParsedQuery(text)


@pytest.mark.parametrize("text", ["мотоцикл", "一只猫", "🐈", "?", "a\x00b", "e" * 3000, "İstanbul"])
def test_any_script_passes(known: Spelling, text: str) -> None:
    assert parse_query(text, known) == ParsedQuery(text.lower())


def test_without_a_vocabulary_only_the_form_of_a_query_is_read() -> None:
    bare = Spelling((), lambda _: False)
    assert parse_query("bicylces", bare) == ParsedQuery("bicylces")
    assert parse_query("Photos of bicylces without Colours", bare) == ParsedQuery(
        "bicylces", ("colors",), ("colors",), ("searched for 'bicylces', without 'colors'",)
    )
