"""Scored queries: captions and words among a gallery's photos, as a search ranks them."""

from dataclasses import fields, replace

import numpy as np
import pytest

from reranker.models.class_names import ClassNameHead
from reranker.models.joint_space import PAIR_FEATURES, candidate_scores
from reranker.models.linear_map import unit
from reranker.models.mlp import MLP
from reranker.ranker import gated_scores
from reranker.training.examples.galleries import Gallery
from reranker.training.examples.scored_queries import score_captions, score_words
from tiny_validation import GOOD, LATE, Validation, pair_features_of, validation

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def given(one_thread: None) -> Validation:
    return validation()


def test_every_caption_of_a_gallerys_photos_is_asked_and_its_own_photo_fits(given: Validation):
    for gallery in given.held:
        asked = score_captions(given.features, gallery, LATE)
        pair_features, own = pair_features_of(given, gallery)
        # Seven of eight captions have an owner.
        assert len(own) == len(gallery.photos) * 7 // 2
        assert np.array_equal(asked.fits, own[:, None] == np.arange(len(gallery.photos)))
        np.testing.assert_allclose(asked.ranking_scores, pair_features[..., PAIR_FEATURES.index("late")], atol=1e-6)
        np.testing.assert_allclose(
            asked.candidate_scores, gallery.joint_space.candidate_scores_of(pair_features), atol=1e-5
        )
        rows = np.flatnonzero(np.isin(given.features.owner, gallery.photos))
        np.testing.assert_allclose(asked.t, unit(given.features.t[rows]), atol=1e-6)


def test_every_usual_word_is_asked_and_photos_whose_captions_say_it_fit(given: Validation):
    gallery = given.held[1]
    asked = score_words(given.features, given.words, gallery, GOOD)
    said = [text.removeprefix("a photo of a ") for text in given.words.texts]
    owned = [set(np.flatnonzero(given.features.owner == photo)) for photo in gallery.photos]
    expected = [[any(word in given.features.texts[row].split() for row in rows) for rows in owned] for word in said]
    assert len(said) == 8
    assert asked.fits.tolist() == expected
    query = gallery.joint_space.encode_queries(given.words.t, given.words.texts, given.words.tokens)
    np.testing.assert_allclose(asked.candidate_scores, candidate_scores(gallery.encoded_photos, query), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(asked.t, axis=1), 1, atol=1e-6)


def test_an_order_is_asked_as_it_will_sort_the_hits(given: Validation):
    generator = np.random.default_rng(0)
    learned = MLP(*(generator.standard_normal(getattr(GOOD, f.name).shape).astype(np.float32) for f in fields(MLP)))
    A, keys, values = (generator.standard_normal(shape).astype(np.float32) for shape in ((40, 3), (5, 30), (5, 3)))
    half_open = ClassNameHead(A, np.zeros(3, np.float32), unit(keys), unit(values), np.zeros(32, np.float32))
    named = replace(given.joint_space, class_names=half_open)
    gallery = Gallery.of(given.features, given.held[1].photos, named)
    asked = score_words(given.features, given.words, gallery, learned)
    assert asked.queries.gate == pytest.approx([0.5] * 8)
    for word in range(8):
        pair_features = named.pair_features(gallery.encoded_photos, asked.queries, word)
        parts = learned.photo_part(given.features.x[gallery.photos]), learned.text_part(asked.t[word : word + 1])[0]
        logits = learned.logits(*parts, pair_features)
        sorting = gated_scores(logits, pair_features, named)
        np.testing.assert_allclose(asked.ranking_scores[word], sorting, atol=1e-4)
        both = 0.5 * logits + 0.5 * 10 * asked.candidate_scores[word]
        np.testing.assert_allclose(asked.ranking_scores[word], both, atol=1e-4)
