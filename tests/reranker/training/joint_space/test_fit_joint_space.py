"""Fitting a joint space, and imputing what late interaction would say."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.judgments.training_sets import PhotoSets
from reranker.metrics.recall import ranks_of_own, recall_at
from reranker.models.joint_space import PAIR_FEATURES, JointSpace, candidate_scores, joint_space_arrays
from reranker.training.examples.encoded_texts import EncodedTexts
from reranker.training.examples.phrase_examples import Phrases
from reranker.training.joint_space.fit_joint_space import (
    SENTENCES_PER_MISTAKE,
    JointSpaceSettings,
    find_known_words,
    fit_joint_space,
    fit_late_imputation,
    fit_lexical_features,
)
from tiny_judged import QUICK, WORDS, StubTextEncoder, made, words_of

pytestmark = pytest.mark.usefixtures("one_thread")

SETTINGS = QUICK.joint_space


def fitted(
    features: EmbeddedJudgments, photos: np.ndarray | None = None, settings: JointSpaceSettings = SETTINGS
) -> JointSpace:
    photos = np.arange(len(features.photos)) if photos is None else photos
    return fit_joint_space(features, photos, words_of(features), settings, 0, lambda stage, done, total: None)


def test_a_space_finds_photos_that_it_has_not_seen():
    joint_space = fitted(made(80, seed=0, regions=True)[0])
    fresh = made(60, seed=1, regions=True)[0]
    side, query = (
        joint_space.encode_photos(fresh.x, fresh.regions),
        joint_space.encode_queries(fresh.t, fresh.texts, fresh.tokens),
    )
    assert recall_at(ranks_of_own(candidate_scores(side, query), fresh.owner), 1) > 0.8
    pair_features = joint_space.pair_feature_matrix(side, query, slice(0, len(fresh.texts)))
    for name in ("cosine", "meaning", "late"):
        ranks = ranks_of_own(pair_features[..., PAIR_FEATURES.index(name)], fresh.owner)
        # Chance is 1/6.
        assert recall_at(ranks, 10) > 0.9, name


def test_a_space_knows_only_the_photos_it_is_given_and_their_captions():
    features = made(50, seed=0, regions=True)[0]
    photos = np.arange(0, 50, 2)
    others = np.isin(features.owner, photos, invert=True)
    changed = replace(
        features,
        x=np.where(np.arange(50)[:, None] % 2, -features.x, features.x),
        t=np.where(others[:, None], -features.t, features.t),
        regions=np.where(np.arange(50)[:, None, None] % 2, -features.regions, features.regions),
    )
    one, two = (joint_space_arrays(fitted(each, photos)) for each in (features, changed))
    for name, array in one.items():
        assert np.array_equal(array, two[name]), name


def test_banks_and_references_are_as_large_as_the_settings_say():
    joint_space = fitted(made(50, seed=0, regions=True)[0])
    assert (len(joint_space.hubness.captions), len(joint_space.hubness.photos)) == (200, 40)
    assert len(joint_space.late_interaction.bank.offsets) == 60 + 1
    assert joint_space.lexical.words == tuple(sorted(WORDS))
    assert not joint_space.late_imputation.any()
    assert joint_space.class_names.k == 0


@pytest.mark.parametrize("lacking", ["regions", "tokens", "settings"])
def test_without_regions_or_tokens_or_the_wish_there_is_no_late_interaction(lacking):
    features, _, _ = made(30, seed=0, regions=lacking != "regions")
    settings = SETTINGS
    if lacking == "tokens":
        features = replace(features, tokens=made(30, seed=0)[0].tokens)
    if lacking == "settings":
        settings = replace(SETTINGS, late_interaction=None)
    assert fitted(features, settings=settings).late_interaction is None


def test_neither_map_looks_at_what_a_classifier_says():
    features = made(40, seed=0)[0]
    view = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)
    seeing = replace(features, x=np.concatenate([features.x, view], axis=1), class_dim=6)
    plain, joint_space = fitted(features), fitted(seeing)
    for one, two in ((joint_space.map, plain.map), (joint_space.meaning, plain.meaning)):
        assert not one.A[40:].any()
        assert np.array_equal(one.A[:40], two.A)
    np.testing.assert_allclose(
        joint_space.encode_photos(seeing.x, None).z, plain.encode_photos(features.x, None).z, atol=1e-6
    )


def test_a_missing_late_score_is_guessed_better_than_by_its_mean():
    features = made(80, seed=0, regions=True)[0]
    fold_of = np.arange(80) % 2
    spaces = [fitted(features, np.flatnonzero(fold_of != fold)) for fold in range(2)]
    guess = fit_late_imputation(spaces, features, fold_of)
    assert guess.shape == (4, 2)
    fresh = made(60, seed=1, regions=True)[0]
    joint_space = replace(spaces[0], late_imputation=guess)
    query = joint_space.encode_queries(fresh.t, fresh.texts, fresh.tokens)
    every = slice(0, len(fresh.texts))
    known = joint_space.pair_feature_matrix(joint_space.encode_photos(fresh.x, fresh.regions), query, every)[..., 5]
    guessed = joint_space.pair_feature_matrix(joint_space.encode_photos(fresh.x, None), query, every)[..., 5]
    assert np.corrcoef(known.ravel(), guessed.ravel())[0, 1] > 0.5
    assert ((known - guessed) ** 2).mean() < 0.75 * known.var()


def test_the_guess_is_the_linear_regression_on_pairs_of_photos_that_a_space_has_not_seen():
    features = made(40, seed=0, regions=True)[0]
    fold_of = np.arange(40) % 2
    spaces = [fitted(features, np.flatnonzero(fold_of != fold)) for fold in range(2)]
    pair_features = []
    for fold, joint_space in enumerate(spaces):
        part = features.select(np.flatnonzero(fold_of == fold))
        rows = np.flatnonzero(part.owner >= 0)
        query = joint_space.encode_queries(part.t[rows], [part.texts[row] for row in rows], part.tokens.select(rows))
        pair_features.append(
            joint_space.pair_feature_matrix(
                joint_space.encode_photos(part.x, part.regions), query, slice(0, len(rows))
            ).reshape(-1, 7)
        )
    pairs = np.concatenate(pair_features).astype(np.float64)
    theirs = LinearRegression().fit(pairs[:, :3], pairs[:, 5:])
    expected = np.concatenate([theirs.intercept_[None], theirs.coef_.T])
    np.testing.assert_allclose(fit_late_imputation(spaces, features, fold_of), expected, atol=1e-4)


def test_without_late_interaction_the_guess_is_nothing():
    features = made(40, seed=0)[0]
    fold_of = np.arange(40) % 2
    spaces = [fitted(features, np.flatnonzero(fold_of != fold)) for fold in range(2)]
    assert not fit_late_imputation(spaces, features, fold_of).any()


def test_the_vocabulary_is_every_frequent_word_with_the_logarithm_of_its_rarity():
    lexical = fit_lexical_features(["A dog runs", "The dog sleeps", "a cat , a dog", "A cat"], 0.5, min_sentences=2)
    assert lexical.words == ("cat", "dog")
    np.testing.assert_allclose(lexical.idf, [np.log(4 / 2), np.log(4 / 3)], rtol=1e-6)


def test_a_word_of_every_sentence_tells_nothing_and_is_left_out():
    assert fit_lexical_features(["photo one", "photo one", "photo two"], 0.5, min_sentences=2).words == ("one",)


def test_known_words_are_those_of_two_captions_or_more_and_of_all_names_the_most_frequent_first():
    captions = ["A dog , a dog !", "the DOG runs", "a cat runs", "the cat", "a dgo", "dog"]
    known = find_known_words(captions, ["Violin", "tea cup", "a dgo"])
    # Captions say "dog" and "a" three times (a caption counts once), "cat", "runs" and "the" twice; "dgo" is a name's,
    # so it is known although one caption alone says it.
    assert known.words == ("a", "dog", "cat", "runs", "the", "dgo", "cup", "tea", "violin")
    assert find_known_words(captions, ()).words == ("a", "dog", "cat", "runs", "the")
    assert find_known_words((), ()).words == ()


def test_of_many_captions_a_word_of_very_few_is_a_mistake():
    many = (["a"] * (3 * SENTENCES_PER_MISTAKE - 7)) + ["ox"] * 2 + ["elk"] * 3 + ["a"] * 2
    # One of 30,000 captions is three of 90,000.
    assert find_known_words(many, ()).words == ("a", "elk")


def with_bank(features: EmbeddedJudgments, count: int) -> EmbeddedJudgments:
    """Add captions without a photo; hubness is measured against them, too."""
    fresh = made(count, seed=9)[0]
    return replace(
        features,
        captions=(*features.captions, *[""] * count),
        texts=(*features.texts, *fresh.texts[::4]),
        t=np.concatenate([features.t, fresh.t[::4]]),
        owner=np.append(features.owner, np.full(count, -1)),
        tokens=type(features.tokens).join([features.tokens, fresh.tokens.select(np.arange(0, 4 * count, 4))]),
        bank=np.arange(len(features.texts), len(features.texts) + count),
    )


def test_a_bank_widens_what_hubness_is_measured_against_and_nothing_else():
    features = made(30, seed=0)[0]
    plain = fitted(features)
    joint_space = fit_joint_space(
        with_bank(features, 25), np.arange(30), words_of(features), SETTINGS, 0, lambda *_: None
    )
    assert (len(plain.hubness.captions), len(joint_space.hubness.captions)) == (120, 145)
    assert np.array_equal(joint_space.map.A, plain.map.A)
    assert np.array_equal(joint_space.meaning.B, plain.meaning.B)
    assert len(joint_space.hubness.photos) == len(plain.hubness.photos)


def test_a_space_of_phrases_is_another_one_and_knows_the_words_that_it_was_given():
    features = made(30, seed=0)[0]
    ears, said = StubTextEncoder(), np.zeros((2, 30), np.uint8)
    said[0, :9], said[1] = 1, 0
    texts = EncodedTexts(("dog", "cat"), *ears.encode_with_tokens(["dog", "cat"]))
    words = words_of(features)
    spaces = [
        fit_joint_space(features, photos, replace(words, phrases=phrases), SETTINGS, 0, lambda *_: None)
        for photos in (np.arange(30), np.arange(9, 30))
        for phrases in (None, Phrases(texts, said))
    ]
    assert not np.array_equal(spaces[0].map.A, spaces[1].map.A)
    # Phrases that fit none of the photos change nothing.
    assert np.array_equal(spaces[2].map.A, spaces[3].map.A)
    assert {space.known_words for space in spaces} == {words.known_words}


def test_photos_of_a_larger_weight_are_seen_more_often_by_the_map_and_by_late_interaction():
    features = made(30, seed=0, regions=True)[0]
    halves = PhotoSets(("a", "b"), np.float32([1, 3]), np.zeros(2, bool), np.arange(30) // 15)
    told: list[tuple[str, int]] = []
    for sets in (None, halves):
        fit_joint_space(
            replace(features, photo_sets=sets),
            np.arange(30),
            words_of(features),
            SETTINGS,
            0,
            lambda part, done, total: told.append((part, total)),
        )
    # Ten epochs of 30 photos in batches of 30, eight of the regions; with weights an epoch has 15 + 3 x 15 = 60.
    assert list(dict.fromkeys(told)) == [("map", 10), ("regions", 8), ("map", 20), ("regions", 16)]
