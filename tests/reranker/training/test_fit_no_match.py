"""Fitting the no-match decision: which queries it learns from, its weights and its operating point."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from reranker.metrics.separation import auroc
from reranker.models.joint_space import PAIR_FEATURES
from reranker.models.linear_map import unit
from reranker.models.no_match import FEATURE_NAMES, FIRST_HIT_FEATURES, NoMatchClassifier, no_match_features
from reranker.models.pair_scores import PairScores
from reranker.training import fit_no_match as no_match
from reranker.training.examples.encoded_texts import EncodedTexts
from reranker.training.examples.galleries import Gallery
from reranker.training.examples.scored_queries import ScoredQueries, score_captions, score_texts
from reranker.training.fit_no_match import (
    NoMatchExamples,
    NoMatchSettings,
    fit_no_match,
    fit_no_match_classifier,
)
from tiny_judged import made
from tiny_validation import NO_PHRASES, SCORER, Validation, validation

HUB, GROWTH = PAIR_FEATURES.index("hub"), FIRST_HIT_FEATURES.index("gallery_growth")
# Galleries are asked as they are.
WHOLE = NoMatchSettings(gallery_shares=(1.0,), few_photos=1000)
pytestmark = pytest.mark.usefixtures("one_thread", "cache")


@pytest.fixture(scope="module")
def given(cache: Path) -> Validation:
    return validation()


@pytest.fixture
def learned_from(monkeypatch: pytest.MonkeyPatch) -> list[NoMatchExamples]:
    """Collect the examples that `fit_no_match` fits the decision to."""
    seen: list[NoMatchExamples] = []

    def keep(examples: Sequence[NoMatchExamples], missed: Mapping[str, float]) -> NoMatchClassifier:
        assert missed == {"captions": NoMatchSettings().missed_captions, "phrases": NoMatchSettings().missed_phrases}
        seen[:] = examples
        return NoMatchClassifier((0.0,) * len(FEATURE_NAMES), 0.0, 0.5)

    monkeypatch.setattr(no_match, "fit_no_match_classifier", keep)
    return seen


def told(examples: Sequence[NoMatchExamples]) -> list[tuple[str, bool, int]]:
    """Return kind, side and number of the examples."""
    return [(one.kind, one.fits, len(one.features)) for one in examples]


def expected_photos(order: np.ndarray, fits: np.ndarray) -> tuple[list[int], list[int]]:
    """First hits by plain loops: of queries with a photo that fits; of all without those."""
    ranked = [np.argsort(-row).tolist() for row in order]
    others = [[photo for photo in row if not fits[query, photo]] for query, row in enumerate(ranked)]
    return [row[0] for query, row in enumerate(ranked) if fits[query].any()], [row[0] for row in others if row]


def photos_of(one: NoMatchExamples, gallery: Gallery) -> list[int]:
    """Return the photo of each row of the decision's features, found by its hubness, which is unique."""
    # The gate of the space is shut, so all is told of a sentence.
    distance = np.abs(one.features[:, HUB, None] - gallery.encoded_photos.hubness)
    assert distance.min(axis=1).max() < 1e-6
    return distance.argmin(axis=1).tolist()


def sizes(one: NoMatchExamples) -> np.ndarray:
    """Return how many photos were asked, from `sqrt(2 ln photos)`."""
    return np.exp(one.features[:, GROWTH].astype(np.float64) ** 2 / 2)


def asked_captions(given: Validation, gallery: Gallery) -> ScoredQueries:
    return score_captions(given.features, gallery, SCORER)


def asked_phrases(given: Validation, gallery: Gallery, said: np.ndarray | None = None) -> ScoredQueries:
    said = given.phrases.said if said is None else said
    return score_texts(given.features, given.phrases.texts, said > 0, gallery, SCORER)


