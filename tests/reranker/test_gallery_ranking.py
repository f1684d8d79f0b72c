"""A gallery is ranked as a search ranks it: candidates first, then the ranking path."""

from dataclasses import replace

import numpy as np
import pytest

from reranker.gallery_ranking import GalleryPhotos, GalleryQueries, GalleryRanking, rank_gallery
from reranker.models.joint_space import candidate_scores
from reranker.ranker import Ranker
from reranker.ranking import (
    Candidates,
    correct_small_gallery,
    isotonic_relevance,
    mean_caption_scores,
    rank_candidates,
)
from tiny_space import inputs, make_ranker


def with_settings(ranker: Ranker, **changes) -> Ranker:
    settings = replace(ranker.settings, **changes)
    return replace(ranker, joint_space=replace(ranker.joint_space, settings=settings))


def ranked(ranker: Ranker) -> GalleryRanking:
    given = inputs()
    photos = GalleryPhotos(given.x, given.regions)
    return rank_gallery(ranker, photos, GalleryQueries(list(given.texts), given.t, given.tokens))


def test_the_first_candidates_are_reranked_and_the_others_stay_as_they_were():
    ranker, given = with_settings(make_ranker(), candidates=3), inputs()
    found = ranked(ranker)
    photos = ranker.encode_photos(given.x, given.regions)
    queries = ranker.encode_queries(given.t, given.texts, given.tokens)
    np.testing.assert_array_equal(found.candidate_scores, candidate_scores(photos, queries))
    at_large = mean_caption_scores(ranker, photos)
    for row in range(3):
        first, rest = np.split(np.argsort(-found.candidate_scores[row]), [3])
        assert found.rows[row].tolist() == first.tolist()
        pairs = ranker.scores(photos, queries, row).ranking_scores
        assert found.uncorrected[row] == pytest.approx(pairs[first], abs=1e-5)
        relevance = ranker.scores(photos, queries, row).relevance
        assert found.relevance[row] == pytest.approx(relevance[first], abs=1e-5)
        # Seven photos are few.
        corrected = correct_small_gallery(
            pairs[first], at_large[first], queries.gate[row], 7, ranker.settings.small_gallery
        )
        assert np.argsort(-found.ranking_scores[row]).tolist() == [*first[np.argsort(-corrected)], *rest]
        assert found.ranking_scores[row, first] == pytest.approx(corrected, abs=1e-5)


def test_a_gallery_that_is_not_small_is_left_as_it_is():
    ranker = make_ranker()
    many = with_settings(ranker, small_gallery=replace(ranker.settings.small_gallery, few=5, many=7))
    found = ranked(many)
    assert np.array_equal(np.take_along_axis(found.ranking_scores, found.rows, axis=1), found.uncorrected)
    assert np.array_equal(ranked(ranker).uncorrected, found.uncorrected)


def test_the_chance_of_a_match_is_that_of_the_first_photo_that_is_left():
    ranker, given = make_ranker(), inputs()
    found = ranked(ranker)
    photos = ranker.encode_photos(given.x, given.regions)
    queries = ranker.encode_queries(given.t, given.texts, given.tokens)
    every = np.ones((3, 7), bool)
    gone = every.copy()
    gone[np.arange(3), found.ranking_scores.argmax(axis=1)] = False
    for kept in (every, gone):
        for row in range(3):
            scores = ranker.scores(photos, queries, row)
            best = np.where(kept[row], scores.ranking_scores, -np.inf).argmax()
            asked = queries.query_hubness[[row]], queries.query_words[[row]]
            alone = ranker.match_probability(scores.take(np.array([best])), *asked, kept[row].sum())
            assert found.match_probability(kept)[row] == pytest.approx(alone[0], abs=1e-5)


def test_first_hits_are_those_of_a_search_with_the_relevance_that_it_shows():
    ranker, given = with_settings(make_ranker(), candidates=4), inputs()
    found = ranked(ranker)
    hits, shown = found.first_hits(3)
    photos = ranker.encode_photos(given.x, given.regions)
    queries = ranker.encode_queries(given.t, given.texts, given.tokens)
    for row in range(3):
        candidates = Candidates(found.rows[row], photos.take(found.rows[row]), 7)
        expected = rank_candidates(ranker, candidates, queries, row)
        assert hits[row].tolist() == found.rows[row][expected.places[:3]].tolist()
        np.testing.assert_allclose(
            shown[row], isotonic_relevance(expected.relevance, expected.ranking_scores, 3), atol=1e-6
        )
    # No more hits than candidates.
    assert [part.shape for part in found.first_hits(9)] == [(3, 4), (3, 4)]
