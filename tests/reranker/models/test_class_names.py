"""Names of things: a query takes the place of the names it is nearest to, by one of two gates."""

from dataclasses import replace

import numpy as np
import pytest

from reranker.models.class_names import GATE_FEATURES, ClassNameHead, gate_features
from reranker.models.ranking_settings import ClassNameSettings


def named(head: ClassNameHead, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the things lie that texts name, and the name gate; their words are the numbers 1 to 4."""
    return head.texts(t, np.tile(np.arange(1, 5, dtype=np.float32), (len(t), 1)), ClassNameSettings())


def small(values: np.ndarray | None = None, of_text: tuple[float, float] = (0, 0), **gate: float) -> ClassNameHead:
    """Two names along the axes of a text space of two; they lie along the axes of a photo space of two.

    Both gates have weights `of_text`, and those of `GATE_FEATURES` that are named.
    """
    eye = np.eye(2, dtype=np.float32)
    weights = np.float32([*of_text, *(gate.get(name, 0) for name in GATE_FEATURES)])
    return ClassNameHead(eye, np.zeros(2, np.float32), eye, eye if values is None else values, weights, weights)


def test_a_query_takes_the_place_of_the_name_it_is_nearest_to():
    places, _ = named(small(), np.float32([[1, 0], [0.6, 0.8], [0.8, 0.6]]))
    # Similarities 0.6 and 0.8 are 0.2 apart, four temperatures: shares 1 / (1 + e^4) and e^4 / (1 + e^4).
    share = 1 / (1 + np.exp(4))
    between = np.array([share, 1 - share]) / np.hypot(share, 1 - share)
    np.testing.assert_allclose(places, [[1, 0], between, between[::-1]], atol=1e-5)


def test_names_of_one_place_lead_there_together():
    places, _ = named(small(np.float32([[0, 1], [0, 1]])), np.float32([[1, 0], [-0.6, 0.8]]))
    np.testing.assert_allclose(places, [[0, 1], [0, 1]], atol=1e-6)


def test_the_gate_is_a_logistic_of_the_query_its_best_similarities_its_words_and_a_bias():
    _, gate = named(small(of_text=(2, 0), mean_of_nearest=0.5, bias=-1), np.float32([[0.6, 0.8]]))
    # The mean of the two similarities is 0.7, five times that counts: 2 x 0.6 + 0.5 x 3.5 - 1 = 1.95
    assert gate == pytest.approx([1 / (1 + np.exp(-1.95))], rel=1e-5)
    _, gate = named(small(nearest=0.5, margin=2, rarity=0.1, captioned=-1), np.float32([[0.6, 0.8]]))
    # The best is 0.8, 0.2 before the second, five times each; rarity is 2, captioned 3: 0.5 x 4 + 2 x 1 + 0.2 - 3 = 1.2
    assert gate == pytest.approx([1 / (1 + np.exp(-1.2))], rel=1e-5)


def test_a_query_of_words_that_captions_say_asks_one_gate_and_any_other_the_other():
    head = replace(small(bias=2), said_gate=small(bias=-3).gate)
    words = np.float32([[0.5, 0.5, captioned, 1] for captioned in (1, 0.5, 0)])
    _, gate = head.texts(np.float32([[0.6, 0.8]] * 3), words, ClassNameSettings())
    assert gate == pytest.approx([1 / (1 + np.exp(3)), *[1 / (1 + np.exp(-2))] * 2], rel=1e-5)


def test_the_inputs_of_the_gate_are_the_text_its_similarities_and_its_words():
    settings = ClassNameSettings(nearest=3, gate_scale=10)
    t, words = np.float32([[0.6, 0.8], [1, 0]]), np.float32([[1, 2, 3, 4], [5, 6, 7, 8]])
    similarity = np.float32([[0.1, 0.7, 0.4, 0.5], [0.2, 0.2, -0.6, 0.2]])
    # (0.7 + 0.4 + 0.5) / 3 is 1.6 / 3, and 0.7 is 0.2 above 0.5. In the second row three are alike.
    expected = [[0.6, 0.8, 16 / 3, 1, 7, 2, 1, 2, 3], [1, 0, 2, 1, 2, 0, 5, 6, 7]]
    np.testing.assert_allclose(gate_features(t, similarity, words, settings), expected, atol=1e-6)
    assert GATE_FEATURES == (
        "mean_of_nearest",
        "bias",
        "nearest",
        "margin",
        "word_count",
        "rarity",
        "captioned",
    )


def test_a_gate_that_looks_at_one_name_still_knows_how_far_the_second_is_behind():
    t, words = np.float32([[0.6, 0.8]]), np.zeros((1, 4), np.float32)
    similarity = np.float32([[0.1, 0.7, 0.4]])
    one = gate_features(t, similarity, words, ClassNameSettings(nearest=1, gate_scale=10))
    np.testing.assert_allclose(one[0, 2:6], [7, 1, 7, 3], atol=1e-6)
    # Of one name alone, none is behind.
    alone = gate_features(t, similarity[:, 1:2], words, ClassNameSettings(nearest=5, gate_scale=10))
    np.testing.assert_allclose(alone[0, 2:6], [7, 1, 7, 0], atol=1e-6)


def test_the_place_of_a_text_is_the_weighted_mean_of_places_of_any_similarities():
    # Shares e^(0 / 0.5), e^(1 / 0.5): 1 and e^2 of names that lie along the axes.
    places = small().places(np.float32([[0, 1]]), ClassNameSettings(temperature=0.5))
    norm = np.hypot(1, np.exp(2))
    np.testing.assert_allclose(places, [[1 / norm, np.exp(2) / norm]], rtol=1e-5)


def test_photos_are_centred_turned_and_made_unit():
    none = np.zeros(4)
    names = ClassNameHead(
        2 * np.eye(2, dtype=np.float32), np.float32([2, 0]), *(np.eye(2, dtype=np.float32),) * 2, none, none
    )
    # (4, 2) -> (8 - 2, 4 - 0) = (6, 4) -> / sqrt(52)
    np.testing.assert_allclose(names.images(np.float16([[4, 2]])), [[6 / 52**0.5, 4 / 52**0.5]], rtol=1e-5)


def test_no_names_have_no_place_and_a_gate_that_is_shut():
    none = ClassNameHead.none(3, 4)
    assert none.k == 0
    assert none.gate.shape == none.said_gate.shape == (4 + len(GATE_FEATURES),)
    assert none.images(np.ones((5, 3), np.float32)).shape == (5, 0)
    places, gate = named(none, np.ones((2, 4), np.float32))
    assert places.shape == (2, 0)
    assert gate.tolist() == [0, 0]
