import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reranker.models.mlp import MLP
from tiny_space import make_mlp

pytestmark = pytest.mark.usefixtures("one_thread")

PAIR_FEATURES = 3


def rows(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return generator.standard_normal(shape).astype(np.float32)


def test_a_network_of_one_unit_is_what_one_computes_by_hand():
    one = np.ones((1, 1), np.float32)
    mlp = MLP(
        Wx=2 * one,
        Wt=3 * one,
        Ws=np.float32([[1], [0], [0]]),
        b1=np.float32([-1]),
        W2=2 * one,
        b2=np.float32([-4]),
        w3=np.float32([0.5]),
        ws=np.float32([1, 10, 100]),
        b3=np.float32([7]),
    )
    x, t, s = np.float32([[1], [0]]), np.float32([[1], [0]]), np.float32([[0.5, 1, 2], [0.5, 1, 2]])
    # hidden = relu(2 + 3 + 0.5 - 1) = 4.5 and relu(0.5 - 1) = 0; second = relu(9 - 4) = 5 and relu(-4) = 0;
    # logit = 0.5 x second + (0.5 + 10 + 200) + 7 = 220 and 217.5
    assert mlp.plain(x, t, s).tolist() == [220.0, 217.5]
    assert mlp.logits(mlp.photo_part(x), mlp.text_part(t), s).tolist() == [220.0, 217.5]


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_the_factored_network_equals_the_plain_one(seed, d, e, n):
    generator = np.random.default_rng(seed)
    mlp = make_mlp(d, e, generator, pair_features=PAIR_FEATURES)
    x, t, pair_features = rows(generator, n, d), rows(generator, n, e), rows(generator, n, PAIR_FEATURES)
    factored = mlp.logits(mlp.photo_part(x), mlp.text_part(t), pair_features)
    np.testing.assert_allclose(factored, mlp.plain(x, t, pair_features), atol=1e-5)


def test_one_query_against_many_photos_equals_pair_by_pair():
    generator = np.random.default_rng(0)
    mlp = make_mlp(7, 5, generator, pair_features=PAIR_FEATURES)
    x, t, pair_features = rows(generator, 9, 7), rows(generator, 1, 5), rows(generator, 9, PAIR_FEATURES)
    many = mlp.logits(mlp.photo_part(x), mlp.text_part(t)[0], pair_features)
    np.testing.assert_allclose(many, mlp.plain(x, np.repeat(t, 9, axis=0), pair_features), atol=1e-5)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_photo_part_kept_as_float16_moves_a_logit_by_no_more_than_its_rounding(seed):
    generator = np.random.default_rng(seed)
    mlp = make_mlp(30, 20, generator, pair_features=PAIR_FEATURES)
    x, t, pair_features = rows(generator, 10, 30), rows(generator, 10, 20), rows(generator, 10, PAIR_FEATURES)
    part = mlp.photo_part(x)
    stored = mlp.logits(part.astype(np.float16), mlp.text_part(t), pair_features)
    # float16 rounds by 2^-11 of a value; relu passes an error on or stops it, never enlarges it.
    most = 2**-11 * np.abs(part) @ np.abs(mlp.W2) @ np.abs(mlp.w3)
    assert (np.abs(stored - mlp.plain(x, t, pair_features)) <= most + 1e-5).all()
