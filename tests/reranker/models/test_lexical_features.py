import os
import subprocess
import sys

import numpy as np
import pytest

from reranker.models.lexical_features import LexicalFeatures, words_of
from reranker.models.linear_map import LinearMap

SENTENCES = ["A dog runs", "The dog sleeps", "a cat , a dog", "A cat"]


def test_words_are_distinct_lower_case_and_without_the_commonest():
    assert words_of("The Dog, the dog and a caf\u00e9's 2 boys_x in an inn") == [
        "boys",
        "caf\u00e9",
        "dog",
        "inn",
        "s",
        "x",
    ]


def test_a_sentence_has_the_same_vector_in_every_process():
    words = [f"w{chr(97 + i)}" for i in range(26)]
    program = f"""
import numpy as np
from reranker.models.lexical_features import LexicalFeatures
idf = np.linspace(0.1, 7.3, 26).astype(np.float32)
lexical = LexicalFeatures({tuple(words)!r}, idf, 0.5)
places, weights = lexical.weights({" ".join(words)!r})
extended = lexical.extend(np.ones((1, 2), np.float32), ["wb wa wz"])
print(places.tolist(), weights.tobytes().hex(), extended.tobytes().hex())
"""
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(printed) == 1


def test_a_vector_is_extended_by_its_words_weighed_to_half_and_made_unit():
    lexical = LexicalFeatures(("cat", "dog"), np.array([3, 4], np.float32), 0.5)
    extended = lexical.extend(np.array([[1, 0], [0, 1], [0, 1]], np.float32), ["a cat and a dog", "dog!", "a bird"])
    # The words' part is 0.5 x (3, 4) / 5 = (0.3, 0.4); with a unit vector before it the norm is sqrt(1 + 0.25).
    norm = 1.25**0.5
    expected = [[1 / norm, 0, 0.3 / norm, 0.4 / norm], [0, 1 / norm, 0, 0.5 / norm], [0, 1, 0, 0]]
    np.testing.assert_allclose(extended, expected, atol=1e-6)
    assert extended.dtype == np.float32


def test_an_empty_vocabulary_adds_nothing():
    vectors = np.array([[0.6, 0.8]], np.float32)
    assert LexicalFeatures.none().extend(vectors, ["a dog"]) == pytest.approx(vectors)


def test_a_vector_of_zeros_without_known_words_stays_zeros():
    lexical = LexicalFeatures(("cat",), np.ones(1, np.float32), 0.5)
    assert lexical.extend(np.zeros((1, 2), np.float32), ["dog"]).tolist() == [[0, 0, 0]]


def test_sentences_in_a_batch_are_extended_as_one_by_one():
    lexical = LexicalFeatures(("cat", "dog", "runs", "sleeps"), np.float32([0.7, 0.3, 1.4, 1.4]), 0.5)
    vectors = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    batch = lexical.extend(vectors, SENTENCES)
    for row, sentence in enumerate(SENTENCES):
        assert np.array_equal(lexical.extend(vectors[row : row + 1], [sentence])[0], batch[row])


@pytest.mark.parametrize("words", [("cat", "dog"), ()])
def test_a_mapped_sentence_is_its_extended_vector_times_the_map(words):
    generator = np.random.default_rng(0)
    lexical = LexicalFeatures(words, np.array([3, 4], np.float32)[: len(words)], 0.5)
    shapes = ((9, 5), (5,), (3 + len(words), 5), (5,))
    linear = LinearMap(*(generator.standard_normal(shape).astype(np.float32) for shape in shapes))
    vectors = generator.standard_normal((4, 3)).astype(np.float32)
    vectors[3] = 0
    sentences = ["a cat and a dog", "dog!", "a bird", "a bird"]
    expected = linear.texts(lexical.extend(vectors, sentences))
    np.testing.assert_allclose(lexical.mapped(linear, vectors, sentences), expected, atol=1e-6)
