"""What the MLPs learn from: which photos a caption is listed with, with which targets, weights and scalars."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.encoders import Tokens
from reranker.judgments.aggregate import AGGREGATIONS, Aggregation
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.judged_folder import CrowdRow, ExpertRow, Judgments
from reranker.models.class_names import ClassNameHead
from reranker.models.joint_space import PAIR_FEATURES, Hubness, JointSpace
from reranker.models.lexical_features import LexicalFeatures
from reranker.models.linear_map import LinearMap, unit
from reranker.models.mlp import Lists
from reranker.training.examples import (
    Gallery,
    PairSettings,
    WordQueries,
    candidate_scores,
    caption_lists,
    galleries,
    judged_pairs,
    own_only,
    word_pairs,
    word_queries,
)
from tiny_judged import WORDS, Ears, made

PHOTOS = 24
FOLD_OF = np.arange(PHOTOS) % 2
HELD = np.arange(PHOTOS) >= 16
EYE = np.eye(4, dtype=np.float32)
PLAIN = LinearMap(EYE, np.zeros(4, np.float32), EYE, np.zeros(4, np.float32))


def space_of(features: EmbeddedJudgments) -> JointSpace:
    """Both maps leave vectors as they are; no names, no words, no regions; the captions are the bank."""
    captions = np.concatenate([unit(features.t), unit(features.t)], axis=1)
    hubness_bank = Hubness.fit(captions, np.concatenate([features.x, 0.25 * features.x], axis=1))
    return JointSpace(
        PLAIN, PLAIN, ClassNameHead.none(4, 4), LexicalFeatures.none(), None, hubness_bank, np.zeros((4, 2), np.float32)
    )


@pytest.fixture
def features() -> EmbeddedJudgments:
    """24 photos with two captions each; photos 0 and 1 have captions that say exactly the same."""
    generator = np.random.default_rng(0)
    x = unit(generator.standard_normal((PHOTOS, 4)))
    owner = np.repeat(np.arange(PHOTOS), 2)
    t = unit(generator.standard_normal((PHOTOS, 4))[owner] + 0.1 * generator.standard_normal((2 * PHOTOS, 4)))
    t[:4] = t[0]
    names = tuple(f"{i}.jpg" for i in range(PHOTOS))
    captions = tuple(f"{names[photo]}#{n % 2}" for n, photo in enumerate(owner))
    return EmbeddedJudgments(names, x, captions, captions, t, owner, Tokens.none(len(owner)))


def judgments_of(
    features: EmbeddedJudgments, expert: tuple[ExpertRow, ...] = (), crowd: tuple[CrowdRow, ...] = ()
) -> Judgments:
    photos = {name: Path(name) for name in features.photos}
    captions = dict(zip(features.captions, features.texts, strict=True))
    return Judgments(Path("judged"), photos, {}, {}, captions, expert, crowd)


def whole(features: EmbeddedJudgments) -> Gallery:
    return Gallery.of(features, np.arange(len(features.photos)), space_of(features))


def listed(features: EmbeddedJudgments, gallery: Gallery, settings: PairSettings, seed: int = 0) -> Lists:
    return caption_lists(features, gallery, settings, np.random.default_rng(seed))


def pair_features_of(features: EmbeddedJudgments, photo: int, caption: int) -> np.ndarray:
    """The scalars of one pair alone."""
    joint_space = space_of(features)
    query = joint_space.encode_queries(features.t[[caption]], [features.texts[caption]], Tokens.none(1))
    return joint_space.pair_features(joint_space.encode_photos(features.x[[photo]], None), query, 0)[0]


def test_galleries_part_folds_and_sides_and_have_two_photos_or_more(features: EmbeddedJudgments):
    spaces = [space_of(features), space_of(features)]
    found = list(galleries(features, FOLD_OF, HELD, spaces))
    assert [held for held, _ in found] == [False, True, False, True]
    for (held, gallery), fold in zip(found, (0, 0, 1, 1), strict=True):
        assert gallery.photos.tolist() == [i for i in range(PHOTOS) if i % 2 == fold and (i >= 16) == held]
        assert gallery.joint_space is spaces[fold]
        np.testing.assert_allclose(gallery.side.z[:, :4], features.x[gallery.photos], atol=1e-6)
    lonely = np.arange(PHOTOS) == 3
    assert [held for held, _ in galleries(features, FOLD_OF, lonely, spaces)] == [False, False]


def test_each_caption_comes_first_with_its_photo_then_with_others_of_the_same_fold_and_side(
    features: EmbeddedJudgments,
):
    settings = PairSettings(mined=3, mined_from=4, random=2)
    for _, gallery in galleries(features, FOLD_OF, HELD, [space_of(features)] * 2):
        lists = listed(features, gallery, settings)
        rows = np.flatnonzero(np.isin(features.owner, gallery.photos))
        assert lists.text.tolist() == rows.tolist()
        assert lists.photo.shape == (len(rows), 1 + 3 + 2)
        assert np.array_equal(lists.photo[:, 0], features.owner[rows])
        assert (lists.photo[:, 1:] != lists.photo[:, :1]).all()
        assert np.isin(lists.photo, gallery.photos).all()
        assert (lists.target[:, 0] == 1).all()
        assert (lists.target[:, 1:] < 1).all()
        assert (lists.weight == 1).all()


def test_mined_photos_are_different_ones_of_the_first_candidates(features: EmbeddedJudgments):
    gallery = whole(features)
    lists = listed(features, gallery, PairSettings(mined=4, mined_from=6, random=0))
    scores = candidate_scores(gallery.side, gallery.queries(features, lists.text))
    for row, photos in enumerate(lists.photo):
        order = [photo for photo in np.argsort(-scores[row]) if photo != photos[0]]
        assert set(photos[1:].tolist()) <= set(order[:6])
        assert len(set(photos.tolist())) == 5
    assert not np.array_equal(
        lists.photo, listed(features, gallery, PairSettings(mined=4, mined_from=6, random=0), 1).photo
    )


def test_a_gallery_with_fewer_photos_than_are_mined_gives_lists_of_the_same_length(features: EmbeddedJudgments):
    settings = PairSettings(mined=5, mined_from=50, random=1)
    parts = [listed(features, Gallery.of(features, np.arange(n), space_of(features)), settings) for n in (2, 4, 20)]
    assert [part.photo.shape[1] for part in parts] == [7, 7, 7]
    assert len(Lists.join(parts)) == 2 * (2 + 4 + 20)
    assert (parts[0].photo[:, 1:] == 1 - parts[0].photo[:, :1]).all()
    for photos in parts[1].photo:
        assert set(photos.tolist()) == {0, 1, 2, 3}
    for photos in parts[2].photo:
        assert len(set(photos[:6].tolist())) == 6


def test_a_gallery_without_captions_gives_no_lists(features: EmbeddedJudgments):
    alone = replace(features, owner=np.where(features.owner < 20, features.owner, -1))
    lists = listed(alone, Gallery.of(alone, np.arange(20, 24), space_of(features)), PairSettings())
    assert lists.photo.shape == (0, 12)
    assert lists.pair_features.shape == (0, 12, len(PAIR_FEATURES))


def test_a_photo_whose_captions_say_the_same_is_no_true_negative(features: EmbeddedJudgments):
    lists = listed(features, whole(features), PairSettings(mined=23, mined_from=23, random=0))
    of_first = dict(zip(lists.photo[0].tolist(), lists.target[0].tolist(), strict=True))
    assert sorted(of_first) == list(range(PHOTOS))
    assert of_first[1] > max(target for photo, target in of_first.items() if photo > 1)


def test_with_one_caption_a_photo_there_is_nothing_to_judge_negatives_by(features: EmbeddedJudgments):
    single = replace(features, owner=np.where(np.arange(2 * PHOTOS) % 2, -1, features.owner))
    lists = listed(single, whole(single), PairSettings(mined=3, mined_from=9, random=1))
    assert lists.target.tolist() == [[1, 0, 0, 0, 0]] * PHOTOS


def test_lists_that_measure_an_order_have_their_own_photo_as_the_only_right_one(features: EmbeddedJudgments):
    lists = listed(features, whole(features), PairSettings(mined=3, mined_from=9, random=1))
    strict = own_only(lists)
    assert strict.target.tolist() == [[1, 0, 0, 0, 0]] * (2 * PHOTOS)
    assert np.array_equal(strict.photo, lists.photo)
    assert lists.target[:, 1:].any()


def test_the_scalars_of_listed_and_judged_pairs_are_those_of_the_pair_alone(features: EmbeddedJudgments):
    lists = listed(features, whole(features), PairSettings(mined=3, mined_from=9, random=1))
    for row in (0, 17, 46):
        for column in range(5):
            alone = pair_features_of(features, lists.photo[row, column], lists.text[row])
            np.testing.assert_allclose(lists.pair_features[row, column], alone, atol=1e-5)
    crowd = tuple(CrowdRow(f"{p}.jpg", f"{c}.jpg#1", 2, 1) for p, c in [(3, 8), (9, 8), (23, 0)])
    pairs, _ = judged_pairs(features, judgments_of(features, crowd=crowd), whole(features), PairSettings())
    for row in range(3):
        alone = pair_features_of(features, pairs.photo[row, 0], pairs.text[row])
        np.testing.assert_allclose(pairs.pair_features[row, 0], alone, atol=1e-5)


def test_judged_pairs_carry_the_generalised_score_and_their_weight(features: EmbeddedJudgments):
    expert = (ExpertRow("0.jpg", "5.jpg#1", (3, 3, 2)), ExpertRow("2.jpg", "5.jpg#0", (1, 2, 3)))
    crowd = (CrowdRow("2.jpg", "7.jpg#0", 1, 3), CrowdRow("3.jpg", "7.jpg#0", 1, 3))
    settings = PairSettings(crowd_weight=2.0, expert_weight=8.0)
    even = Gallery.of(features, np.arange(0, PHOTOS, 2), space_of(features))
    pairs, by_experts = judged_pairs(features, judgments_of(features, expert, crowd), even, settings)
    # The experts of the second row all differ, so it is dropped; photo 3 is in another gallery. Grade 3 of 1..4 is
    # (3 - 1) / 3; 1 yes of 4 is 1 / 4.
    assert pairs.photo.tolist() == [[0], [2]]
    assert pairs.text.tolist() == [11, 14]
    assert pairs.target[:, 0].tolist() == [pytest.approx(2 / 3), 0.25]
    assert pairs.weight.tolist() == [8.0, 2.0]
    assert by_experts.tolist() == [True, False]


@pytest.mark.parametrize("aggregate", AGGREGATIONS.values())
def test_judged_pairs_carry_the_score_of_the_aggregation(features: EmbeddedJudgments, aggregate: Aggregation):
    grades = [(1, 1, 2), (4, 4, 4), (1, 2, 3), (2, 2, 3)]
    expert = tuple(ExpertRow(f"{i}.jpg", "5.jpg#0", grades[i % 4]) for i in range(12))
    crowd = tuple(CrowdRow(f"{i}.jpg", "5.jpg#0", i % 4, 3 - i % 4) for i in range(6, 20))
    judgments = judgments_of(features, expert, crowd)
    pairs, by_experts = judged_pairs(features, judgments, whole(features), PairSettings(aggregate=aggregate))
    scored = aggregate(expert, crowd)
    found = {
        (features.photos[photo], features.captions[text]): (target, graded)
        for photo, text, target, graded in zip(
            pairs.photo[:, 0], pairs.text, pairs.target[:, 0], by_experts, strict=True
        )
    }
    assert found == {pair: (pytest.approx(of.score), of.by_experts) for pair, of in scored.items()}


def test_without_judgments_there_are_no_judged_pairs_and_they_join_with_others(features: EmbeddedJudgments):
    pairs, by_experts = judged_pairs(features, judgments_of(features), whole(features), PairSettings())
    assert (len(pairs), by_experts.dtype, len(pairs.take(np.flatnonzero(by_experts)))) == (0, bool, 0)
    lists = listed(features, whole(features), PairSettings())
    joined = Lists.join([pairs, lists.pairs()])
    assert len(joined) == 2 * PHOTOS * 12
    assert (joined.photo.dtype, joined.text.dtype) == (np.int64, np.int64)
    assert {joined.pair_features.dtype, joined.target.dtype, joined.weight.dtype} == {np.dtype(np.float32)}


def test_candidate_scores_are_the_product_with_photos_and_their_hub_term(features: EmbeddedJudgments):
    gallery = whole(features)
    scores = candidate_scores(gallery.side, gallery.queries(features, np.arange(5)))
    cosine = features.t[:5] @ features.x.T
    np.testing.assert_allclose(scores, 1.25 * cosine - 0.5 * gallery.side.hubness, atol=1e-5)


SAID = ("dog", "dog and cat", "cat", "a sea", "the dog", "xy dog", "and the", "snow")


def said(features: EmbeddedJudgments) -> EmbeddedJudgments:
    """Eight photos of one caption each, and of photo 0 a second that says "dog", too."""
    part = made(8, seed=0)[0]
    owner = np.array([0, 1, 2, 3, 4, 5, 6, 7, 0, *[-1] * 23])
    return replace(part, texts=(*SAID, "Dogs or a DOG", *["dog"] * 23), owner=owner)


def test_words_of_enough_captions_are_queries_in_two_forms_by_turns(features: EmbeddedJudgments):
    ears = Ears()
    words = word_queries(said(features), ears, PairSettings(word_captions=2))
    # "and" is of two captions, too, but says nothing; captions of no photo here do not count.
    assert words.texts == ("a photo of a cat", "dog")
    np.testing.assert_allclose(words.t, Ears().encode(words.texts))
    assert words.tokens.pieces.tolist() == [WORDS.index("cat"), WORDS.index("dog")]
    # A photo fits by half a caption that says the word, and whole by two.
    assert words.fits[0].tolist() == [0, 0.5, 0.5, 0, 0, 0, 0, 0]
    assert words.fits[1].tolist() == [1, 0.5, 0, 0, 0.5, 0.5, 0, 0]


def test_words_that_are_too_rare_or_too_short_are_no_queries(features: EmbeddedJudgments):
    words = word_queries(said(features), Ears(), PairSettings(word_captions=50))
    assert (words.texts, words.t.shape, words.fits.shape, len(words.tokens)) == ((), (0, 30), (0, 8), 0)
    assert "xy" not in word_queries(said(features), Ears(), PairSettings(word_captions=1)).texts


def test_words_are_paired_with_photos_that_fit_with_candidates_and_at_random(features: EmbeddedJudgments):
    gallery = whole(features)
    fits = np.zeros((2, PHOTOS), np.float32)
    fits[0, [1, 5]], fits[1, 20] = (1, 0.5), 1
    words = WordQueries(("one", "two"), features.t[[7, 30]], Tokens.none(2), fits)
    settings = PairSettings(word_pairs=9, word_weight=0.25)
    pairs = word_pairs(words, gallery, settings, np.random.default_rng(0), 100)
    assert set(pairs.text.tolist()) == {100, 101}
    assert set(pairs.weight.tolist()) == {0.25}
    scores = candidate_scores(gallery.side, gallery.queries(features, np.array([7, 30])))
    for word in range(2):
        photos = pairs.photo[pairs.text == 100 + word, 0]
        assert len(set(photos.tolist())) == len(photos) <= 9
        assert set(np.flatnonzero(fits[word])) <= set(photos.tolist())
        near = set(np.argsort(-scores[word])[:12].tolist())
        assert len(near & set(photos.tolist())) >= 3
        assert np.array_equal(pairs.target[pairs.text == 100 + word, 0], fits[word, photos])
    row = int(np.flatnonzero((pairs.photo[:, 0] == 5) & (pairs.text == 100))[0])
    np.testing.assert_allclose(pairs.pair_features[row, 0], pair_features_of(features, 5, 7), atol=1e-5)


def test_words_are_paired_with_photos_of_the_gallery_only(features: EmbeddedJudgments):
    odd = Gallery.of(features, np.arange(1, PHOTOS, 2), space_of(features))
    words = WordQueries(("one",), features.t[[7]], Tokens.none(1), np.ones((1, PHOTOS), np.float32))
    pairs = word_pairs(words, odd, PairSettings(), np.random.default_rng(0), 0)
    assert (pairs.photo % 2 == 1).all()
    assert (pairs.target == 1).all()
