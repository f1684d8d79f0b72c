"""Typing errors, plurals and spellings, with a vocabulary of a few words."""

import pytest

from search.queries.spelling import AMERICAN, Spelling

WORDS = (
    "bicycle",
    "house",
    "horse",
    "horses",
    "dog",
    "running",
    "run",
    "flying",
    "fly",
    "box",
    "beach",
    "knife",
    "tree",
)
KNOWN = Spelling(WORDS, lambda word: word in ("hoarse", "bead"))


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        ("bicylce", "bicycle"),  # changed over
        ("bicycl", "bicycle"),  # left out
        ("biccycle", "bicycle"),  # added
        ("bicycke", "bicycle"),  # replaced
        ("ibcycle", "bicycle"),  # the first two letters changed over
        ("bicylces", "bicycles"),  # a plural
        ("hoouse", "house"),
        ("hosre", "horse"),
        ("becah", "beach"),
    ],
)
def test_one_wrong_letter_is_mended(typed: str, right: str) -> None:
    assert KNOWN.mend(typed) == right


@pytest.mark.parametrize(
    "typed",
    [
        "bicycle",  # right
        "bycicle",  # two letters
        "vicycle",  # the first letter
        "dgo", "boxx",  # short
        "moose",  # a letter of five replaced
        "hoarse",  # another word
        "beaded",  # a form of another word
        "flyings", "treeless", "boxes",  # forms of known words
        "harbour",  # British
        "bicyclé", "x" * 21,
    ],
)  # fmt: skip
def test_what_may_be_right_is_left_alone(typed: str) -> None:
    assert KNOWN.mend(typed) is None


def test_of_two_near_words_the_more_frequent_is_meant() -> None:
    # "hozuse" is one letter from "house" only, "hourse" from "house" and "horse".
    assert KNOWN.mend("hourse") == "house"
    assert Spelling(("horse", "house"), lambda _: False).mend("hourse") == "horse"


@pytest.mark.parametrize(
    ("plural", "singular"),
    [
        ("dogs", "dog"), ("boxes", "box"), ("horses", "horse"), ("beaches", "beach"), ("knives", "knife"),
        ("flies", "fly"), ("children", "child"), ("men", "man"),
        ("glasses", None), ("grass", None), ("bus", None), ("cats", None), ("dog", None), ("trees", "tree"),
    ],
)  # fmt: skip
def test_a_plural_of_a_known_word_has_a_singular(plural: str, singular: str | None) -> None:
    assert KNOWN.singular(plural) == singular


def test_a_word_whose_ing_form_is_known_may_be_a_verb() -> None:
    assert [word for word in ("runs", "flies", "dogs", "boxes", "trees") if KNOWN.may_be_verb(word)] == [
        "runs",
        "flies",
    ]


def test_no_american_spelling_is_british() -> None:
    assert set(AMERICAN) & set(AMERICAN.values()) == set()
    assert (AMERICAN["grey"], AMERICAN["colours"], AMERICAN["theatre"]) == ("gray", "colors", "theater")
