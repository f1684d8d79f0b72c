"""Names of things: a query takes the place of the names it is nearest to, and a gate tells names from sentences."""

import numpy as np
import pytest

from reranker.models.class_names import ClassNameHead
from reranker.models.ranking_settings import ClassNameSettings


def named(head: ClassNameHead, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the things lie that texts name, and the name gate."""
    return head.texts(t, ClassNameSettings())


def small(values: np.ndarray | None = None, gate: tuple[float, ...] = (0, 0, 0, 0)) -> ClassNameHead:
    """Two names along the axes of a text space of two; they lie along the axes of a photo space of two."""
    eye = np.eye(2, dtype=np.float32)
    return ClassNameHead(eye, np.zeros(2, np.float32), eye, eye if values is None else values, np.float32(gate))


def test_a_query_takes_the_place_of_the_name_it_is_nearest_to():
    places, _ = named(small(), np.float32([[1, 0], [0.6, 0.8], [0.8, 0.6]]))
    # Similarities 0.6 and 0.8 are 0.2 apart, four temperatures: shares 1 / (1 + e^4) and e^4 / (1 + e^4).
    share = 1 / (1 + np.exp(4))
    between = np.array([share, 1 - share]) / np.hypot(share, 1 - share)
    np.testing.assert_allclose(places, [[1, 0], between, between[::-1]], atol=1e-5)


def test_names_of_one_place_lead_there_together():
    places, _ = named(small(np.float32([[0, 1], [0, 1]])), np.float32([[1, 0], [-0.6, 0.8]]))
    np.testing.assert_allclose(places, [[0, 1], [0, 1]], atol=1e-6)


def test_the_gate_is_a_logistic_of_the_query_its_best_similarities_and_a_bias():
    _, gate = named(small(gate=(2, 0, 0.5, -1)), np.float32([[0.6, 0.8]]))
    # The mean of the two similarities is 0.7, five times that counts: 2 x 0.6 + 0.5 x 3.5 - 1 = 1.95
    assert gate == pytest.approx([1 / (1 + np.exp(-1.95))], rel=1e-5)


def test_photos_are_centred_turned_and_made_unit():
    names = ClassNameHead(
        2 * np.eye(2, dtype=np.float32), np.float32([2, 0]), *(np.eye(2, dtype=np.float32),) * 2, np.zeros(4)
    )
    # (4, 2) -> (8 - 2, 4 - 0) = (6, 4) -> / sqrt(52)
    np.testing.assert_allclose(names.images(np.float16([[4, 2]])), [[6 / 52**0.5, 4 / 52**0.5]], rtol=1e-5)


def test_no_names_have_no_place_and_a_gate_that_is_shut():
    none = ClassNameHead.none(3, 4)
    assert none.k == 0
    assert none.images(np.ones((5, 3), np.float32)).shape == (5, 0)
    places, gate = named(none, np.ones((2, 4), np.float32))
    assert places.shape == (2, 0)
    assert gate.tolist() == [0, 0]
