"""Late interaction against plain loops, and a fit that distinguishes photos by their regions."""

from dataclasses import replace

import numpy as np
import pytest

from indexer.encoders import Tokens
from reranker.models.late_interaction import STEPS, LateInteraction, Words
from reranker.models.linear_map import unit
from tiny_space import LATE, inputs, make_late


@pytest.fixture
def late() -> LateInteraction:
    return make_late(np.random.default_rng(0))


def plain(late: LateInteraction, regions: np.ndarray, words: Words) -> np.ndarray:
    """Score every query and photo by loops: (queries, photos)."""
    scores = np.zeros((len(words.offsets) - 1, len(regions)))
    for query in range(len(scores)):
        for photo, mapped in enumerate(regions):
            for word in range(words.offsets[query], words.offsets[query + 1]):
                best = max(float(region @ words.vectors[word]) / 254 for region in mapped.astype(np.float64))
                scores[query, photo] += words.weights[word] * best
    return scores


def test_a_photo_of_two_regions_and_a_query_of_two_words_by_hand(late):
    regions = np.int8([[[127, 0], [0, 127]], [[127, 0], [-127, 0]]])
    words = Words(np.float32([[1, 0], [0, 1]]), np.float32([0.25, 0.75]), np.array([0, 2]))
    # 127 steps of 1/254 are a half. Photo 0 has a place for both words, photo 1 only for the first.
    assert late.scores(regions, words, 0).tolist() == [0.5, 0.25 * 0.5]
    assert late.matrix(regions, words).tolist() == [[0.5, 0.25 * 0.5]]


def test_scores_and_their_matrix_equal_plain_loops(late):
    given = inputs()
    regions, words = late.regions(given.regions), late.tokens(given.tokens)
    expected = plain(late, regions, words)
    np.testing.assert_allclose(late.matrix(regions, words), expected, atol=1e-5)
    for query in range(3):
        np.testing.assert_allclose(late.scores(regions, words, query), expected[query], atol=1e-5)
        np.testing.assert_allclose(late.scores(regions[[4, 1]], words, query), expected[query, [4, 1]], atol=1e-5)


@pytest.mark.parametrize("lengths", [(0, 2, 1), (2, 0, 0, 1), (1, 2, 0), (0, 0)])
def test_a_query_without_words_scores_nothing_and_leaves_the_others_as_they_are(late, lengths):
    given = inputs()
    offsets = np.cumsum([0, *lengths])
    tokens = Tokens(given.tokens.vectors[: offsets[-1]], given.tokens.pieces[: offsets[-1]], offsets)
    regions, words = late.regions(given.regions), late.tokens(tokens)
    matrix = late.matrix(regions, words)
    np.testing.assert_allclose(matrix, plain(late, regions, words), atol=1e-5)
    for query, length in enumerate(lengths):
        assert matrix[query].any() == (length > 0)
        np.testing.assert_allclose(late.scores(regions, words, query), matrix[query], atol=1e-5)
    assert late.matrix(regions[:0], words).shape == (len(lengths), 0)
    assert late.scores(regions[:0], words, 0).shape == (0,)


def test_the_matrix_of_more_photos_and_queries_than_a_block_holds_is_still_scores(late):
    generator = np.random.default_rng(1)
    regions = generator.integers(-127, 128, (1030, 2, 4)).astype(np.int8)
    lengths = generator.integers(1, 5, 70)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    words = Words(unit(generator.standard_normal((offsets[-1], 4))), np.ones(offsets[-1], np.float32), offsets)
    matrix = late.matrix(regions, words)
    assert matrix.shape == (70, 1030)
    for query in (0, 63, 64, 69):
        np.testing.assert_allclose(late.scores(regions, words, query), matrix[query], atol=1e-5)


def test_regions_are_mapped_to_unit_vectors_in_steps_of_a_254th(late):
    given = inputs()
    mapped = late.regions(given.regions)
    rows = unit(given.regions.reshape(-1, given.regions.shape[2]).astype(np.float32))
    exact = unit(rows @ late.A - late.a).reshape(7, 3, LATE)
    assert np.abs(exact).max() < 0.5
    np.testing.assert_allclose(mapped / STEPS, exact, atol=0.51 / STEPS)
    # Directions: how long a region's vector is does not matter.
    short = np.sign(given.regions).astype(np.int8)
    assert np.array_equal(late.regions(short), late.regions((100 * short).astype(np.int8)))


def test_words_have_their_own_shift_and_weights_that_sum_to_one(late):
    given = inputs()
    words = late.tokens(given.tokens)
    # Pieces 3, 8 and 9 have rows 0, 1 and 2 of their own; all others share the last.
    row = np.array([0, 1, 3, 2, 2, 3])
    vectors = unit(given.tokens.vectors @ late.B - late.b + late.words[row])
    np.testing.assert_allclose(words.vectors, vectors, atol=1e-5)
    worth = np.log1p(np.exp(late.worth[row] + given.tokens.vectors @ late.u))
    expected = [*worth[:2] / worth[:2].sum(), 1, *worth[3:] / worth[3:].sum()]
    np.testing.assert_allclose(words.weights, expected, rtol=1e-5)
    assert words.offsets.tolist() == [0, 2, 3, 6]


def test_hub_terms_are_the_mean_of_the_five_best_captions_of_the_bank(late):
    regions = late.regions(inputs().regions)
    scores = plain(late, regions, late.bank)
    np.testing.assert_allclose(late.hubness(regions, 5), np.sort(scores, axis=0)[-5:].mean(axis=0), atol=1e-5)
    few = replace(late, bank=Words(late.bank.vectors[:4], late.bank.weights[:4], late.bank.offsets[:3]))
    np.testing.assert_allclose(few.hubness(regions, 5), scores[:2].mean(axis=0), atol=1e-5)
