"""Phrases as examples: which words and phrases are asked, and with which photos."""

from dataclasses import replace

import numpy as np
import pytest

from indexer.encoders import Tokens
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.joint_space import candidate_scores
from reranker.training.examples.encoded_texts import EncodedTexts
from reranker.training.examples.example_lists import ExampleSettings
from reranker.training.examples.galleries import Gallery
from reranker.training.examples.phrase_examples import (
    Phrases,
    find_phrases,
    phrase_pairs,
    phrases_of,
)
from tiny_gallery import PHOTOS, described_photos, pair_features_of, space_of, whole
from tiny_judged import WORDS, StubTextEncoder, made

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def features() -> EmbeddedJudgments:
    return described_photos()


SAID = ("dog", "dog and cat", "cat", "a red car", "the dog", "xy dog", "and the", "red car")


def said(features: EmbeddedJudgments) -> EmbeddedJudgments:
    """Eight photos of one caption each, and of photo 0 two more that say "dog", too."""
    part = made(8, seed=0)[0]
    owner = np.array([0, 1, 2, 3, 4, 5, 6, 7, 0, 0, *[-1] * 22])
    return replace(part, texts=(*SAID, "Dogs or a DOG, a dog", "dog", *["dog"] * 22), owner=owner)


@pytest.mark.parametrize(
    ("caption", "phrases"),
    [
        ("A man in a RED jacket .", ["man", "red", "jacket", "red jacket"]),
        ("two big dogs", ["big", "dogs", "big dogs"]),
        ("big old dogs", ["big", "old", "big old", "dogs", "old dogs"]),
        # A word of two letters is no word that is asked, but part of a phrase.
        ("an ox cart", ["cart", "ox cart"]),
        ("dog , dog", ["dog", "dog", "dog dog"]),
        ("the one with the other", []),
        ("", []),
    ],
)
def test_phrases_are_words_that_name_something_and_every_two_side_by_side(caption: str, phrases: list[str]):
    assert list(phrases_of(caption)) == phrases


def test_phrases_of_enough_photos_are_queries_in_two_forms_by_turns(features: EmbeddedJudgments):
    phrases = find_phrases(said(features), StubTextEncoder(), 2)
    # "and" is of two photos, too, but says nothing; captions of no photo here do not count.
    texts = ("a photo of a car", "cat", "a photo of a dog", "red", "a photo of a red car")
    assert (phrases.texts.texts, len(phrases)) == (texts, 5)
    np.testing.assert_allclose(phrases.texts.t, StubTextEncoder().encode(list(texts)), atol=0.01)
    known = [WORDS.index(word) for word in ("car", "cat", "dog")]
    assert phrases.texts.tokens.pieces.tolist() == [*known, len(WORDS), WORDS.index("car")]
    # How many captions of a photo say it, two at most: photo 0 has three that say "dog".
    of_dog, of_red_car = phrases.said[2], phrases.said[4]
    assert of_dog.tolist() == [2, 1, 0, 0, 1, 1, 0, 0]
    assert of_red_car.tolist() == [0, 0, 0, 1, 0, 0, 0, 1]
    # A photo fits by half a caption that says the word, and whole by two.
    assert phrases.fits[2].tolist() == [1, 0.5, 0, 0, 0.5, 0.5, 0, 0]
    assert (phrases.said.dtype, phrases.fits.dtype) == (np.uint8, np.float32)


def test_phrases_of_too_few_photos_are_no_queries(features: EmbeddedJudgments):
    none = find_phrases(said(features), StubTextEncoder(), 5)
    assert (none.texts.texts, len(none), none.texts.t.shape, none.said.shape) == ((), 0, (0, 30), (0, 8))
    # Three captions of photo 0 are of one photo.
    assert find_phrases(said(features), StubTextEncoder(), 4).texts.texts == ("a photo of a dog",)


def phrases_at(features: EmbeddedJudgments, captions: list[int], said: np.ndarray) -> Phrases:
    """Make phrases whose text vectors are those of captions."""
    texts = tuple(f"phrase {caption}" for caption in captions)
    return Phrases(EncodedTexts(texts, features.t[captions], Tokens.none(len(captions))), said)


def test_phrases_are_paired_with_photos_that_fit_with_candidates_and_at_random(features: EmbeddedJudgments):
    gallery = whole(features)
    counts = np.zeros((2, PHOTOS), np.uint8)
    counts[0, [1, 5]], counts[1, 20] = (2, 1), 2
    phrases = phrases_at(features, [7, 30], counts)
    settings = ExampleSettings(pairs_per_phrase=9, phrase_weight=0.25)
    pairs = phrase_pairs(phrases, gallery, settings, np.random.default_rng(0), 100)
    assert set(pairs.text_rows.tolist()) == {100, 101}
    assert set(pairs.weights.tolist()) == {0.25}
    scores = candidate_scores(gallery.encoded_photos, gallery.encode_captions(features, np.array([7, 30])))
    for place in range(2):
        photos = pairs.photo_rows[pairs.text_rows == 100 + place, 0]
        assert len(set(photos.tolist())) == len(photos) <= 9
        assert set(np.flatnonzero(counts[place])) <= set(photos.tolist())
        near = set(np.argsort(-scores[place])[:12].tolist())
        assert len(near & set(photos.tolist())) >= 3
        assert pairs.targets[pairs.text_rows == 100 + place, 0].tolist() == (counts[place, photos] / 2).tolist()
    row = int(np.flatnonzero((pairs.photo_rows[:, 0] == 5) & (pairs.text_rows == 100))[0])
    np.testing.assert_allclose(pairs.pair_features[row, 0], pair_features_of(features, 5, 7), atol=1e-5)


def test_phrases_are_paired_with_photos_of_the_gallery_only(features: EmbeddedJudgments):
    odd = Gallery.of(features, np.arange(1, PHOTOS, 2), space_of(features))
    phrases = phrases_at(features, [7], np.full((1, PHOTOS), 2, np.uint8))
    pairs = phrase_pairs(phrases, odd, ExampleSettings(), np.random.default_rng(0), 0)
    assert (pairs.photo_rows % 2 == 1).all()
    assert (pairs.targets == 1).all()
