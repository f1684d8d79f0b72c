"""Words as examples: which words are asked, and with which photos."""

from dataclasses import replace

import numpy as np
import pytest

from indexer.encoders import Tokens
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.joint_space import candidate_scores
from reranker.training.examples.example_lists import ExampleSettings
from reranker.training.examples.galleries import Gallery
from reranker.training.examples.word_examples import WordQueries, word_examples, word_queries
from tiny_gallery import PHOTOS, described_photos, pair_features_of, space_of, whole
from tiny_judged import WORDS, StubTextEncoder, made


@pytest.fixture
def features() -> EmbeddedJudgments:
    return described_photos()


SAID = ("dog", "dog and cat", "cat", "a sea", "the dog", "xy dog", "and the", "snow")


def said(features: EmbeddedJudgments) -> EmbeddedJudgments:
    """Eight photos of one caption each, and of photo 0 a second that says "dog", too."""
    part = made(8, seed=0)[0]
    owner = np.array([0, 1, 2, 3, 4, 5, 6, 7, 0, *[-1] * 23])
    return replace(part, texts=(*SAID, "Dogs or a DOG", *["dog"] * 23), owner=owner)


def test_words_of_enough_captions_are_queries_in_two_forms_by_turns(features: EmbeddedJudgments):
    ears = StubTextEncoder()
    words = word_queries(said(features), ears, ExampleSettings(min_word_captions=2))
    # "and" is of two captions, too, but says nothing; captions of no photo here do not count.
    assert words.texts == ("a photo of a cat", "dog")
    np.testing.assert_allclose(words.t, StubTextEncoder().encode(words.texts))
    assert words.tokens.pieces.tolist() == [WORDS.index("cat"), WORDS.index("dog")]
    # A photo fits by half a caption that says the word, and whole by two.
    assert words.fits[0].tolist() == [0, 0.5, 0.5, 0, 0, 0, 0, 0]
    assert words.fits[1].tolist() == [1, 0.5, 0, 0, 0.5, 0.5, 0, 0]


def test_words_that_are_too_rare_or_too_short_are_no_queries(features: EmbeddedJudgments):
    words = word_queries(said(features), StubTextEncoder(), ExampleSettings(min_word_captions=50))
    assert (words.texts, words.t.shape, words.fits.shape, len(words.tokens)) == ((), (0, 30), (0, 8), 0)
    assert "xy" not in word_queries(said(features), StubTextEncoder(), ExampleSettings(min_word_captions=1)).texts


def test_words_are_paired_with_photos_that_fit_with_candidates_and_at_random(features: EmbeddedJudgments):
    gallery = whole(features)
    fits = np.zeros((2, PHOTOS), np.float32)
    fits[0, [1, 5]], fits[1, 20] = (1, 0.5), 1
    words = WordQueries(("one", "two"), features.t[[7, 30]], Tokens.none(2), fits)
    settings = ExampleSettings(pairs_per_word=9, word_weight=0.25)
    pairs = word_examples(words, gallery, settings, np.random.default_rng(0), 100)
    assert set(pairs.text_rows.tolist()) == {100, 101}
    assert set(pairs.weights.tolist()) == {0.25}
    scores = candidate_scores(gallery.encoded_photos, gallery.encode_captions(features, np.array([7, 30])))
    for word in range(2):
        photos = pairs.photo_rows[pairs.text_rows == 100 + word, 0]
        assert len(set(photos.tolist())) == len(photos) <= 9
        assert set(np.flatnonzero(fits[word])) <= set(photos.tolist())
        near = set(np.argsort(-scores[word])[:12].tolist())
        assert len(near & set(photos.tolist())) >= 3
        assert np.array_equal(pairs.targets[pairs.text_rows == 100 + word, 0], fits[word, photos])
    row = int(np.flatnonzero((pairs.photo_rows[:, 0] == 5) & (pairs.text_rows == 100))[0])
    np.testing.assert_allclose(pairs.pair_features[row, 0], pair_features_of(features, 5, 7), atol=1e-5)


def test_words_are_paired_with_photos_of_the_gallery_only(features: EmbeddedJudgments):
    odd = Gallery.of(features, np.arange(1, PHOTOS, 2), space_of(features))
    words = WordQueries(("one",), features.t[[7]], Tokens.none(1), np.ones((1, PHOTOS), np.float32))
    pairs = word_examples(words, odd, ExampleSettings(), np.random.default_rng(0), 0)
    assert (pairs.photo_rows % 2 == 1).all()
    assert (pairs.targets == 1).all()
