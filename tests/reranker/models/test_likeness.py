"""Likeness of photos: z against photos at large, what it adds to a ranking score, and what is left beside it."""

import numpy as np
import pytest

from reranker.models.likeness import likeness_of, photo_query

# Two heads of two coordinates, of which the second counts a quarter and the third nothing.
WEIGHTS = np.array([1, 1, 0.25, 0.25, 0], np.float32)


def photos(*angles: tuple[float, float]) -> np.ndarray:
    """Photos whose heads are unit vectors at two angles, with a last coordinate that must not count."""
    return np.array([[np.cos(a), np.sin(a), np.cos(b), np.sin(b), 9] for a, b in angles], np.float32)


def test_z_is_the_weighed_cosine_in_standard_deviations_above_photos_at_large() -> None:
    at_large = photos((1.0, 0.5), (2.0, 1.0), (3.0, 2.0), (0.5, 1.5))
    asked, others = photos((0, 0))[0], photos((0.3, 0.2), (1.2, 2.5))
    cosines = lambda angles: np.array([(np.cos(a) + 0.25 * np.cos(b)) / 1.25 for a, b in angles])  # noqa: E731
    large = cosines([(1.0, 0.5), (2.0, 1.0), (3.0, 2.0), (0.5, 1.5)])
    expected = (cosines([(0.3, 0.2), (1.2, 2.5)]) - large.mean()) / large.std()
    assert photo_query(asked, WEIGHTS, at_large).z(others) == pytest.approx(expected, abs=1e-4)


def test_the_photo_itself_is_none_of_the_photos_at_large() -> None:
    asked, at_large = photos((0, 0))[0], photos((1.0, 0.5), (2.0, 1.0), (3.0, 2.0))
    alone, beside = photo_query(asked, WEIGHTS, at_large), photo_query(asked, WEIGHTS, np.vstack([at_large, asked]))
    assert beside.mean == pytest.approx(alone.mean)
    assert beside.direction == pytest.approx(alone.direction)


def test_a_gallery_of_one_photo_has_a_likeness() -> None:
    asked = photos((0, 0))
    assert np.isfinite(photo_query(asked[0], WEIGHTS, asked).z(asked)).all()


def test_wanted_photos_add_twice_their_log_probability_by_weight() -> None:
    at_large = photos(*((angle, 2 * angle) for angle in np.linspace(0, 6, 50)))
    one, other = (photo_query(photo, WEIGHTS, at_large) for photo in photos((0, 0), (1, 0)))
    shown = photos((0.1, 0), (2, 1), (0.5, 0.5))
    chances = [1 / (1 + np.exp(-(0.89 * query.z(shown) - 4.33))) for query in (one, other)]
    found = likeness_of(shown, [(one, 1.0), (other, 0.5)], [])
    assert found.scores == pytest.approx(2 * np.log(chances[0]) + np.log(chances[1]), rel=1e-4)
    assert found.relevance == pytest.approx(chances[0] * chances[1], rel=1e-4)
    assert (found.is_asked, found.excluded) == (True, [])


def test_half_is_left_of_a_photo_three_deviations_near_an_excluded_one() -> None:
    at_large = photos(*((angle, 2 * angle) for angle in np.linspace(0, 6, 50)))
    query = photo_query(photos((0, 0))[0], WEIGHTS, at_large)
    shown = photos((0.1, 0), (2, 1), (0.5, 0.5))
    z = query.z(shown)
    found = likeness_of(shown, [], [(query, 2.0)])
    ((left, unfit, weight),) = found.excluded
    assert left == pytest.approx(1 / (1 + np.exp(0.89 * (z - 3))), rel=1e-4)
    assert unfit == pytest.approx(1 - 1 / (1 + np.exp(-(0.89 * z - 4.33))), rel=1e-4)
    assert (weight, found.is_asked) == (2.0, False)
    assert found.scores.tolist() == [0, 0, 0]
