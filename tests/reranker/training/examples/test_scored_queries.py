"""Scored queries: captions and other texts among a gallery's photos, as a search ranks them."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from reranker.models.class_names import GATE_FEATURES, ClassNameHead
from reranker.models.joint_space import PAIR_FEATURES, candidate_scores
from reranker.models.linear_map import unit
from reranker.models.mlp import MLP
from reranker.ranker import gated_scores
from reranker.training.examples.galleries import Gallery
from reranker.training.examples.scored_queries import Scorer, score_captions, score_texts
from tiny_validation import GOOD, LATE, SCORER, Validation, pair_features_of, validation

pytestmark = pytest.mark.usefixtures("one_thread", "cache")


@pytest.fixture(scope="module")
def given(cache: Path) -> Validation:
    return validation()


def test_every_caption_of_a_gallerys_photos_is_asked_and_its_own_photo_fits(given: Validation):
    for gallery in given.held:
        asked = score_captions(given.features, gallery, Scorer(LATE))
        assert not asked.relevance.any()
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


def test_every_phrase_is_asked_and_photos_whose_captions_say_it_fit(given: Validation):
    gallery = given.held[1]
    asked = score_texts(given.features, given.phrases.texts, given.phrases.said > 0, gallery, Scorer(GOOD))
    said = [text.removeprefix("a photo of a ") for text in given.phrases.texts.texts]
    owned = [set(np.flatnonzero(given.features.owner == photo)) for photo in gallery.photos]
    expected = [[any(word in given.features.texts[row].split() for row in rows) for rows in owned] for word in said]
    assert len(said) == 8
    assert asked.fits.tolist() == expected
    texts = given.phrases.texts
    query = gallery.joint_space.encode_queries(texts.t, texts.texts, texts.tokens)
    np.testing.assert_allclose(asked.candidate_scores, candidate_scores(gallery.encoded_photos, query), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(asked.t, axis=1), 1, atol=1e-6)


def test_relevance_is_calibrated_from_the_logits_of_its_mlp(given: Validation):
    gallery = given.held[1]
    asked = score_captions(given.features, gallery, SCORER)
    pair_features, _ = pair_features_of(given, gallery)
    late, cosine = (pair_features[..., PAIR_FEATURES.index(name)] for name in ("late", "cosine"))
    np.testing.assert_allclose(asked.ranking_scores, cosine, atol=1e-5)
    # The temperature is a half, the bias a quarter.
    np.testing.assert_allclose(asked.relevance, 1 / (1 + np.exp(-(2 * late + 0.25))), atol=1e-5)


def test_texts_of_no_gallery_fit_nothing_there(given: Validation):
    none = np.zeros((len(given.phrases), 80), bool)
    asked = score_texts(given.features, given.phrases.texts, none, given.held[1], SCORER)
    assert asked.fits.shape == (8, 10)
    assert not asked.fits.any()


def test_an_order_is_asked_as_it_will_sort_the_hits(given: Validation):
    generator = np.random.default_rng(0)
    learned = MLP(*(generator.standard_normal(getattr(GOOD, f.name).shape).astype(np.float32) for f in fields(MLP)))
    A, keys, values = (generator.standard_normal(shape).astype(np.float32) for shape in ((40, 3), (5, 30), (5, 3)))
    gate = np.zeros(30 + len(GATE_FEATURES), np.float32)
    half_open = ClassNameHead(A, np.zeros(3, np.float32), unit(keys), unit(values), gate, gate)
    named = replace(given.joint_space, class_names=half_open)
    gallery = Gallery.of(given.features, given.held[1].photos, named)
    asked = score_texts(given.features, given.phrases.texts, given.phrases.said > 0, gallery, Scorer(learned))
    assert asked.queries.gate == pytest.approx([0.5] * 8)
    for word in range(8):
        pair_features = named.pair_features(gallery.encoded_photos, asked.queries, word)
        parts = learned.photo_part(given.features.x[gallery.photos]), learned.text_part(asked.t[word : word + 1])[0]
        logits = learned.logits(*parts, pair_features)
        sorting = gated_scores(logits, pair_features, named)
        np.testing.assert_allclose(asked.ranking_scores[word], sorting, atol=1e-4)
        both = 0.5 * logits + 0.5 * 10 * asked.candidate_scores[word]
        np.testing.assert_allclose(asked.ranking_scores[word], both, atol=1e-4)
