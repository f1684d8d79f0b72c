"""Exclusions in a text, and what is left of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.queries.exclusions import TOKEN, split_exclusions

WORDS = (
    "no not without with except or and but , . ( the a two cars red people parked parking in on it background is that"
)


@pytest.mark.parametrize(
    ("text", "wanted", "excluded"),
    [
        ("a street without cars", "a street", ["cars"]),
        ("a street without any parked cars", "a street", ["parked cars"]),
        ("a dog with no owner or leash on grass", "a dog on grass", ["owner", "leash"]),
        ("a house with no windows and a red door", "a house and a red door", ["windows"]),
        ("a room that has no windows", "a room", ["windows"]),
        ("a man wearing no hat on a beach", "a man on a beach", ["hat"]),
        ("no shirts", "", ["shirts"]),
        ("no people, no cars, mountains", "mountains", ["people", "cars"]),
        ("black, not white, cats", "black, cats", ["white"]),
        ("cars which are not red or blue", "cars", ["red", "blue"]),
        ("a tree without leaves in the foreground", "a tree", ["leaves in the foreground"]),
        ("a table with no food on it, white", "a table, white", ["food"]),
        ("a table with no food in the picture", "a table", ["food"]),
        ("the beach without all the people", "the beach", ["people"]),
        ("a man, not looking at the camera", "a man", ["looking at the camera"]),
        ("a lake without a house, without a boat", "a lake", ["house", "boat"]),
        ("fruit except for apples", "fruit", ["apples"]),
        ("a street without cars, bikes or people", "a street", ["cars", "bikes", "people"]),
        ("a street without cars, bikes, or people at night", "a street at night", ["cars", "bikes", "people"]),
        ("a street without cars and people", "a street", ["cars", "people"]),
        ("no cars nor people", "", ["cars", "people"]),
        ("a kitchen without people, red cupboards", "a kitchen, red cupboards", ["people"]),
        ("a holiday, not the beach", "a holiday", ["beach"]),
        ("high (no cars) school", "high school", ["cars"]),
        ("something without dogs", "", ["dogs"]),
        ("cars without cars without cars", "cars", ["cars"]),
        ("a room w/o people", "a room", ["people"]),
        ("kitchen -people -dogs", "kitchen", ["people", "dogs"]),
        ("a car that isn't red", "a car", ["red"]),
        ("cars which aren’t red", "cars", ["red"]),
        ("a table that doesn't have food", "a table", ["food"]),
        ("rooms that do not have a window", "rooms", ["window"]),
        ("a street with neither cars nor people", "a street", ["cars", "people"]),
        ("animals other than dogs", "animals", ["dogs"]),
        ("anything apart from cars", "", ["cars"]),
        ("there are no people", "", ["people"]),
    ],
)
def test_a_short_noun_phrase_is_excluded(text: str, wanted: str, excluded: list[str]) -> None:
    assert split_exclusions(text) == (wanted, tuple(excluded))


@pytest.mark.parametrize(
    "text",
    [
        "a sign: no dogs",
        "people who aren't smiling",
        "a dog that doesn't look at the cat",
        "a t-shirt - red",
        "a boy who does not have a hat",
        "a no dogs sign",
        "no dogs allowed",
        "a man who does not smile",
        "people not wearing hats",
        "the shirt is not red",
        "empty seats except for two people",
        "a man without one of his three teeth",
        "a bird with no more than two colors",
        "a street without parked",
        "not so far from a house",
        "a man wearing no shirt on a beach",
        "a climber with no rope looks up at a high wall",
        "a very long row of houses no people would like",
    ],
)
def test_any_other_negation_stays_in_the_text_as_it_stands(text: str) -> None:
    assert split_exclusions(text) == (text, ())


@given(st.lists(st.sampled_from(WORDS.split()), max_size=12))
def test_whatever_is_typed_every_word_comes_from_it_and_something_is_left(words: list[str]) -> None:
    text = " ".join(words)
    wanted, excluded = split_exclusions(text)
    if not excluded:
        assert wanted == text
        return
    assert all(phrase.strip() == phrase != "" for phrase in excluded)
    # What is wanted keeps its order.
    rest = iter(words)
    assert all(word in rest for word in TOKEN.findall(wanted))
    assert all(f" {phrase} " in f" {text} " for phrase in excluded)
