"""Texts with their vectors: encoded, taken, and asked as queries of a space."""

import numpy as np
import pytest

from indexer.encoders import Tokens
from reranker.training.examples.encoded_texts import EncodedTexts
from tiny_judged import TEXT_DIRECTIONS, WORDS, StubTextEncoder
from tiny_space import inputs, make_space


@pytest.mark.usefixtures("cache")
def test_texts_are_encoded_once_and_then_read_from_the_cache():
    first, again = StubTextEncoder(), StubTextEncoder()
    texts = EncodedTexts.of(["dog", "cat and dog"], first)
    assert (texts.texts, len(texts)) == (("dog", "cat and dog"), 2)
    assert first.asked == ["dog", "cat and dog"]
    # The cache keeps float16.
    np.testing.assert_array_equal(texts.t[0], TEXT_DIRECTIONS[0].astype(np.float16).astype(np.float32))
    dog, cat = WORDS.index("dog"), WORDS.index("cat")
    assert (texts.tokens.pieces.tolist(), texts.tokens.offsets.tolist()) == ([dog, cat, dog], [0, 1, 3])
    assert np.array_equal(EncodedTexts.of(["dog", "cat and dog"], again).t, texts.t)
    assert again.asked == []


def test_texts_are_taken_by_their_places():
    given = inputs()
    taken = EncodedTexts(given.texts, given.t, given.tokens).take(np.array([2, 0]))
    assert taken.texts == (given.texts[2], given.texts[0])
    assert np.array_equal(taken.t, given.t[[2, 0]])
    # Three pieces of the third text, two of the first.
    assert taken.tokens.pieces.tolist() == [9, 9, 1, 3, 8]
    assert taken.tokens.offsets.tolist() == [0, 3, 5]
    none = EncodedTexts(given.texts, given.t, given.tokens).take(np.zeros(0, np.int64))
    assert (none.texts, len(none), none.t.shape) == ((), 0, (0, given.t.shape[1]))


def test_texts_are_encoded_by_a_space_as_any_queries():
    joint_space, given = make_space(), inputs()
    asked = EncodedTexts(given.texts, given.t, given.tokens).encode(joint_space)
    plain = joint_space.encode_queries(given.t, given.texts, given.tokens)
    for part in ("heads", "gate", "candidate", "query_hubness", "query_words"):
        assert np.array_equal(getattr(asked, part), getattr(plain, part)), part
    assert np.array_equal(asked.words.vectors, plain.words.vectors)
    assert EncodedTexts((), given.t[:0], Tokens.none(0)).encode(joint_space).gate.shape == (0,)
