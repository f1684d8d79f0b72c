from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from reranker.metrics.metrics import auroc
from reranker.models.mlp import HIDDEN, MLP, SECOND, Lists, MLPSettings, fit, start

pytestmark = pytest.mark.usefixtures("one_thread")

PAIR_FEATURES = 3


def random_mlp(d: int, e: int, generator: np.random.Generator) -> MLP:
    def weights(*shape: int) -> np.ndarray:
        return (generator.standard_normal(shape) / shape[0] ** 0.5).astype(np.float32)

    m, p = 24, 8
    return MLP(
        Wx=weights(d, m),
        Wt=weights(e, m),
        Ws=weights(PAIR_FEATURES, m),
        b1=weights(m),
        W2=weights(m, p),
        b2=weights(p),
        w3=weights(p),
        ws=weights(PAIR_FEATURES),
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
    x, t, pair_features = rows(generator, n, d), rows(generator, n, e), rows(generator, n, PAIR_FEATURES)
    factored = mlp.logits(mlp.photo_part(x), mlp.text_part(t), pair_features)
    np.testing.assert_allclose(factored, mlp.plain(x, t, pair_features), atol=1e-5)


def test_one_query_against_many_photos_equals_pair_by_pair():
    generator = np.random.default_rng(0)
    mlp = random_mlp(7, 5, generator)
    x, t, pair_features = rows(generator, 9, 7), rows(generator, 1, 5), rows(generator, 9, PAIR_FEATURES)
    many = mlp.logits(mlp.photo_part(x), mlp.text_part(t)[0], pair_features)
    np.testing.assert_allclose(many, mlp.plain(x, np.repeat(t, 9, axis=0), pair_features), atol=1e-5)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_photo_part_kept_as_float16_moves_a_logit_by_no_more_than_its_rounding(seed):
    generator = np.random.default_rng(seed)
    mlp = random_mlp(30, 20, generator)
    x, t, pair_features = rows(generator, 10, 30), rows(generator, 10, 20), rows(generator, 10, PAIR_FEATURES)
    part = mlp.photo_part(x)
    stored = mlp.logits(part.astype(np.float16), mlp.text_part(t), pair_features)
    # float16 rounds by 2^-11 of a value; relu passes an error on or stops it, never enlarges it.
    most = 2**-11 * np.abs(part) @ np.abs(mlp.W2) @ np.abs(mlp.w3)
    assert (np.abs(stored - mlp.plain(x, t, pair_features)) <= most + 1e-5).all()


def pairs_of(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, Lists]:
    """Lists that fit exactly if the sum of the products x_i t_i is positive; the scalars know nothing of it."""
    generator = np.random.default_rng(seed)
    x, t = rows(generator, 400, 3), rows(generator, 400, 3)
    photo, text = generator.integers(0, 400, count), generator.integers(0, 400, count)
    target = ((x[photo] * t[text]).sum(axis=1) > 0).astype(np.float32)
    pair_features = rows(generator, count, 1, PAIR_FEATURES)
    return x, t, Lists(photo[:, None], text, pair_features, target[:, None], np.ones(count, np.float32))


QUICK = MLPSettings(
    learning_rate=1e-2, dropout_images=0.0, dropout_texts=0.0, dropout_hidden=0.0, batch=250, epochs=10, patience=3
)


def log_loss_of(mlp: MLP, x: np.ndarray, t: np.ndarray, pairs: Lists) -> float:
    logits = mlp.plain(x[pairs.photo[:, 0]], t[pairs.text], pairs.pair_features[:, 0]).astype(np.float64)
    losses = np.logaddexp(0, logits) - pairs.target[:, 0] * logits
    return float((pairs.weight * losses).sum() / pairs.weight.sum())


def test_training_learns_a_product_that_no_linear_model_knows_and_keeps_its_best_epoch():
    x, t, train = pairs_of(5000, seed=0)
    validation_x, validation_t, validation = pairs_of(1500, seed=1)
    fresh_x, fresh_t, fresh = pairs_of(2000, seed=2)
    both_x, both_t = np.concatenate([x, validation_x]), np.concatenate([t, validation_t])
    held = replace(validation, photo=validation.photo + 400, text=validation.text + 400)
    first = start(3, 3, train, seed=0)
    mlp, history = fit(first, both_x, both_t, train, held, QUICK, listwise=False)
    photo, fits = fresh.photo[:, 0], fresh.target[:, 0] == 1
    logits = mlp.plain(fresh_x[photo], fresh_t[fresh.text], fresh.pair_features[:, 0])
    assert auroc(logits[fits], logits[~fits]) > 0.95
    concatenated = np.concatenate([x[train.photo[:, 0]], t[train.text]], axis=1)
    linear = LogisticRegression().fit(concatenated, train.target[:, 0])
    guess = linear.decision_function(np.concatenate([fresh_x[photo], fresh_t[fresh.text]], axis=1))
    assert auroc(guess[fits], guess[~fits]) < 0.6
    # The history begins before training, and the weights kept are those of its least loss.
    assert len(history) <= 1 + QUICK.epochs
    assert history[0] == pytest.approx(log_loss_of(first, both_x, both_t, held), abs=1e-5)
    assert min(history) == pytest.approx(log_loss_of(mlp, both_x, both_t, held), abs=1e-4)
    assert min(history) < 0.5 * history[0]


def test_training_that_only_makes_it_worse_stops_after_its_patience_and_gives_the_start_back():
    x, t, train = pairs_of(2000, seed=0)
    opposite = replace(train, target=1 - train.target)
    first = start(3, 3, train, seed=0)
    mlp, history = fit(first, x, t, train, opposite, QUICK, listwise=False)
    assert len(history) == 1 + QUICK.patience
    assert history[0] == min(history)
    for part in fields(MLP):
        # Weights of scalars were at unit spread in between.
        np.testing.assert_allclose(getattr(mlp, part.name), getattr(first, part.name), rtol=1e-6, err_msg=part.name)


def test_training_repeats_for_a_seed_reports_its_steps_and_leaves_its_start_alone():
    x, t, train = pairs_of(600, seed=0)
    first = start(3, 3, train, seed=0)
    before = first.Wx.copy()
    quick = MLPSettings(epochs=2, batch=250)
    steps: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        steps.append((done, total))

    one, history = fit(first, x, t, train, train, quick, listwise=False, seed=4, on_progress=progress)
    again, _ = fit(first, x, t, train, train, quick, listwise=False, seed=4)
    other, _ = fit(first, x, t, train, train, quick, listwise=False, seed=5)
    assert np.array_equal(one.Wx, again.Wx)
    assert not np.array_equal(one.Wx, other.Wx)
    assert np.array_equal(first.Wx, before)
    # Two epochs of three steps each: 250 + 250 + 100 pairs.
    assert steps == [*((done, 6) for done in range(1, 7)), (6, 6)]
    assert len(history) == 3


def test_a_weight_of_three_in_validation_counts_as_three_pairs():
    x, t, pairs = pairs_of(200, seed=0)
    fits = pairs.target[:, 0] == 1
    weighed = replace(pairs, weight=np.where(fits, 3, 1).astype(np.float32))
    three = pairs.take(np.concatenate([np.flatnonzero(fits)] * 3 + [np.flatnonzero(~fits)]))
    first = start(3, 3, pairs, seed=0)
    one_epoch = MLPSettings(epochs=1, batch=200)
    _, by_weight = fit(first, x, t, pairs, weighed, one_epoch, listwise=False)
    _, by_count = fit(first, x, t, pairs, three, one_epoch, listwise=False)
    assert by_weight == pytest.approx(by_count, rel=1e-5)


def test_an_untrained_network_is_the_logistic_regression_of_its_scalars():
    generator = np.random.default_rng(3)
    pair_features = rows(generator, 500, PAIR_FEATURES)
    chance = 1 / (1 + np.exp(-(pair_features @ [2, -1, 0.5] + 0.3)))
    target = (generator.random(500) < chance).astype(np.float32)
    each = np.arange(500)
    pairs = Lists(each[:, None], each, pair_features[:, None], target[:, None], np.ones(500, np.float32))
    x, t = rows(generator, 500, 4), rows(generator, 500, 6)
    mlp = start(4, 6, pairs, seed=0)
    assert (mlp.Wx.shape, mlp.Wt.shape, mlp.W2.shape) == ((4, HIDDEN), (6, HIDDEN), (HIDDEN, SECOND))
    logits = mlp.plain(x, t, pair_features)
    theirs = LogisticRegression(C=100.0).fit(pair_features, target)
    np.testing.assert_allclose(logits, theirs.decision_function(pair_features), atol=2e-3)
    assert np.array_equal(np.argsort(logits, kind="stable"), np.argsort(pair_features @ mlp.ws + mlp.b3, kind="stable"))
    assert log_loss(target, 1 / (1 + np.exp(-logits.astype(np.float64)))) < 0.6


def test_a_soft_target_is_a_pair_that_fits_in_part():
    generator = np.random.default_rng(4)
    pair_features = rows(generator, 300, PAIR_FEATURES)
    target = (generator.random(300) / 2 + 0.25).astype(np.float32)
    none = np.zeros(300, int)
    soft = Lists(none[:, None], none, pair_features[:, None], target[:, None], np.full(300, 4, np.float32))
    mlp = start(2, 2, soft, seed=0)
    # The same said with hard targets: each pair once as fitting, once as not, with the weights of the two chances.
    weights = np.stack([4 * target, 4 * (1 - target)], axis=1).reshape(-1)
    hard = LogisticRegression(C=100.0, tol=1e-8).fit(np.repeat(pair_features, 2, axis=0), np.tile([1, 0], 300), weights)
    np.testing.assert_allclose(mlp.ws, hard.coef_[0], atol=2e-3)
    np.testing.assert_allclose(mlp.b3, hard.intercept_, atol=2e-3)


def lists_of_two() -> Lists:
    return Lists(
        photo=np.array([[5, 6], [7, 5], [8, 9]]),
        text=np.array([1, 2, 3]),
        pair_features=np.arange(18.0).reshape(3, 2, 3),
        target=np.float32([[1, 0], [0.5, 0.25], [0, 1]]),
        weight=np.float32([1, 2, 3]),
    )


def test_lists_are_taken_and_joined_row_by_row():
    lists = lists_of_two()
    taken = lists.take(np.array([2, 0]))
    assert len(taken) == 2
    assert (taken.photo.tolist(), taken.text.tolist(), taken.weight.tolist()) == ([[8, 9], [5, 6]], [3, 1], [3, 1])
    assert taken.pair_features[:, 0].tolist() == [[12, 13, 14], [0, 1, 2]]
    joined = Lists.join([lists, taken])
    assert joined.photo[:, 0].tolist() == [5, 7, 8, 8, 5]
    assert joined.target[:, 1].tolist() == [0, 0.25, 1, 1, 0]
    assert joined.pair_features.shape == (5, 2, 3)


def test_the_pairs_of_lists_are_lists_of_one_with_the_weight_of_their_list():
    pairs = lists_of_two().pairs()
    assert pairs.photo.tolist() == [[5], [6], [7], [5], [8], [9]]
    assert pairs.text.tolist() == [1, 1, 2, 2, 3, 3]
    assert pairs.target.tolist() == [[1], [0], [0.5], [0.25], [0], [1]]
    assert pairs.weight.tolist() == [1, 1, 2, 2, 3, 3]
    assert pairs.pair_features[:, 0].tolist() == np.arange(18.0).reshape(6, 3).tolist()
    last = lists_of_two().pairs(slice(-1, None))
    assert (last.photo.tolist(), last.text.tolist(), last.weight.tolist()) == ([[6], [5], [9]], [1, 2, 3], [1, 2, 3])


def listed(count: int, seed: int, shift: float) -> tuple[np.ndarray, np.ndarray, Lists]:
    """Texts with four photos each, the first of which has the largest product of all; and all scalars of a text are
    moved by a number of its own, which no pair can be judged by alone."""
    generator = np.random.default_rng(seed)
    x, t = rows(generator, 300, 3), rows(generator, 300, 3)
    text, photo = generator.integers(0, 300, count), generator.integers(0, 300, (count, 4))
    products = np.einsum("nlj,nj->nl", x[photo], t[text])
    best = np.argsort(-products, axis=1)
    photo, products = np.take_along_axis(photo, best, axis=1), np.take_along_axis(products, best, axis=1)
    pair_features = rows(generator, count, 4, PAIR_FEATURES)
    pair_features[..., 0] = 0.3 * products + shift * rows(generator, count, 1)
    target = np.tile(np.float32([1, 0, 0, 0]), (count, 1))
    return x, t, Lists(photo, text, pair_features, target, np.ones(count, np.float32))


def test_an_order_learns_from_lists_what_lies_within_them():
    x, t, train = listed(3000, seed=0, shift=3.0)
    first = start(3, 3, train, seed=0)
    mlp, history = fit(
        first, x, t, train.take(np.arange(2500)), train.take(np.arange(2500, 3000)), QUICK, listwise=True
    )
    held = train.take(np.arange(2500, 3000))

    def logits(one: MLP) -> np.ndarray:
        flat = held.pairs()
        return one.plain(x[flat.photo[:, 0]], t[flat.text], flat.pair_features[:, 0]).reshape(500, 4).astype(np.float64)

    # Softmax cross-entropy: the logarithm of the sum less the logit of the first.
    for one, loss in ((first, history[0]), (mlp, min(history))):
        values = logits(one)
        expected = (np.log(np.exp(values).sum(axis=1)) - values[:, 0]).mean()
        assert loss == pytest.approx(expected, abs=1e-4)
    # One in four by chance; single pairs tell little, as every list has a level of its own.
    assert (logits(first).argmax(axis=1) == 0).mean() < 0.7
    assert (logits(mlp).argmax(axis=1) == 0).mean() > 0.9


def test_a_list_may_have_several_that_fit_each_with_its_share():
    x, t, lists = listed(50, seed=0, shift=0.0)
    soft = replace(lists, target=np.tile(np.float32([1, 0.5, 0.5, 0]), (50, 1)))
    mlp = random_mlp(3, 3, np.random.default_rng(0))
    _, history = fit(mlp, x, t, soft, soft, replace(QUICK, epochs=1), listwise=True)
    flat = soft.pairs()
    values = mlp.plain(x[flat.photo[:, 0]], t[flat.text], flat.pair_features[:, 0]).reshape(50, 4).astype(np.float64)
    chances = np.log(np.exp(values) / np.exp(values).sum(axis=1, keepdims=True))
    assert history[0] == pytest.approx(-(chances @ [0.5, 0.25, 0.25, 0]).mean(), rel=1e-4)
