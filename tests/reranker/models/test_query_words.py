"""The words of a query: how many, how rare, and how many of them captions say or the ranker knows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reranker.models.lexical_features import LexicalFeatures
from reranker.models.query_words import QUERY_WORDS, KnownWords, query_words

LEXICAL = LexicalFeatures(("bus", "cat", "dog"), np.float32([4, 2, 1]), 0.5)
KNOWN = KnownWords(("dog", "a", "bus", "boy", "grass", "violin", "cat"))


def described(text: str, lexical: LexicalFeatures = LEXICAL, known: KnownWords = KNOWN) -> dict[str, float]:
    """Return what is said of a text, by name."""
    return dict(zip(QUERY_WORDS, query_words([text], lexical, known)[0].tolist(), strict=True))


def test_words_are_known_as_they_are_and_in_their_plural():
    for word in ("dog", "dogs", "buses", "bus", "grass"):
        assert word in KNOWN, word
    # One ending is taken off, and nothing is added: what is known as a plural alone is known as that alone.
    for word in ("do", "dogss", "cow", "violinists", ""):
        assert word not in KNOWN, word
    assert "horse" not in KnownWords(("horses",))
    # Of "es" the "e" may belong to the word.
    assert "horses" in KnownWords(("horse",))


def test_the_known_share_is_over_all_words_of_a_text():
    assert KNOWN.share("Two DOGS on a bus") == 3 / 5
    assert KNOWN.share("a dog a dog a cow") == 5 / 6
    assert KNOWN.share("qwertz") == 0.0
    assert KNOWN.share("12 _ !") == 0.0
    assert KNOWN.share("") == 0.0


def test_a_ranker_that_keeps_no_words_takes_every_text_for_known():
    assert [KnownWords().share(text) for text in ("qwertz", "a dog", "")] == [1.0, 1.0, 1.0]


def test_words_are_compared_by_what_they_are():
    assert KnownWords(("dog", "cat")) == KnownWords(("dog", "cat")) != KnownWords(("cat", "dog"))
    assert repr(KnownWords(("dog",))) == "KnownWords(words=('dog',))"


def test_a_query_is_described_by_count_rarity_and_shares():
    # Four words; "the" is a stop word, "and" too. All others are captioned; the rarest has idf 2.
    assert described("the dog and cat") == pytest.approx(
        {"word_count": np.log(5) / 2, "rarity": 2 / 8, "captioned": 1.0, "known": 2 / 4}
    )
    # Captions say "bus" and not "violin": half of the words, and a word that they never say is as rare as "bus", at 4.
    assert described("bus violin") == pytest.approx(
        {"word_count": np.log(3) / 2, "rarity": 4 / 8, "captioned": 0.5, "known": 1.0}
    )
    assert described("dog violin")["rarity"] == 4 / 8


def test_the_same_word_twice_is_counted_twice_and_captioned_once():
    assert described("dog dog violin") == pytest.approx(
        {"word_count": np.log(4) / 2, "rarity": 4 / 8, "captioned": 0.5, "known": 1.0}
    )


def test_a_query_without_words_or_of_stop_words_alone_is_rare_and_captioned_nowhere():
    assert described("12 !") == pytest.approx({"word_count": 0, "rarity": 4 / 8, "captioned": 0, "known": 0})
    assert described("a") == pytest.approx({"word_count": np.log(2) / 2, "rarity": 4 / 8, "captioned": 0, "known": 1})


def test_a_space_without_a_vocabulary_says_how_many_words_there_are():
    assert described("two dogs", LexicalFeatures.none(), KnownWords()) == pytest.approx(
        {"word_count": np.log(3) / 2, "rarity": 0, "captioned": 0, "known": 1}
    )


@given(st.lists(st.text(max_size=40), max_size=6))
def test_queries_are_described_one_by_one_and_shares_are_shares(texts):
    found = query_words(texts, LEXICAL, KNOWN)
    assert (found.shape, found.dtype) == ((len(texts), 4), np.float32)
    for row, text in zip(found, texts, strict=True):
        assert np.array_equal(row, query_words([text], LEXICAL, KNOWN)[0])
    assert (found[:, 2:] >= 0).all()
    assert (found[:, 2:] <= 1).all()
    assert np.isin(found[:, 1], np.float32([1, 2, 4]) / 8).all()
