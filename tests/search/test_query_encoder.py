"""Notes on a query: that the ranker knows none of its words."""

from dataclasses import replace

from reranker.models.query_words import KnownWords
from reranker.ranker import Ranker
from search.query_encoder import NOTHING_KNOWN, QueryEncoder


def test_a_query_of_unknown_words_is_noted_and_one_of_known_words_is_not() -> None:
    ranker = Ranker.default()
    space = replace(ranker.joint_space, known_words=KnownWords(("dog", "a", "red")))
    encoder = QueryEncoder(replace(ranker, joint_space=space), with_tokens=False)
    for text in ("собака", "砂浜で遊ぶ子供たち", "asdfghjkl", "12345"):
        assert encoder.notes(text) == (NOTHING_KNOWN,)
    for text in ("a dog", "DOGS", "asdfghjkl and a dog"):
        assert encoder.notes(text) == ()


def test_a_ranker_without_known_words_says_nothing_of_them() -> None:
    ranker = Ranker.default()
    space = replace(ranker.joint_space, known_words=KnownWords())
    assert QueryEncoder(replace(ranker, joint_space=space), with_tokens=False).notes("собака") == ()
