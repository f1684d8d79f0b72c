import numpy as np
import pytest

from reranker.models.lexical_features import LexicalFeatures, words_of
from reranker.models.linear_map import LinearMap

SENTENCES = ["A dog runs", "The dog sleeps", "a cat , a dog", "A cat"]


def test_words_are_distinct_lower_case_and_without_the_commonest():
    assert words_of("The Dog, the dog and a caf\u00e9's 2 boys_x in an inn") == {
        "dog",
        "caf\u00e9",
        "s",
        "boys",
        "x",
        "inn",
    }


def test_the_vocabulary_is_every_frequent_word_with_the_logarithm_of_its_rarity():
    lexical = LexicalFeatures.fit(SENTENCES, at_least=2)
    assert lexical.words == ("cat", "dog")
    np.testing.assert_allclose(lexical.idf, [np.log(4 / 2), np.log(4 / 3)], rtol=1e-6)


def test_a_word_of_every_sentence_tells_nothing_and_is_left_out():
    assert LexicalFeatures.fit(["photo one", "photo one", "photo two"], at_least=2).words == ("one",)


def test_a_vector_is_extended_by_its_words_weighed_to_half_and_made_unit():
    lexical = LexicalFeatures(("cat", "dog"), np.array([3, 4], np.float32))
    extended = lexical.extend(np.array([[1, 0], [0, 1], [0, 1]], np.float32), ["a cat and a dog", "dog!", "a bird"])
    # The words' part is 0.5 x (3, 4) / 5 = (0.3, 0.4); with a unit vector before it the norm is sqrt(1 + 0.25).
    norm = 1.25**0.5
    expected = [[1 / norm, 0, 0.3 / norm, 0.4 / norm], [0, 1 / norm, 0, 0.5 / norm], [0, 1, 0, 0]]
    np.testing.assert_allclose(extended, expected, atol=1e-6)
    assert extended.dtype == np.float32


def test_an_empty_vocabulary_adds_nothing():
    vectors = np.array([[0.6, 0.8]], np.float32)
    assert LexicalFeatures.fit(["a dog"], at_least=5).extend(vectors, ["a dog"]) == pytest.approx(vectors)


def test_a_vector_of_zeros_without_known_words_stays_zeros():
    lexical = LexicalFeatures(("cat",), np.ones(1, np.float32))
    assert lexical.extend(np.zeros((1, 2), np.float32), ["dog"]).tolist() == [[0, 0, 0]]


def test_sentences_in_a_batch_are_extended_as_one_by_one():
    lexical = LexicalFeatures.fit(SENTENCES, at_least=1)
    vectors = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    batch = lexical.extend(vectors, SENTENCES)
    for row, sentence in enumerate(SENTENCES):
        assert np.array_equal(lexical.extend(vectors[row : row + 1], [sentence])[0], batch[row])


@pytest.mark.parametrize("words", [("cat", "dog"), ()])
def test_a_mapped_sentence_is_its_extended_vector_times_the_map(words):
    generator = np.random.default_rng(0)
    lexical = LexicalFeatures(words, np.array([3, 4], np.float32)[: len(words)])
    shapes = ((9, 5), (5,), (3 + len(words), 5), (5,))
    linear = LinearMap(*(generator.standard_normal(shape).astype(np.float32) for shape in shapes))
    vectors = generator.standard_normal((4, 3)).astype(np.float32)
    vectors[3] = 0
    sentences = ["a cat and a dog", "dog!", "a bird", "a bird"]
    expected = linear.texts(lexical.extend(vectors, sentences))
    np.testing.assert_allclose(lexical.mapped(linear, vectors, sentences), expected, atol=1e-6)
