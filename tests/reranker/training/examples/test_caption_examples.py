"""Captions as examples: which photos a caption is listed with, and with which targets and weights."""

from dataclasses import replace

import numpy as np
import pytest

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.joint_space import PAIR_FEATURES, candidate_scores
from reranker.training.examples.example_lists import ExampleLists, ExampleSettings
from reranker.training.examples.galleries import Gallery, fold_galleries
from tiny_gallery import PHOTOS, described_photos, listed, space_of, whole

FOLD_OF = np.arange(PHOTOS) % 2
HELD = np.arange(PHOTOS) >= 16


@pytest.fixture
def features() -> EmbeddedJudgments:
    return described_photos()


def test_each_caption_comes_first_with_its_photo_then_with_others_of_the_same_fold_and_side(
    features: EmbeddedJudgments,
):
    settings = ExampleSettings(mined_negatives=3, mining_depth=4, random_negatives=2)
    for _, gallery in fold_galleries(features, FOLD_OF, HELD, [space_of(features)] * 2):
        lists = listed(features, gallery, settings)
        rows = np.flatnonzero(np.isin(features.owner, gallery.photos))
        assert lists.text_rows.tolist() == rows.tolist()
        assert lists.photo_rows.shape == (len(rows), 1 + 3 + 2)
        assert np.array_equal(lists.photo_rows[:, 0], features.owner[rows])
        assert (lists.photo_rows[:, 1:] != lists.photo_rows[:, :1]).all()
        assert np.isin(lists.photo_rows, gallery.photos).all()
        assert (lists.targets[:, 0] == 1).all()
        assert (lists.targets[:, 1:] < 1).all()
        assert (lists.weights == 1).all()


def test_mined_photos_are_different_ones_of_the_first_candidates(features: EmbeddedJudgments):
    gallery = whole(features)
    lists = listed(features, gallery, ExampleSettings(mined_negatives=4, mining_depth=6, random_negatives=0))
    scores = candidate_scores(gallery.encoded_photos, gallery.encode_captions(features, lists.text_rows))
    for row, photos in enumerate(lists.photo_rows):
        order = [photo for photo in np.argsort(-scores[row]) if photo != photos[0]]
        assert set(photos[1:].tolist()) <= set(order[:6])
        assert len(set(photos.tolist())) == 5
    others = listed(features, gallery, ExampleSettings(mined_negatives=4, mining_depth=6, random_negatives=0), 1)
    assert not np.array_equal(lists.photo_rows, others.photo_rows)


def test_a_gallery_with_fewer_photos_than_are_mined_gives_lists_of_the_same_length(features: EmbeddedJudgments):
    settings = ExampleSettings(mined_negatives=5, mining_depth=50, random_negatives=1)
    parts = [listed(features, Gallery.of(features, np.arange(n), space_of(features)), settings) for n in (2, 4, 20)]
    assert [part.photo_rows.shape[1] for part in parts] == [7, 7, 7]
    assert len(ExampleLists.join(parts)) == 2 * (2 + 4 + 20)
    assert (parts[0].photo_rows[:, 1:] == 1 - parts[0].photo_rows[:, :1]).all()
    for photos in parts[1].photo_rows:
        assert set(photos.tolist()) == {0, 1, 2, 3}
    for photos in parts[2].photo_rows:
        assert len(set(photos[:6].tolist())) == 6


def test_a_gallery_without_captions_gives_no_lists(features: EmbeddedJudgments):
    alone = replace(features, owner=np.where(features.owner < 20, features.owner, -1))
    lists = listed(alone, Gallery.of(alone, np.arange(20, 24), space_of(features)), ExampleSettings())
    assert lists.photo_rows.shape == (0, 12)
    assert lists.pair_features.shape == (0, 12, len(PAIR_FEATURES))


def test_a_photo_whose_captions_say_the_same_is_no_true_negative(features: EmbeddedJudgments):
    lists = listed(features, whole(features), ExampleSettings(mined_negatives=23, mining_depth=23, random_negatives=0))
    of_first = dict(zip(lists.photo_rows[0].tolist(), lists.targets[0].tolist(), strict=True))
    assert sorted(of_first) == list(range(PHOTOS))
    assert of_first[1] > max(target for photo, target in of_first.items() if photo > 1)


def test_with_one_caption_a_photo_there_is_nothing_to_judge_negatives_by(features: EmbeddedJudgments):
    single = replace(features, owner=np.where(np.arange(2 * PHOTOS) % 2, -1, features.owner))
    lists = listed(single, whole(single), ExampleSettings(mined_negatives=3, mining_depth=9, random_negatives=1))
    assert lists.targets.tolist() == [[1, 0, 0, 0, 0]] * PHOTOS
