"""Fitting the no-match decision: which queries it learns from, its weights and its operating point."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from reranker.metrics.separation import auroc
from reranker.models.joint_space import PAIR_FEATURES
from reranker.models.linear_map import unit
from reranker.models.no_match import FEATURE_NAMES, NoMatchClassifier, no_match_features
from reranker.training import fit_no_match as no_match
from reranker.training.examples.galleries import Gallery
from reranker.training.examples.scored_queries import score_captions, score_words
from reranker.training.fit_no_match import NoMatchSettings, fit_no_match, fit_no_match_classifier
from tiny_judged import made
from tiny_validation import GOOD, NO_WORDS, Validation, pair_features_of, validation

HUB = PAIR_FEATURES.index("hub")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def given(one_thread: None) -> Validation:
    return validation()


@pytest.fixture
def learned_from(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Collect the examples that `fit_no_match` fits the decision to: of galleries with a match, and without one."""
    seen: list[np.ndarray] = []

    def keep(present: np.ndarray, absent: np.ndarray, missed: float) -> NoMatchClassifier:
        assert missed == 0.05
        seen[:] = present, absent
        return NoMatchClassifier((0.0,) * len(FEATURE_NAMES), 0.0, 0.5)

    monkeypatch.setattr(no_match, "fit_no_match_classifier", keep)
    return seen


def expected_photos(order: np.ndarray, fits: np.ndarray) -> tuple[list[int], list[int]]:
    """First hits by plain loops: of queries with a photo that fits; of all without those."""
    ranked = [np.argsort(-row).tolist() for row in order]
    others = [[photo for photo in row if not fits[query, photo]] for query, row in enumerate(ranked)]
    return [row[0] for query, row in enumerate(ranked) if fits[query].any()], [row[0] for row in others if row]


def photos_of(rows: np.ndarray, gallery: Gallery) -> list[int]:
    """Return the photo of each row of the decision's features, found by its hubness, which is unique."""
    distance = np.abs(rows[:, HUB, None] - gallery.encoded_photos.hubness)
    assert distance.min(axis=1).max() < 1e-6
    return distance.argmin(axis=1).tolist()


def test_the_decision_learns_from_first_hits_with_and_without_every_photo_that_fits(given: Validation, learned_from):
    gallery = given.held[0]
    assert len(np.unique(gallery.encoded_photos.hubness.round(5))) == 30
    fit_no_match(given.features, given.words, [gallery], GOOD)
    captions = score_captions(given.features, gallery, GOOD)
    words = score_words(given.features, given.words, gallery, GOOD)
    present, absent = expected_photos(captions.ranking_scores, captions.fits)
    there, gone = expected_photos(words.ranking_scores, words.fits)
    # 105 captions and 8 words: each word is told round(0.3 * 105 / 8) = 4 times.
    assert photos_of(learned_from[0], gallery) == present + 4 * there
    assert photos_of(learned_from[1], gallery) == absent + 4 * gone
    # With the values of those very pairs.
    first = np.array(present)
    pair_features, _ = pair_features_of(given, gallery)
    every = np.arange(len(first))
    rows = no_match_features(
        captions.ranking_scores[every, first], pair_features[every, first], captions.queries.query_hubness, 30
    )
    np.testing.assert_allclose(learned_from[0][: len(first)], rows, atol=1e-5)


def test_the_decision_learns_from_parts_of_a_gallery_too(given: Validation, learned_from):
    gallery = given.held[0]
    fit_no_match(given.features, NO_WORDS, [gallery], GOOD, NoMatchSettings(min_photos=3))
    growth = len(FEATURE_NAMES) // 2 - 2
    sizes = [np.exp((rows[:, growth] + rows[:, -2]) ** 2 / 2) for rows in learned_from]
    # 105 captions with their photo among all 30, and among it and a third or a tenth of the 29 others.
    assert len(sizes[0]) == 3 * 105
    assert sizes[0][:105].round(3).tolist() == [30] * 105
    assert sizes[0][105:210].mean() == pytest.approx(1 + 29 / 3, abs=1)
    assert sizes[0][210:].mean() == pytest.approx(1 + 29 / 10, abs=0.5)
    # Without it, and twice with as many photos of other subjects; a caption with nothing left is not told as absent.
    assert sizes[1][:105].round(3).tolist() == [29] * 105
    assert 3.9 * 105 < len(sizes[1]) <= 5 * 105
    assert sizes[1].round(3).min() == 1
    assert sizes[1].round(3).max() == 29


def test_other_subjects_are_the_photos_whose_captions_are_least_like_a_query(given: Validation, learned_from):
    # Half of the photos, all of that half: each caption finds the first hit of its own other half.
    settings = NoMatchSettings(other_subjects=0.5, gallery_shares=(0.5,), min_photos=3)
    gallery = given.held[0]
    fit_no_match(given.features, NO_WORDS, [gallery], GOOD, settings)
    asked = score_captions(given.features, gallery, GOOD)
    said = [given.features.t[given.features.owner == photo] for photo in gallery.photos]
    likeness = asked.t @ unit(np.stack([unit(rows).mean(axis=0) for rows in said])).T
    np.testing.assert_allclose(asked.likeness, likeness, atol=1e-5)
    others = [
        set(np.argsort(row)[:15].tolist()) - {own} for row, own in zip(likeness, asked.fits.argmax(1), strict=True)
    ]
    expected = [max(photos, key=row.__getitem__) for photos, row in zip(others, asked.ranking_scores, strict=True)]
    assert photos_of(learned_from[1][-105:], gallery) == expected