def test_the_decision_learns_from_first_hits_with_and_without_every_photo_that_fits(given: Validation, learned_from):
    gallery = given.held[0]
    assert len(np.unique(gallery.encoded_photos.hubness.round(5))) == 30
    fit_no_match(given.features, given.phrases, {}, [gallery], SCORER, WHOLE)
    assert told(learned_from) == [
        ("captions", True, 105),
        ("captions", False, 105),
        ("phrases", True, 8),
        ("phrases", False, 8),
    ]
    for scored, first in ((asked_captions(given, gallery), 0), (asked_phrases(given, gallery), 2)):
        there, gone = expected_photos(scored.ranking_scores, scored.fits)
        assert photos_of(learned_from[first], gallery) == there
        assert photos_of(learned_from[first + 1], gallery) == gone
        # With the values of those very pairs.
        every = np.arange(len(there))
        pairs = gallery.pair_features(scored.queries, slice(0, len(there)))[every, there]
        hits = PairScores(scored.ranking_scores[every, there], scored.relevance[every, there], pairs)
        rows = no_match_features(hits, scored.queries.query_hubness, scored.queries.query_words, 30)
        np.testing.assert_allclose(learned_from[first].features, rows, atol=1e-5)
        assert learned_from[first].right.tolist() == scored.fits[every, there].tolist()
        assert not learned_from[first + 1].right.any()


def test_texts_that_nothing_fits_are_only_ever_absent(given: Validation, learned_from):
    texts = given.phrases.texts.take(np.array([1, 4, 5]))
    fit_no_match(given.features, NO_PHRASES, {"random": texts}, given.held, SCORER, WHOLE)
    assert told(learned_from) == [
        ("captions", True, 105),
        ("captions", False, 105),
        ("random", False, 3),
        ("captions", True, 35),
        ("captions", False, 35),
        ("random", False, 3),
    ]
    best = asked_phrases(given, given.held[0]).ranking_scores[[1, 4, 5]].argmax(axis=1)
    assert photos_of(learned_from[2], given.held[0]) == best.tolist()
    assert sizes(learned_from[2]).round(3).tolist() == [30] * 3


def test_the_decision_learns_from_parts_of_a_gallery_too(given: Validation, learned_from):
    settings = NoMatchSettings(min_photos=3, few_photos=2)
    fit_no_match(given.features, NO_PHRASES, {}, [given.held[0]], SCORER, settings)
    # All 30 photos, a third, a tenth, and two; of half of them or fewer, other subjects are asked as well.
    assert [(one.kind, one.fits) for one in learned_from] == [
        *[("captions", True), ("captions", False)],
        *[("captions", True), ("captions", False), ("captions", False)] * 3,
    ]
    present = [sizes(one) for one in learned_from if one.fits]
    assert [len(of_share) for of_share in present] == [105] * 4
    assert present[0].round(3).tolist() == [30] * 105
    # A caption's photo is always among them, beside a share of the 29 others.
    for of_share, share in zip(present[1:], (1 / 3, 1 / 10, 2 / 30), strict=True):
        assert of_share.mean() == pytest.approx(1 + 29 * share, abs=1)
    # Without it; a caption with nothing left is not told as absent.
    absent = [sizes(one) for one in learned_from if not one.fits]
    assert absent[0].round(3).tolist() == [29] * 105
    for of_share in absent[1:]:
        assert 0 < len(of_share) <= 105
        assert of_share.round(3).min() >= 1
    assert absent[1].mean() == pytest.approx(29 / 3, abs=1)


def test_a_gallery_of_a_few_photos_is_asked_beside_a_whole_one(given: Validation, learned_from):
    fit_no_match(given.features, NO_PHRASES, {}, [given.held[0]], SCORER)
    # A third of 30 photos are fewer than 20, and so is a tenth; eight are asked by default.
    assert [one.fits for one in learned_from] == [True, False, True, False, False]
    assert sizes(learned_from[2]).mean() == pytest.approx(1 + 29 * 8 / 30, abs=1)


def test_other_subjects_are_the_photos_whose_captions_are_least_like_a_query(given: Validation, learned_from):
    # Half of the photos, all of that half: each caption finds the first hit of its own other half.
    settings = NoMatchSettings(other_subjects=0.5, gallery_shares=(0.5,), min_photos=3, few_photos=1000)
    gallery = given.held[0]
    fit_no_match(given.features, NO_PHRASES, {}, [gallery], SCORER, settings)
    asked = asked_captions(given, gallery)
    said = [given.features.t[given.features.owner == photo] for photo in gallery.photos]
    likeness = asked.t @ unit(np.stack([unit(rows).mean(axis=0) for rows in said])).T
    np.testing.assert_allclose(asked.likeness, likeness, atol=1e-5)
    others = [
        set(np.argsort(row)[:15].tolist()) - {own} for row, own in zip(likeness, asked.fits.argmax(1), strict=True)
    ]
    expected = [max(photos, key=row.__getitem__) for photos, row in zip(others, asked.ranking_scores, strict=True)]
    assert photos_of(learned_from[2], gallery) == expected


