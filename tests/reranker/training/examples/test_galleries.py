"""Galleries: photos of one fold and one side, and their candidate scores."""

from dataclasses import replace

import numpy as np
import pytest

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.joint_space import candidate_scores
from reranker.training.examples.galleries import captions_of_photos, fold_galleries
from tiny_gallery import PHOTOS, described_photos, space_of, whole
from tiny_judged import made

FOLD_OF = np.arange(PHOTOS) % 2
HELD = np.arange(PHOTOS) >= 16


@pytest.fixture
def features() -> EmbeddedJudgments:
    return described_photos()


def test_galleries_part_folds_and_sides_and_have_two_photos_or_more(features: EmbeddedJudgments):
    spaces = [space_of(features), space_of(features)]
    found = list(fold_galleries(features, FOLD_OF, HELD, spaces))
    assert [held for held, _ in found] == [False, True, False, True]
    for (held, gallery), fold in zip(found, (0, 0, 1, 1), strict=True):
        assert gallery.photos.tolist() == [i for i in range(PHOTOS) if i % 2 == fold and (i >= 16) == held]
        assert gallery.joint_space is spaces[fold]
        np.testing.assert_allclose(gallery.encoded_photos.z[:, :4], features.x[gallery.photos], atol=1e-6)
    lonely = np.arange(PHOTOS) == 3
    assert [held for held, _ in fold_galleries(features, FOLD_OF, lonely, spaces)] == [False, False]


def test_candidate_scores_are_the_product_with_photos_and_their_hub_term(features: EmbeddedJudgments):
    gallery = whole(features)
    scores = candidate_scores(gallery.encoded_photos, gallery.encode_captions(features, np.arange(5)))
    cosine = features.t[:5] @ features.x.T
    np.testing.assert_allclose(scores, 1.25 * cosine - 0.5 * gallery.encoded_photos.hubness, atol=1e-5)


def test_captions_within_are_those_of_some_photos_by_their_place_among_them():
    features = made(12, seed=0)[0]
    rows, photo = captions_of_photos(features, np.array([3, 7]))
    assert rows.tolist() == [12, 13, 14, 15, 28, 29, 30, 31]
    assert photo.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    unowned = replace(features, owner=np.where(np.arange(48) == 13, -1, features.owner))
    assert captions_of_photos(unowned, np.array([3, 7]))[0].tolist() == [12, 14, 15, 28, 29, 30, 31]
