from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from reranker.metrics import auroc
from reranker.mlp import HIDDEN, MLP, SCALARS, SECOND, MLPSettings, Pairs, fit, start

pytestmark = pytest.mark.usefixtures("one_thread")


def random_mlp(d: int, e: int, generator: np.random.Generator) -> MLP:
    def weights(*shape: int) -> np.ndarray:
        return (generator.standard_normal(shape) / shape[0] ** 0.5).astype(np.float32)

    m, p = 24, 8
    return MLP(
        Wx=weights(d, m),
        Wt=weights(e, m),
        Ws=weights(SCALARS, m),
        b1=weights(m),
        W2=weights(m, p),
        b2=weights(p),
        w3=weights(p),
        ws=weights(SCALARS),
        b3=weights(1),
    )


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
    mlp = random_mlp(d, e, generator)
    x, t, scalars = rows(generator, n, d), rows(generator, n, e), rows(generator, n, SCALARS)
    factored = mlp.logits(mlp.photo_part(x), mlp.text_part(t), scalars)
    np.testing.assert_allclose(factored, mlp.plain(x, t, scalars), atol=1e-5)


def test_one_query_against_many_photos_equals_pair_by_pair():
    generator = np.random.default_rng(0)
    mlp = random_mlp(7, 5, generator)
    x, t, scalars = rows(generator, 9, 7), rows(generator, 1, 5), rows(generator, 9, SCALARS)
    many = mlp.logits(mlp.photo_part(x), mlp.text_part(t)[0], scalars)
    np.testing.assert_allclose(many, mlp.plain(x, np.repeat(t, 9, axis=0), scalars), atol=1e-5)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_photo_part_kept_as_float16_moves_a_logit_by_no_more_than_its_rounding(seed):
    generator = np.random.default_rng(seed)
    mlp = random_mlp(30, 20, generator)
    x, t, scalars = rows(generator, 10, 30), rows(generator, 10, 20), rows(generator, 10, SCALARS)
    part = mlp.photo_part(x)
    stored = mlp.logits(part.astype(np.float16), mlp.text_part(t), scalars)
    # float16 rounds by 2^-11 of a value; relu passes an error on or stops it, never enlarges it.
    most = 2**-11 * np.abs(part) @ np.abs(mlp.W2) @ np.abs(mlp.w3)
    assert (np.abs(stored - mlp.plain(x, t, scalars)) <= most + 1e-5).all()


def pairs_of(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, Pairs]:
    """Pairs that fit exactly if the sum of the products x_i t_i is positive; the scalars know nothing of it."""
    generator = np.random.default_rng(seed)
    x, t = rows(generator, 400, 3), rows(generator, 400, 3)
    photo, text = generator.integers(0, 400, count), generator.integers(0, 400, count)
    target = ((x[photo] * t[text]).sum(axis=1) > 0).astype(np.float32)
    return x, t, Pairs(photo, text, rows(generator, count, SCALARS), target, np.ones(count, np.float32))


QUICK = MLPSettings(
    learning_rate=1e-2, dropout_images=0.0, dropout_texts=0.0, dropout_hidden=0.0, batch=250, epochs=10, patience=3
)


def log_loss_of(mlp: MLP, x: np.ndarray, t: np.ndarray, pairs: Pairs) -> float:
    logits = mlp.plain(x[pairs.photo], t[pairs.text], pairs.scalars).astype(np.float64)
    losses = np.logaddexp(0, logits) - pairs.target * logits
    return float((pairs.weight * losses).sum() / pairs.weight.sum())


def test_training_learns_a_product_that_no_linear_model_knows_and_keeps_its_best_epoch():
    x, t, train = pairs_of(5000, seed=0)
    validation_x, validation_t, validation = pairs_of(1500, seed=1)
    fresh_x, fresh_t, fresh = pairs_of(2000, seed=2)
    both_x, both_t = np.concatenate([x, validation_x]), np.concatenate([t, validation_t])
    held = replace(validation, photo=validation.photo + 400, text=validation.text + 400)
    first = start(3, 3, train, seed=0)
    mlp, history = fit(first, both_x, both_t, train, held, QUICK)
    logits = mlp.plain(fresh_x[fresh.photo], fresh_t[fresh.text], fresh.scalars)
    assert auroc(logits[fresh.target == 1], logits[fresh.target == 0]) > 0.95
    concatenated = np.concatenate([x[train.photo], t[train.text]], axis=1)
    linear = LogisticRegression().fit(concatenated, train.target)
    guess = linear.decision_function(np.concatenate([fresh_x[fresh.photo], fresh_t[fresh.text]], axis=1))
    assert auroc(guess[fresh.target == 1], guess[fresh.target == 0]) < 0.6
    # The history begins before training, and the weights kept are those of its least loss.
    assert len(history) <= 1 + QUICK.epochs
    assert history[0] == pytest.approx(log_loss_of(first, both_x, both_t, held), abs=1e-5)
    assert min(history) == pytest.approx(log_loss_of(mlp, both_x, both_t, held), abs=1e-4)
    assert min(history) < 0.5 * history[0]