def test_a_phrase_that_every_photo_fits_is_never_told_as_absent(given: Validation, learned_from):
    gallery = given.held[1]
    everywhere = replace(given.phrases, said=np.ones_like(given.phrases.said))
    fit_no_match(given.features, everywhere, {}, [gallery], SCORER, WHOLE)
    assert told(learned_from)[2:] == [("phrases", True, 8)]
    # With 8 of 10 photos gone, two are left.
    most = np.where(np.arange(80) < 78, 1, 0) * np.ones_like(given.phrases.said)
    fit_no_match(given.features, replace(given.phrases, said=most), {}, [gallery], SCORER, WHOLE)
    assert told(learned_from)[2:] == [("phrases", True, 8), ("phrases", False, 8)]
    assert set(photos_of(learned_from[3], gallery)) <= {8, 9}
    assert sizes(learned_from[3]).round(3).tolist() == [2] * 8


def test_a_phrase_that_no_photo_fits_is_only_ever_absent(given: Validation, learned_from):
    nowhere = replace(given.phrases, said=np.zeros_like(given.phrases.said))
    fit_no_match(given.features, nowhere, {}, [given.held[1]], SCORER, WHOLE)
    assert told(learned_from)[2:] == [("phrases", False, 8)]


@pytest.mark.parametrize("with_phrases", [True, False])
def test_a_gallery_of_two_photos_is_enough(given: Validation, learned_from, monkeypatch, with_phrases: bool):
    phrases = given.phrases if with_phrases else NO_PHRASES
    gallery = Gallery.of(given.features, np.array([50, 61]), given.joint_space)
    fit_no_match(given.features, phrases, {}, [gallery], SCORER)
    captions = asked_captions(given, gallery)
    # Without its own photo a caption finds the other.
    assert photos_of(learned_from[1], gallery) == (1 - captions.fits.argmax(axis=1)).tolist()
    assert told(learned_from)[:2] == [("captions", True, 7), ("captions", False, 7)]
    monkeypatch.undo()
    match = fit_no_match(given.features, phrases, {}, [gallery], SCORER)
    assert np.isfinite(match.weights).all()
    assert 0 < match.threshold < 1


@pytest.mark.parametrize("with_phrases", [True, False])
def test_no_match_is_likelier_where_the_photo_is_gone(given: Validation, with_phrases: bool):
    phrases = given.phrases if with_phrases else NO_PHRASES
    nothing: dict[str, EncodedTexts] = {}
    match = fit_no_match(given.features, phrases, nothing, given.held, SCORER)
    there, gone, right = [], [], []
    for seed in (1, 2, 3):
        # As many photos as the larger of the galleries it learned from.
        fresh = made(30, seed=seed, regions=True)[0]
        gallery = Gallery.of(fresh, np.arange(30), given.joint_space)
        asked = score_captions(fresh, gallery, SCORER)
        there.append(chance_of(match, asked, asked.ranking_scores))
        gone.append(chance_of(match, asked, np.where(asked.fits, -np.inf, asked.ranking_scores)))
        right.append(asked.fits[np.arange(len(asked.t)), asked.ranking_scores.argmax(axis=1)])
    assert auroc(np.concatenate(there), np.concatenate(gone)) > 0.7
    # The operating point is over queries whose first hit is right. Of other photos more are refused than it allows, but
    # not half as many as where the photo is gone.
    missed = (np.concatenate(there)[np.concatenate(right)] < match.threshold).mean()
    assert missed < 0.5 * (np.concatenate(gone) < match.threshold).mean()


def chance_of(match: NoMatchClassifier, asked: ScoredQueries, order: np.ndarray) -> np.ndarray:
    """Compute the chance that the first photo by `order`, (q, n), fits each query."""
    every, first = np.arange(len(order)), order.argmax(axis=1)
    pair_features = asked.gallery.features_of_pairs(asked.queries, every, first)
    hits = PairScores(order[every, first], asked.relevance[every, first], pair_features)
    return match.probability(no_match_features(hits, asked.queries.query_hubness, asked.queries.query_words, 30))


