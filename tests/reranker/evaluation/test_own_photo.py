import numpy as np
import pytest

from reranker.evaluation.own_photo import ece_of_own

CAPTIONS, PHOTOS = 400, 80


def relevance_of(own: float, other: float, ranks: np.ndarray) -> np.ndarray:
    """Return the same relevance for every own photo and the same for every other one."""
    relevance = np.full((CAPTIONS, PHOTOS), other)
    relevance[np.arange(CAPTIONS), ranks] = own
    return relevance


@pytest.fixture
def ranks() -> np.ndarray:
    return np.random.default_rng(1).integers(PHOTOS, size=CAPTIONS)


def test_relevance_of_one_for_own_photos_alone_has_no_error(ranks):
    assert ece_of_own(relevance_of(1.0, 0.0, ranks), ranks).value == 0


def test_relevance_that_is_wrong_everywhere_has_the_whole_error(ranks):
    assert ece_of_own(relevance_of(0.0, 1.0, ranks), ranks).value == pytest.approx(1)


def test_the_same_relevance_for_all_is_right_at_the_share_of_own_photos(ranks):
    # One of four photos is the caption's own.
    found = ece_of_own(relevance_of(0.25, 0.25, ranks), ranks)
    assert found.value == pytest.approx(0, abs=0.02)
    assert ece_of_own(relevance_of(0.75, 0.75, ranks), ranks).value == pytest.approx(0.5, abs=0.02)


def test_the_best_others_count_more_than_those_far_down(ranks):
    # All others among the first 50 are shown with 1, so two or three of the four photos are wrong by 1.
    relevance = relevance_of(1.0, 0.0, ranks)
    relevance[:, :51] = 1.0
    assert 0.5 < ece_of_own(relevance, ranks).value < 0.75


def test_two_photos_are_enough_and_one_is_none():
    assert ece_of_own(np.array([[1.0, 0.0]]), np.array([0])).value == 0
    assert np.isnan(ece_of_own(np.array([[1.0]]), np.array([0])))


def test_a_caption_whose_photo_is_no_candidate_is_left_out(ranks):
    relevance = np.vstack([relevance_of(1.0, 0.0, ranks), np.ones(PHOTOS)])
    assert ece_of_own(relevance, np.append(ranks, PHOTOS)).value == 0
    assert np.isnan(ece_of_own(np.ones((1, PHOTOS)), np.array([PHOTOS])))
