"""The ranking path: corrections, exclusion, order of ties; and that searches and evaluation both go through it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import isotonic_regression

from answers import spread
from reranker.models.joint_space import EncodedQueries
from reranker.models.no_match import no_match_features
from reranker.models.ranking_settings import RankingSettings, SmallGallerySettings
from reranker.ranker import Ranker
from reranker.ranking import (
    Candidates,
    OtherParts,
    correct_small_gallery,
    exclude,
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
    of_query = queries.query_hubness[row : row + 1], queries.query_words[row : row + 1]
    features = no_match_features(pairs.take(ranked.places[:1]), *of_query, 500)
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


def left_one_by_one(ranker: Ranker, candidates: Candidates, queries: EncodedQueries, row: int) -> np.ndarray:
    """Return 1 / (1 + odds) photo by photo, each as if it were the first hit of the excluded query."""
    pairs, t = ranker.scores(candidates.photos, queries, row), ranker.no_match.threshold
    of_query = queries.query_hubness[row : row + 1], queries.query_words[row : row + 1]
    chances = [
        ranker.match_probability(pairs.take(np.array([i])), *of_query, candidates.gallery_size)
        for i in range(len(candidates.rows))
    ]
    return np.array([1 / (1 + p / (1 - p) * (1 - t) / t) for (p,) in np.float64(chances)])


def at_the_middle(ranker: Ranker, candidates: Candidates, queries: EncodedQueries, rows: list[int]) -> Ranker:
    """Return a ranker whose threshold of a match is the middle of what photos reach for some queries."""
    reached = np.zeros(5)
    for row in rows:
        pairs, five = ranker.scores(candidates.photos, queries, row), np.full(5, row)
        of_query = queries.query_hubness[five], queries.query_words[five]
        chances = ranker.match_probability(pairs, *of_query, candidates.gallery_size)
        reached = np.maximum(reached, chances)
    return replace(ranker, no_match=replace(ranker.no_match, threshold=float(np.median(reached))))


def test_of_a_photo_at_the_threshold_of_a_match_half_is_left():
    ranker = make_ranker()
    candidates, queries = asked(ranker, 500)
    ranker = at_the_middle(ranker, candidates, queries, [0])
    left, unfit = exclude(ranker, candidates, queries, 0)
    assert np.median(left) == pytest.approx(0.5)
    np.testing.assert_allclose(left, left_one_by_one(ranker, candidates, queries, 0), rtol=1e-5)
    np.testing.assert_array_equal(unfit, 1 - ranker.scores(candidates.photos, queries, 0).relevance)


@pytest.mark.parametrize(("threshold", "taken_as"), [(0.0, 0.01), (-1.0, 0.01), (1.0, 0.99), (1.1, 0.99)])
def test_a_threshold_that_no_photo_can_miss_or_reach_still_tells_photos_apart(threshold, taken_as):
    ranker = make_ranker()
    candidates, queries = asked(ranker, 500)
    extreme, plain = (
        replace(ranker, no_match=replace(ranker.no_match, threshold=value)) for value in (threshold, taken_as)
    )
    left, _ = exclude(extreme, candidates, queries, 0)
    np.testing.assert_allclose(left, left_one_by_one(plain, candidates, queries, 0), rtol=1e-5)
    assert len(set(left.tolist())) == 5


@pytest.mark.parametrize("excluded", [[0], [0, 2], [2, 0]])
def test_a_good_match_of_an_excluded_query_comes_last(excluded):
    ranker = make_ranker()
    candidates, queries = asked(ranker, 500)
    ranker = at_the_middle(ranker, candidates, queries, excluded)
    pairs = ranker.scores(candidates.photos, queries, 1)
    # Of several excluded queries the one counts that a photo fits most.
    left = np.min([left_one_by_one(ranker, candidates, queries, row) for row in excluded], axis=0)
    unfit = np.min([1 - ranker.scores(candidates.photos, queries, row).relevance for row in excluded], axis=0)
    last = left < 0.5
    assert last.sum() in (2, 3)
    ranked = rank_candidates(ranker, candidates, queries, 1, OtherParts(excluded=[(row, 1.0) for row in excluded]))
    expected = pairs.ranking_scores + np.log(left) - 100 * last
    assert ranked.places.tolist() == np.argsort(-expected).tolist()
    assert last[ranked.places].tolist() == sorted(last.tolist())
    np.testing.assert_allclose(ranked.ranking_scores, -np.sort(-expected), rtol=1e-5)
    relevance = pairs.relevance * np.where(last, np.minimum(left, unfit), unfit)
    np.testing.assert_allclose(ranked.relevance, relevance[ranked.places], rtol=1e-5)


@pytest.mark.parametrize("gallery_size", [7, 500])
def test_an_exclusion_alone_ranks_by_what_it_leaves(gallery_size):
    ranker = make_ranker()
    candidates, queries = asked(ranker, gallery_size)
    ranker = at_the_middle(ranker, candidates, queries, [2])
    left = left_one_by_one(ranker, candidates, queries, 2)
    ranked = rank_candidates(ranker, candidates, queries, None, OtherParts(excluded=[(2, 1.0)]))
    assert ranked.places.tolist() == np.argsort(-left).tolist()
    np.testing.assert_allclose(ranked.ranking_scores, (np.log(left) - 100 * (left < 0.5))[ranked.places], rtol=1e-5)
    unfit = 1 - ranker.scores(candidates.photos, queries, 2).relevance
    shown = np.where(left < 0.5, np.minimum(left, unfit), unfit)[ranked.places]
    np.testing.assert_allclose(ranked.relevance, shown, rtol=1e-5)
    assert ranked.match_probability == pytest.approx(shown[0], rel=1e-5)
    none = np.zeros(0, np.int64)
    empty = rank_candidates(
        ranker, Candidates(none, candidates.photos.take(none), 0), queries, None, OtherParts(excluded=[(2, 1.0)])
    )
    assert (empty.places.tolist(), empty.match_probability) == ([], 0.0)


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


def shown_of(relevance: np.ndarray, count: int) -> np.ndarray:
    """Return the relevance that is shown of hits whose ranking scores differ."""
    return isotonic_relevance(relevance, -np.arange(len(relevance)), count)


def test_relevance_is_shown_as_it_is_where_it_falls():
    relevance = np.float32([0.9, 0.6, 0.2, 0.1])
    assert shown_of(relevance, 4).tolist() == relevance.tolist()
    assert shown_of(relevance, 3).tolist() == relevance[:3].tolist()
    assert shown_of(np.float32([0.3]), 9).tolist() == pytest.approx([0.3])
    assert shown_of(np.zeros(0, np.float32), 9).tolist() == []


def test_relevance_that_rises_is_put_in_falling_order_around_its_mean_clear_of_its_neighbours():
    # The two in the middle have the mean 0.4. The neighbours are 0.5 and 0.3 away, a third of which is 0.1667 and 0.1.
    # They are 0.2 above and below the mean: half of that leaves 0.1.
    relevance = np.float32([0.9, 0.2, 0.6, 0.1])
    assert shown_of(relevance, 4).tolist() == pytest.approx([0.9, 0.5, 0.3, 0.1])
    # The same where only a part of them is asked for.
    assert shown_of(relevance, 2).tolist() == pytest.approx([0.9, 0.5])
    assert shown_of(relevance, 1).tolist() == pytest.approx([0.9])
    # Neighbours that are far away leave them as they are: 0.55 and 0.5 are 0.025 around their mean.
    assert shown_of(np.float32([0.9, 0.5, 0.55, 0.1]), 4).tolist() == pytest.approx([0.9, 0.55, 0.5, 0.1])
    # So do none: all three are in one pool.
    assert shown_of(np.float32([0.1, 0.2, 0.9]), 9).tolist() == pytest.approx([0.9, 0.2, 0.1])


def test_pools_side_by_side_keep_a_third_of_their_distance_between_them():
    # Means 0.55 and 0.45: each pool may go a third of 0.1 from its mean. Their values are 0.25 and 0.35 away.
    shown = shown_of(np.float32([0.3, 0.8, 0.1, 0.8]), 4)
    assert shown.tolist() == pytest.approx([0.55 + 0.1 / 3, 0.55 - 0.1 / 3, 0.45 + 0.1 / 3, 0.45 - 0.1 / 3])


def test_alike_values_of_a_pool_stay_alike():
    shown = shown_of(np.float32([0.1, 0.4, 0.4, 0.4, 0.0]), 5)
    # One pool of 0.4 three times and 0.1, of mean 0.325, and 0.0 behind: a third of 0.325 is less than 0.225.
    room = 0.325 / 3 / 0.225
    expected = [*[0.325 + room * 0.075] * 3, 0.325 - room * 0.225, 0.0]
    assert shown.tolist() == pytest.approx(expected)
    assert shown_of(np.float32([0.7] * 7), 7).tolist() == np.float32([0.7] * 7).tolist()


def relevances(seed: int, count: int, levels: int) -> np.ndarray:
    """Draw relevances with few distinct values, so that some tie."""
    return (np.random.default_rng(seed).integers(0, levels + 1, count) / levels).astype(np.float32)


def test_hits_of_pools_of_the_same_mean_are_one_pool():
    # Three times a mean of 0.4, which float32 says in three ways.
    relevance = np.float32([0.2, 0.6, 0.3, 0.5, 0.4])
    assert shown_of(relevance, 5).tolist() == pytest.approx([0.6, 0.5, 0.4, 0.3, 0.2])
    assert shown_of(relevance, 2).tolist() == pytest.approx([0.6, 0.5])


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 20))
def test_shown_relevance_is_isotonic_regression_with_pools_spread_around_their_means(seed, count, levels):
    relevance = relevances(seed, count, levels)
    shown = shown_of(relevance, count)
    theirs = isotonic_regression(relevance.astype(np.float64), increasing=False)
    np.testing.assert_allclose(shown, spread(relevance, theirs), atol=2e-6)
    assert (np.diff(shown) <= 0).all()
    for mean in np.unique(theirs.round(6)):
        pool = np.abs(theirs - mean) < 1e-6
        assert shown[pool].mean() == pytest.approx(mean, abs=2e-6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 20), st.integers(0, 70))
def test_the_first_hits_are_shown_alike_however_many_are_asked_for(seed, count, levels, asked):
    relevance = relevances(seed, count, levels)
    np.testing.assert_allclose(shown_of(relevance, asked), shown_of(relevance, count)[:asked], atol=2e-6)


def test_hits_of_equal_ranking_scores_are_shown_alike():
    # Copies of a photo in the pool of a rising hit: 0.4, 0.4 and 0.7 have the mean 0.5. In falling order they are 0.7,
    # 0.4 and 0.4; the copies, which come first, have (0.7 + 0.4) / 2.
    scores = np.float32([2, 2, 1, 0])
    shown = isotonic_relevance(np.float32([0.4, 0.4, 0.7, 0]), scores, 4)
    assert shown.tolist() == pytest.approx([0.55, 0.55, 0.4, 0])
    assert shown[0] == shown[1]
    assert isotonic_relevance(np.float32([0.4, 0.4, 0.7, 0]), scores, 1).tolist() == pytest.approx([0.55])
    # What differs in relevance alone has its mean, too.
    assert isotonic_relevance(np.float32([0.8, 0.6, 0.1]), np.float32([1, 1, 0]), 3).tolist() == pytest.approx(
        [0.7, 0.7, 0.1]
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 20), st.integers(1, 70))
def test_with_copies_the_shown_relevance_still_falls_and_keeps_its_mean(seed, count, levels, asked):
    scores = -np.sort(np.random.default_rng(seed).integers(0, 20, count))
    of_photo = relevances(seed, 20, levels)
    relevance = of_photo[-scores]
    shown = isotonic_relevance(relevance, scores, count)
    assert (np.diff(shown) <= 0).all()
    assert (np.diff(shown)[np.diff(scores) == 0] == 0).all()
    assert shown.mean() == pytest.approx(relevance.mean(), abs=2e-6)
    np.testing.assert_allclose(isotonic_relevance(relevance, scores, asked), shown[:asked], atol=2e-6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(1, 40))
def test_relevance_of_any_precision_falls_within_what_was_given(values, asked):
    relevance = np.array(values)
    shown = shown_of(relevance, asked)
    assert (np.diff(shown) <= 0).all()
    # But for rounding; nothing is shown that is no probability.
    assert relevance.min() - 1e-6 <= shown.min()
    assert shown.max() <= relevance.max() + 1e-6
    assert 0 <= shown.min() <= shown.max() <= 1