def drawn(count: int, shift: float, seed: int) -> np.ndarray:
    """Draw inputs of the decision, (count, 32): two columns tell, one never changes, the rest is noise."""
    rows = np.random.default_rng(seed).standard_normal((count, len(FEATURE_NAMES)))
    rows[:, 0] += shift
    rows[:, 7] = 5 * rows[:, 7] - 5 * shift
    rows[:, 3] = 0.25
    return rows.astype(np.float32)


def examples(kind: str, features: np.ndarray, *, fits: bool, right: np.ndarray | None = None) -> NoMatchExamples:
    return NoMatchExamples(kind, features, fits, np.full(len(features), fits) if right is None else right)


def test_the_operating_point_refuses_no_more_than_the_share_that_may_be_missed():
    present, absent = drawn(2000, 1.0, 0), drawn(4000, -1.0, 1)
    both = [examples("captions", present, fits=True), examples("captions", absent, fits=False)]
    match = fit_no_match_classifier(both, {"captions": 0.05})
    refused = match.probability(present) < match.threshold
    # 5 % of 2,000 are 100; the quantile lies between the hundredth and the next.
    assert refused.sum() == 100
    # And so on others, as nearly as 1,000 tell.
    assert (match.probability(drawn(1000, 1.0, 2)) < match.threshold).mean() == pytest.approx(0.05, abs=0.03)
    assert (match.probability(drawn(1000, -1.0, 3)) < match.threshold).mean() > 0.5
    assert auroc(match.probability(drawn(1000, 1.0, 2)), match.probability(drawn(1000, -1.0, 3))) > 0.95


def test_the_operating_point_keeps_to_the_share_of_every_kind_and_counts_right_first_hits_alone():
    captions, phrases, absent = drawn(1000, 1.0, 0), drawn(500, 0.5, 1), drawn(1000, -1.0, 2)
    right = np.arange(500) % 2 == 0
    given = [
        examples("captions", captions[:600], fits=True),
        examples("phrases", phrases, fits=True, right=right),
        examples("captions", captions[600:], fits=True),
        examples("random", absent, fits=False),
    ]
    match = fit_no_match_classifier(given, {"captions": 0.04, "phrases": 0.02})
    # Phrases are harder: theirs is the lower one.
    of_captions, of_phrases = match.probability(captions), match.probability(phrases[right])
    assert match.threshold == pytest.approx(min(np.quantile(of_captions, 0.04), np.quantile(of_phrases, 0.02)))
    assert (of_phrases < match.threshold).sum() == 5
    assert (of_captions < match.threshold).mean() < 0.04
    # A kind of which nothing was right says nothing.
    given[1] = examples("phrases", phrases, fits=True, right=np.zeros(500, bool))
    match = fit_no_match_classifier(given, {"captions": 0.04, "phrases": 0.02})
    assert match.threshold == pytest.approx(np.quantile(match.probability(captions), 0.04))


def test_the_decision_is_a_logistic_regression_on_features_of_unit_spread_with_kinds_that_count_alike():
    present, absent, random = drawn(300, 0.5, 0), drawn(500, -0.5, 1), drawn(20, -1.0, 2)
    given = [
        examples("captions", present, fits=True),
        examples("captions", absent[:400], fits=False),
        examples("captions", absent[400:], fits=False),
        examples("random", random, fits=False),
    ]
    match = fit_no_match_classifier(given, {"captions": 0.1})
    inputs = np.concatenate([present, absent, random]).astype(np.float64)
    # Both sides weigh 820 / 2 = 410; the two kinds without a match 205 each.
    weights = np.repeat([410 / 300, 205 / 500, 205 / 20], [300, 500, 20])
    theirs = make_pipeline(StandardScaler(), LogisticRegression())
    theirs.fit(inputs, [1] * 300 + [0] * 520, logisticregression__sample_weight=weights)
    np.testing.assert_allclose(match.probability(present), theirs.predict_proba(present)[:, 1], atol=1e-4)
