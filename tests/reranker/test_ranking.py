"""The ranking path: corrections, exclusion, order of ties; and that searches and evaluation both go through it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import isotonic_regression

from reranker.models.joint_space import EncodedQueries
from reranker.models.no_match import no_match_features
from reranker.models.ranking_settings import RankingSettings, SmallGallerySettings
from reranker.ranker import Ranker
from reranker.ranking import (
    Candidates,
    correct_small_gallery,
    isotonic_relevance,
    mean_caption_scores,
    rank_candidates,
)
from tiny_space import inputs, make_ranker

SETTINGS = SmallGallerySettings(few=100, many=500, strength=0.6, likely=5.0)


def corrected(scores, caption_scores, gate, photos):
    return correct_small_gallery(scores, caption_scores, gate, photos, SETTINGS)


def asked(ranker: Ranker, gallery_size: int) -> tuple[Candidates, EncodedQueries]:
    """Five of seven photos as candidates of three queries, not in the order of their rows."""
    given = inputs()
    rows = np.array([4, 0, 6, 3, 1])
    photos = ranker.encode_photos(given.x, given.regions).take(rows)
    return Candidates(rows, photos, gallery_size), ranker.encode_queries(given.t, given.texts, given.tokens)


@pytest.mark.parametrize("row", range(3))
def test_many_photos_are_ranked_by_their_pair_scores(row):
    ranker = make_ranker()
    candidates, queries = asked(ranker, 500)
    ranked = rank_candidates(ranker, candidates, queries, row)
    pairs = ranker.scores(candidates.photos, queries, row)
    assert ranked.places.tolist() == np.argsort(-pairs.ranking_scores).tolist()
    assert np.array_equal(ranked.ranking_scores, pairs.ranking_scores[ranked.places])
    assert np.array_equal(ranked.relevance, pairs.relevance[ranked.places])
    first = ranked.places[:1]
    features = no_match_features(
        pairs.ranking_scores[first], pairs.pair_features[first], queries.query_hubness[row : row + 1], 500
    )
    assert ranked.match_probability == pytest.approx(ranker.no_match.probability(features)[0])


def test_few_photos_are_ranked_by_corrected_scores_and_matched_by_their_own():
    ranker = make_ranker()
    candidates, queries = asked(ranker, 7)
    pairs = ranker.scores(candidates.photos, queries, 0)
    at_large = mean_caption_scores(ranker, candidates.photos)
    direct = candidates.photos.z @ ranker.mean_caption[:-1] + candidates.photos.hubness * ranker.mean_caption[-1]
    np.testing.assert_allclose(at_large, direct)
    expected = corrected(pairs.ranking_scores, at_large, queries.gate[0], 7)
    assert not np.array_equal(expected, pairs.ranking_scores)
    ranked = rank_candidates(ranker, candidates, queries, 0)
    assert np.array_equal(ranked.ranking_scores, -np.sort(-expected))
    assert np.array_equal(ranked.pairs.ranking_scores, pairs.ranking_scores)


def test_what_fits_an_excluded_query_comes_last():
    ranker = make_ranker()
    candidates, queries = asked(ranker, 500)
    left = 1 - ranker.scores(candidates.photos, queries, 0).relevance
    pairs = ranker.scores(candidates.photos, queries, 1)
    ranked = rank_candidates(ranker, candidates, queries, 1, queries)
    expected = pairs.ranking_scores + np.log(left) - 100 * (left < 0.5)
    assert ranked.places.tolist() == np.argsort(-expected).tolist()
    np.testing.assert_allclose(ranked.ranking_scores, -np.sort(-expected), rtol=1e-6)
    np.testing.assert_allclose(ranked.relevance, (pairs.relevance * left)[ranked.places], rtol=1e-6)


def test_ties_are_ranked_by_row_and_no_candidates_match_nothing():
    ranker = make_ranker()
    candidates, queries = asked(ranker, 500)
    same = candidates.photos.take(np.zeros(5, np.int64))
    ranked = rank_candidates(ranker, replace(candidates, photos=same), queries, 0)
    assert candidates.rows[ranked.places].tolist() == [0, 1, 3, 4, 6]
    none = np.zeros(0, np.int64)
    empty = rank_candidates(ranker, Candidates(none, candidates.photos.take(none), 0), queries, 0)
    assert (empty.places.tolist(), empty.match_probability) == ([], 0.0)


def test_every_setting_of_the_ranker_has_its_effect():
    ranker = make_ranker()
    changed = replace(RankingSettings(), small_gallery=replace(SETTINGS, strength=0.0))
    other = replace(ranker, joint_space=replace(ranker.joint_space, settings=changed))
    candidates, queries = asked(ranker, 7)
    ranked = rank_candidates(other, candidates, queries, 0)
    assert np.array_equal(ranked.ranking_scores, -np.sort(-ranked.pairs.ranking_scores))


def test_few_photos_are_spread_by_what_they_score_at_large_but_not_the_first_hit():
    order, at_large = np.float32([3, 2, 0.5, -2, -7]), np.float32([2, 1, -1, 0, -2])  # their mean is 0
    # 0, 1, 2.5, 5 and 10 behind the first: none, a fifth, a half and all of 0.6 of it.
    spread = [3, 2 - 0.2 * 0.6 * 1, 0.5 + 0.5 * 0.6 * 1, -2, -7 + 0.6 * 2]
    for photos in (1, 5, 100):
        assert corrected(order, at_large, 0.0, photos).tolist() == pytest.approx(spread)
    # Only what photos have beside each other counts.
    assert corrected(order, at_large + 7, 0.0, 100).tolist() == pytest.approx(spread, abs=1e-5)
    # What is for a quarter a name, three quarters of it; a name, none.
    assert corrected(order, at_large, 0.25, 100)[4] == pytest.approx(-7 + 0.75 * 0.6 * 2)
    assert corrected(order, at_large, 1.0, 100).tolist() == order.tolist()


def test_the_more_photos_the_less_are_they_spread_and_from_500_on_not_at_all():
    order, at_large = np.float32([0, -9, -9]), np.float32([0, 1, -1])
    # Half of it where the logarithm is half-way from 100 to 500.
    assert corrected(order, at_large, 0.0, round(100 * 5**0.5))[1] == pytest.approx(-9 - 0.3, abs=1e-3)
    for photos in (500, 501, 10**6):
        assert corrected(order, at_large, 0.0, photos) is order
    none = np.zeros(0, np.float32)
    assert corrected(none, none, 0.0, 0) is none


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(-3, 3))
def test_the_first_hit_stays_the_first_however_much_is_taken_off(seed, count, exponent):
    generator = np.random.default_rng(seed)
    order = generator.standard_normal(count).astype(np.float32)
    at_large = (10**exponent * generator.standard_normal(count)).astype(np.float32)
    spread = corrected(order, at_large, 0.0, 50)
    assert spread.dtype == np.float32
    assert (spread.argmax(), spread.max()) == (order.argmax(), order.max())


def test_relevance_is_shown_as_it_is_where_it_falls_and_as_the_mean_where_it_rises():
    # The two in the middle become their mean, even where the second of them is not asked for.
    relevance = np.float32([0.9, 0.2, 0.6, 0.1])
    assert isotonic_relevance(relevance, 4).tolist() == pytest.approx([0.9, 0.4, 0.4, 0.1])
    assert isotonic_relevance(relevance, 2).tolist() == pytest.approx([0.9, 0.4])
    assert isotonic_relevance(relevance, 1).tolist() == pytest.approx([0.9])
    # All three, and one alone.
    assert isotonic_relevance(np.float32([0.1, 0.2, 0.9]), 9).tolist() == pytest.approx([0.4] * 3)
    assert isotonic_relevance(np.float32([0.3]), 9).tolist() == pytest.approx([0.3])
    assert isotonic_relevance(np.zeros(0, np.float32), 9).tolist() == []


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 20), st.integers(1, 70))
def test_shown_relevance_is_isotonic_regression_and_never_rises(seed, count, levels, asked):
    relevance = (np.random.default_rng(seed).integers(0, levels + 1, count) / levels).astype(np.float32)
    shown = isotonic_relevance(relevance, asked)
    theirs = isotonic_regression(relevance.astype(np.float64), increasing=False)[:asked]
    np.testing.assert_allclose(shown, theirs, atol=1e-6)
    assert (np.diff(shown) <= 0).all()