def test_words_count_for_their_share_of_the_captions_in_every_gallery(given: Validation, learned_from):
    for gallery, captions in zip(given.held, (105, 35), strict=True):
        fit_no_match(given.features, NO_WORDS, [gallery], GOOD)
        alone = len(learned_from[0])
        assert alone == captions
        fit_no_match(given.features, given.words, [gallery], GOOD)
        share = (len(learned_from[0]) - alone) / captions
        # Whole times of 8 words: up to 4 away from the share.
        assert share == pytest.approx(NoMatchSettings().words_share, abs=4 / captions)


def test_a_word_that_every_photo_fits_is_never_told_as_absent(given: Validation, learned_from):
    gallery = given.held[1]
    fit_no_match(given.features, NO_WORDS, [gallery], GOOD)
    alone = [len(rows) for rows in learned_from]
    everywhere = replace(given.words, fits=np.ones_like(given.words.fits))
    fit_no_match(given.features, everywhere, [gallery], GOOD)
    assert [len(rows) for rows in learned_from] == [alone[0] + 8, alone[1]]
    # With 8 of 10 photos gone, two are left.
    most = replace(given.words, fits=np.where(np.arange(80) < 78, 1, 0) * np.ones_like(given.words.fits))
    fit_no_match(given.features, most, [gallery], GOOD)
    assert [len(rows) for rows in learned_from] == [alone[0] + 8, alone[1] + 8]
    assert set(photos_of(learned_from[1][alone[1] :], gallery)) <= {8, 9}


def test_a_word_that_no_photo_fits_is_only_ever_absent(given: Validation, learned_from):
    gallery = given.held[1]
    fit_no_match(given.features, NO_WORDS, [gallery], GOOD)
    alone = [len(rows) for rows in learned_from]
    fit_no_match(given.features, replace(given.words, fits=np.zeros_like(given.words.fits)), [gallery], GOOD)
    assert [len(rows) for rows in learned_from] == [alone[0], alone[1] + 8]


@pytest.mark.parametrize("with_words", [True, False])
def test_a_gallery_of_two_photos_is_enough(given: Validation, learned_from, monkeypatch, with_words: bool):
    words = given.words if with_words else NO_WORDS
    gallery = Gallery.of(given.features, np.array([50, 61]), given.joint_space)
    fit_no_match(given.features, words, [gallery], GOOD)
    captions = score_captions(given.features, gallery, GOOD)
    # Without its own photo a caption finds the other.
    assert photos_of(learned_from[1][:7], gallery) == (1 - captions.fits.argmax(axis=1)).tolist()
    if not with_words:
        assert [len(rows) for rows in learned_from] == [7, 7]
    monkeypatch.undo()
    match = fit_no_match(given.features, words, [gallery], GOOD)
    assert np.isfinite(match.weights).all()
    assert 0 < match.threshold < 1


@pytest.mark.parametrize("with_words", [True, False])
def test_no_match_is_likelier_where_the_photo_is_gone(given: Validation, with_words: bool):
    match = fit_no_match(given.features, given.words if with_words else NO_WORDS, given.held, GOOD)
    # As many photos as the larger of the galleries it learned from.
    fresh = made(30, seed=1, regions=True)[0]
    gallery = Gallery.of(fresh, np.arange(30), given.joint_space)
    asked = score_captions(fresh, gallery, GOOD)
    every = np.arange(len(fresh.texts))
    pair_features = given.joint_space.pair_feature_matrix(gallery.encoded_photos, asked.queries, slice(0, len(every)))

    def chance(order: np.ndarray) -> np.ndarray:
        first = order.argmax(axis=1)
        return match.probability(
            no_match_features(order[every, first], pair_features[every, first], asked.queries.query_hubness, 30)
        )

    there, gone = chance(asked.ranking_scores), chance(np.where(asked.fits, -np.inf, asked.ranking_scores))
    assert auroc(there, gone) > 0.7
    assert (there < match.threshold).mean() < 0.2


def drawn(count: int, shift: float, seed: int) -> np.ndarray:
    """Draw inputs of the decision, (count, 22): two columns tell, one never changes, the rest is noise."""
    rows = np.random.default_rng(seed).standard_normal((count, len(FEATURE_NAMES)))
    rows[:, 0] += shift
    rows[:, 7] = 5 * rows[:, 7] - 5 * shift
    rows[:, 3] = 0.25
    return rows.astype(np.float32)


def test_the_operating_point_refuses_no_more_than_the_share_that_may_be_missed():
    present, absent = drawn(2000, 1.0, 0), drawn(4000, -1.0, 1)
    match = fit_no_match_classifier(present, absent, 0.05)
    refused = match.probability(present) < match.threshold
    # 5 % of 2,000 are 100; the quantile lies between the hundredth and the next.
    assert refused.sum() == 100
    # And so on others, as nearly as 1,000 tell.
    assert (match.probability(drawn(1000, 1.0, 2)) < match.threshold).mean() == pytest.approx(0.05, abs=0.03)
    assert (match.probability(drawn(1000, -1.0, 3)) < match.threshold).mean() > 0.5
    assert auroc(match.probability(drawn(1000, 1.0, 2)), match.probability(drawn(1000, -1.0, 3))) > 0.95


def test_the_decision_is_a_logistic_regression_on_features_of_unit_spread():
    present, absent = drawn(300, 0.5, 0), drawn(500, -0.5, 1)
    match = fit_no_match_classifier(present, absent, 0.1)
    inputs = np.concatenate([present, absent]).astype(np.float64)
    spread = np.maximum(inputs.std(axis=0), 1e-6)
    theirs = LogisticRegression(max_iter=1000, class_weight="balanced").fit(inputs / spread, [1] * 300 + [0] * 500)
    np.testing.assert_allclose(match.probability(present), theirs.predict_proba(present / spread)[:, 1], atol=1e-4)