def test_training_that_only_makes_it_worse_stops_after_its_patience_and_gives_the_start_back():
    x, t, train = pairs_of(2000, seed=0)
    opposite = replace(train, target=1 - train.target)
    first = start(3, 3, train, seed=0)
    mlp, history = fit(first, x, t, train, opposite, QUICK)
    assert len(history) == 1 + QUICK.patience
    assert history[0] == min(history)
    for part in fields(MLP):
        assert np.array_equal(getattr(mlp, part.name), getattr(first, part.name)), part.name


def test_training_repeats_for_a_seed_reports_its_steps_and_leaves_its_start_alone():
    x, t, train = pairs_of(600, seed=0)
    first = start(3, 3, train, seed=0)
    before = first.Wx.copy()
    quick = MLPSettings(epochs=2, batch=250)
    steps: list[tuple[int, int]] = []
    one, history = fit(first, x, t, train, train, quick, 4, lambda done, total: steps.append((done, total)))
    again, _ = fit(first, x, t, train, train, quick, 4)
    other, _ = fit(first, x, t, train, train, quick, 5)
    assert np.array_equal(one.Wx, again.Wx)
    assert not np.array_equal(one.Wx, other.Wx)
    assert np.array_equal(first.Wx, before)
    # Two epochs of three steps each: 250 + 250 + 100 pairs.
    assert steps == [(done, 6) for done in range(1, 7)]
    assert len(history) == 3


def test_a_weight_of_three_in_validation_counts_as_three_pairs():
    x, t, pairs = pairs_of(200, seed=0)
    weighed = replace(pairs, weight=np.where(pairs.target == 1, 3, 1).astype(np.float32))
    three = pairs.take(np.concatenate([np.flatnonzero(pairs.target == 1)] * 3 + [np.flatnonzero(pairs.target == 0)]))
    first = start(3, 3, pairs, seed=0)
    one_epoch = MLPSettings(epochs=1, batch=200)
    _, by_weight = fit(first, x, t, pairs, weighed, one_epoch)
    _, by_count = fit(first, x, t, pairs, three, one_epoch)
    assert by_weight == pytest.approx(by_count, rel=1e-5)


def test_an_untrained_network_is_the_logistic_regression_of_its_scalars():
    generator = np.random.default_rng(3)
    scalars = rows(generator, 500, SCALARS)
    chance = 1 / (1 + np.exp(-(scalars @ [2, -1, 0.5] + 0.3)))
    target = (generator.random(500) < chance).astype(np.float32)
    pairs = Pairs(np.arange(500), np.arange(500), scalars, target, np.ones(500, np.float32))
    x, t = rows(generator, 500, 4), rows(generator, 500, 6)
    mlp = start(4, 6, pairs, seed=0)
    assert (mlp.Wx.shape, mlp.Wt.shape, mlp.W2.shape) == ((4, HIDDEN), (6, HIDDEN), (HIDDEN, SECOND))
    logits = mlp.plain(x, t, scalars)
    theirs = LogisticRegression(C=100.0).fit(scalars, target)
    np.testing.assert_allclose(logits, theirs.decision_function(scalars), atol=2e-3)
    assert np.array_equal(np.argsort(logits, kind="stable"), np.argsort(scalars @ mlp.ws + mlp.b3, kind="stable"))
    assert log_loss(target, 1 / (1 + np.exp(-logits.astype(np.float64)))) < 0.6


def test_a_soft_target_is_a_pair_that_fits_in_part():
    generator = np.random.default_rng(4)
    scalars = rows(generator, 300, SCALARS)
    target = (generator.random(300) / 2 + 0.25).astype(np.float32)
    soft = Pairs(np.zeros(300, int), np.zeros(300, int), scalars, target, np.full(300, 4, np.float32))
    mlp = start(2, 2, soft, seed=0)
    # The same said with hard targets: each pair once as fitting, once as not, with the weights of the two chances.
    weights = np.stack([4 * target, 4 * (1 - target)], axis=1).reshape(-1)
    hard = LogisticRegression(C=100.0, tol=1e-8).fit(np.repeat(scalars, 2, axis=0), np.tile([1, 0], 300), weights)
    np.testing.assert_allclose(mlp.ws, hard.coef_[0], atol=2e-3)
    np.testing.assert_allclose(mlp.b3, hard.intercept_, atol=2e-3)


def test_pairs_are_taken_and_joined_row_by_row():
    pairs = Pairs(
        np.array([5, 6, 7]), np.array([1, 2, 3]), np.arange(9.0).reshape(3, 3), np.float32([0, 0.5, 1]), np.ones(3)
    )
    taken = pairs.take(np.array([2, 0]))
    assert len(taken) == 2
    assert (taken.photo.tolist(), taken.text.tolist(), taken.target.tolist()) == ([7, 5], [3, 1], [1, 0])
    assert taken.scalars.tolist() == [[6, 7, 8], [0, 1, 2]]
    joined = Pairs.join([pairs, taken])
    assert joined.photo.tolist() == [5, 6, 7, 7, 5]
    assert joined.target.tolist() == [0, 0.5, 1, 1, 0]
    assert joined.scalars.shape == (5, 3)
