"""Searches of small real indexes with queries as people type them: forms of a word, exclusions, and the policy."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from answers import names, row_of, score_of
from indexer.index import Index
from search.moderation.audit_log import AuditLog
from search.queries.query_text import NOTHING_NAMED_NOTE
from search.query_encoder import NOTHING_KNOWN
from search.searcher import Searcher

PHOTOS, ROWS = 18, 17
# The view keeps photos in half precision.
HALF = 3e-2
MINORS = "This image is unavailable in your country in compliance with local laws"


@pytest.fixture(scope="module")
def searcher(built: Path) -> Searcher:
    return Searcher(Index.open(built))


@pytest.fixture
def guarded(plain: Path, tmp_path: Path) -> tuple[Path, Searcher]:
    """Return a copy of the index under the policy for minors, and its searcher."""
    folder = tmp_path / "index"
    shutil.copytree(plain, folder)
    Index.open(folder).set_policy("minors")
    return folder, Searcher(Index.open(folder))


def exact_relevance(searcher: Searcher, text: str) -> np.ndarray:
    """Return the relevance of every row for a text, (n,), from the stored embeddings and regions."""
    x = np.asarray(searcher.index.embeddings(), np.float32)
    view = searcher.ranker.encode_photos(x, searcher.index.regions())
    return searcher.ranker.scores(view, searcher.encode_queries([text]), 0).relevance


@pytest.mark.parametrize(
    "texts",
    [
        ["dog", "dogs", "Dog", "DOG", "DOGS", "show me dogs", "pictures of dogs"],
        ["dog", "dogs!", "dog.", "\u201cdogs\u201d", "Dog?"],
        ["motorcycle", "motorcycles", "motorcyle", "Motorcyle"],
        ["a gray cat", "a grey cat", "A GREY CAT", "a photo of a grey cat"],
        ["color", "colour", "colours"],
        ["a cup of coffee on a table", "find pictures of a cup of coffee on a table"],
    ],
    ids=lambda texts: texts[1],
)
def test_forms_of_a_query_find_the_same(searcher: Searcher, texts: list[str]) -> None:
    first, *others = [searcher.answer(text, PHOTOS) for text in texts]
    assert len(first.hits) == ROWS
    for text, other in zip(texts[1:], others, strict=True):
        assert (other.text, other.hits) == (text, first.hits)
        assert other.match_probability == first.match_probability


def test_other_queries_find_other_photos(searcher: Searcher) -> None:
    assert searcher.answer("two dogs play", PHOTOS).hits != searcher.answer("dog", PHOTOS).hits
    assert searcher.answer("glasses", PHOTOS).hits != searcher.answer("glass", PHOTOS).hits


def test_what_is_searched_for_is_looked_up_among_the_known_words(searcher: Searcher) -> None:
    assert searcher.answer("umbrela").notes == ("searched for 'umbrella' instead of 'umbrela'",)
    for text in ("tyre", "mice", "no mice"):
        assert NOTHING_KNOWN not in searcher.answer(text).notes, text
    for text in ("tyrejk", "no tyrejk"):
        assert NOTHING_KNOWN in searcher.answer(text).notes, text


def test_a_negation_excludes_as_the_option_does(searcher: Searcher) -> None:
    typed = searcher.answer("a vehicle without a motorcycle", PHOTOS)
    asked = searcher.answer("a vehicle", PHOTOS, without="motorcycle")
    assert (typed.hits, typed.match_probability) == (asked.hits, asked.match_probability)
    assert typed.text == "a vehicle without a motorcycle"
    assert typed.notes == ("searched for 'a vehicle', without 'motorcycle'",)
    assert asked.notes == ()
    assert names(searcher.answer("a vehicle", 1)) == ["motorcycle_left.png"]
    assert names(typed)[-1] == "motorcycle_left.png"


def test_the_option_and_a_negation_both_hold(searcher: Searcher) -> None:
    both = searcher.answer("things, no cats", PHOTOS, without="motorcycles")
    assert both.notes == ("searched for 'thing', without 'cats'",)
    swapped = searcher.answer("things, no motorcycles", PHOTOS, without="cats")
    listed = searcher.answer("things, no cats, no motorcycles", PHOTOS)
    # As they are shown, in four decimals: products of the queries in another order differ in the last digits.
    assert both.as_dict()["hits"] == swapped.as_dict()["hits"] == listed.as_dict()["hits"]
    assert set(names(both)[-2:]) == {"chelsea.png", "motorcycle_left.png"}
    assert [name for name, score in zip(names(both), score_of(both).values(), strict=True) if score < -50] == names(
        both
    )[-2:]
    # Each alone moves only its own.
    assert names(searcher.answer("things, no cats", PHOTOS))[-1] == "chelsea.png"
    assert names(searcher.answer("things", PHOTOS, without="motorcycles"))[-1] == "motorcycle_left.png"


def test_a_negation_alone_puts_what_it_names_last(searcher: Searcher) -> None:
    answer = searcher.answer("no cats", PHOTOS)
    assert answer.notes == ("searched for photos without 'cats'",)
    assert len(answer.hits) == ROWS
    assert names(answer)[-1] == "chelsea.png"
    scores = [hit.score for hit in answer.hits]
    assert scores == sorted(scores, reverse=True)
    assert [score < -50 for score in scores] == [False] * (ROWS - 1) + [True]
    # Of the others a person would say that they show no cat.
    relevance = exact_relevance(searcher, "cat")
    first = row_of(searcher)[answer.hits[0].path]
    assert answer.match_probability == pytest.approx(1 - relevance[first], abs=HALF)
    assert answer.hits[-2].relevance > 0.8 > answer.hits[-1].relevance
    assert answer.good_match
    # With fewer candidates than photos, these are the ones that are farthest from it.
    few = Searcher(searcher.index, candidates=5).answer("no cats", 5)
    assert len(few.hits) == 5
    assert "chelsea.png" not in names(few)


def test_no_people_means_nobody(searcher: Searcher) -> None:
    nobody = searcher.answer("no people", PHOTOS)
    scores = dict(zip(names(nobody), score_of(nobody).values(), strict=True))
    # Behind those that it leaves.
    assert scores["astronaut.png"] < -50 < scores["motorcycle_left.png"]
    assert names(searcher.answer("photos without people", PHOTOS)) == names(searcher.answer("no people", PHOTOS))


def test_every_query_of_a_batch_has_its_own_negation(searcher: Searcher) -> None:
    texts = ["an animal, no cats", "a vehicle", "no motorcycles", "a vehicle without a motorcycle", "an animal"]
    singly = [searcher.answer(text, PHOTOS) for text in texts]
    together = searcher.answer_many([(str(i), text) for i, text in enumerate(texts)], PHOTOS)
    for one, other in zip(singly, together, strict=True):
        assert (one.text, one.notes, one.good_match) == (other.text, other.notes, other.good_match)
        assert score_of(one) == pytest.approx(score_of(other), abs=HALF)
    assert [names(result)[-1] for result in together[:4:2]] == ["chelsea.png", "motorcycle_left.png"]
    assert names(together[1])[0] == "motorcycle_left.png" == names(together[3])[-1]
    assert names(together[4])[-1] != "chelsea.png"


def test_a_policy_reads_a_query_as_typed_and_as_searched(guarded: tuple[Path, Searcher]) -> None:
    folder, searcher = guarded
    texts = [
        "chlidren play",  # mended to what is blocked
        "a photo of a boy",
        "a street without children",  # as typed it holds a term
        "no kids",
        "show me BOYS",
        "grils",
        "two men, no dogs",
        "high mountains, no people, school",
    ]
    results = searcher.answer_many([(text, text) for text in texts], 3)
    blocked = [result.text for result in results if result.blocked == MINORS]
    assert blocked == [text for text in texts if text not in ("two men, no dogs", "high mountains, no people, school")]
    assert all(result.hits == () and result.notes == () for result in results if result.blocked)
    logged = [(entry["query"], entry["words"]) for entry in AuditLog(folder).entries() if entry["event"] == "query"]
    assert logged[0] == ("chlidren play", "children")
    assert [query for query, _ in logged] == blocked


def test_what_stripping_joins_is_read_by_the_policy(guarded: tuple[Path, Searcher]) -> None:
    _, searcher = guarded
    text = "high (no cars) school"
    assert not searcher.moderation.policy.blocks(text)
    assert searcher.answer(text).blocked == MINORS


@pytest.mark.parametrize("text", ["photo", "no", "the", "show me pictures"])
def test_a_query_that_names_nothing_is_no_good_match(searcher: Searcher, text: str) -> None:
    result = searcher.answer(text)
    assert (result.good_match, result.match_probability) == (False, 0.0)
    assert result.hits
    assert NOTHING_NAMED_NOTE in result.notes
