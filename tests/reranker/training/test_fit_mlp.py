from dataclasses import fields, replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from reranker.metrics.separation import auroc
from reranker.models.joint_space import candidate_scores
from reranker.models.mlp import MLP
from reranker.models.ranking_settings import HeadWeights
from reranker.training.examples.example_lists import ExampleLists
from reranker.training.fit_mlp import (
    HIDDEN_UNITS,
    SECOND_UNITS,
    MLPExamples,
    MLPSettings,
    candidate_mlp,
    fit_mlp,
    start_mlp,
)
from tiny_space import D, E, inputs, make_mlp, make_space

pytestmark = pytest.mark.usefixtures("one_thread")

PAIR_FEATURES = 3


def rows(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return generator.standard_normal(shape).astype(np.float32)


def pairs_of(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, ExampleLists]:
    """Pairs that fit exactly if the sum of the products x_i t_i is positive; the scalars know nothing of it."""
    generator = np.random.default_rng(seed)
    x, t = rows(generator, 400, 3), rows(generator, 400, 3)
    photo, text = generator.integers(0, 400, count), generator.integers(0, 400, count)
    target = ((x[photo] * t[text]).sum(axis=1) > 0).astype(np.float32)
    pair_features = rows(generator, count, 1, PAIR_FEATURES)
    return x, t, ExampleLists(photo[:, None], text, pair_features, target[:, None], np.ones(count, np.float32))


QUICK = MLPSettings(
    learning_rate=1e-2, dropout_images=0.0, dropout_texts=0.0, dropout_hidden=0.0, batch=250, epochs=10, patience=3
)


def log_loss_of(mlp: MLP, x: np.ndarray, t: np.ndarray, pairs: ExampleLists) -> float:
    logits = mlp.plain(x[pairs.photo_rows[:, 0]], t[pairs.text_rows], pairs.pair_features[:, 0]).astype(np.float64)
    losses = np.logaddexp(0, logits) - pairs.targets[:, 0] * logits
    return float((pairs.weights * losses).sum() / pairs.weights.sum())


def test_training_learns_a_product_that_no_linear_model_knows_and_keeps_its_best_epoch():
    x, t, train = pairs_of(5000, seed=0)
    validation_x, validation_t, validation = pairs_of(1500, seed=1)
    fresh_x, fresh_t, fresh = pairs_of(2000, seed=2)
    both_x, both_t = np.concatenate([x, validation_x]), np.concatenate([t, validation_t])
    held = replace(validation, photo_rows=validation.photo_rows + 400, text_rows=validation.text_rows + 400)
    first = start_mlp(3, 3, train, seed=0)
    fitted = fit_mlp(first, MLPExamples(both_x, both_t, train, held), QUICK, listwise=False)
    mlp, history = fitted.mlp, fitted.losses
    photo, fits = fresh.photo_rows[:, 0], fresh.targets[:, 0] == 1
    logits = mlp.plain(fresh_x[photo], fresh_t[fresh.text_rows], fresh.pair_features[:, 0])
    assert auroc(logits[fits], logits[~fits]) > 0.95
    concatenated = np.concatenate([x[train.photo_rows[:, 0]], t[train.text_rows]], axis=1)
    linear = LogisticRegression().fit(concatenated, train.targets[:, 0])
    guess = linear.decision_function(np.concatenate([fresh_x[photo], fresh_t[fresh.text_rows]], axis=1))
    assert auroc(guess[fits], guess[~fits]) < 0.6
    # The history begins before training, and the weights kept are those of its least loss.
    assert len(history) <= 1 + QUICK.epochs
    assert history[0] == pytest.approx(log_loss_of(first, both_x, both_t, held), abs=1e-5)
    assert min(history) == pytest.approx(log_loss_of(mlp, both_x, both_t, held), abs=1e-4)
    assert min(history) < 0.5 * history[0]


def test_training_that_only_makes_it_worse_stops_after_its_patience_and_gives_the_start_back():
    x, t, train = pairs_of(2000, seed=0)
    opposite = replace(train, targets=1 - train.targets)
    first = start_mlp(3, 3, train, seed=0)
    fitted = fit_mlp(first, MLPExamples(x, t, train, opposite), QUICK, listwise=False)
    mlp, history = fitted.mlp, fitted.losses
    assert len(history) == 1 + QUICK.patience
    assert history[0] == min(history)
    for part in fields(MLP):
        # Weights of scalars were at unit spread in between.
        np.testing.assert_allclose(getattr(mlp, part.name), getattr(first, part.name), rtol=1e-6, err_msg=part.name)


def test_training_repeats_for_a_seed_reports_its_steps_and_leaves_its_start_alone():
    x, t, train = pairs_of(600, seed=0)
    first = start_mlp(3, 3, train, seed=0)
    before = first.Wx.copy()
    quick = MLPSettings(epochs=2, batch=250)
    steps: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        steps.append((done, total))

    examples = MLPExamples(x, t, train, train)
    fitted = fit_mlp(first, examples, quick, listwise=False, seed=4, on_progress=progress)
    one, history = fitted.mlp, fitted.losses
    again = fit_mlp(first, examples, quick, listwise=False, seed=4).mlp
    other = fit_mlp(first, examples, quick, listwise=False, seed=5).mlp
    assert np.array_equal(one.Wx, again.Wx)
    assert not np.array_equal(one.Wx, other.Wx)
    assert np.array_equal(first.Wx, before)
    # Two epochs of three steps each: 250 + 250 + 100 pairs.
    assert steps == [*((done, 6) for done in range(1, 7)), (6, 6)]
    assert len(history) == 3


def test_a_weight_of_three_in_validation_counts_as_three_pairs():
    x, t, pairs = pairs_of(200, seed=0)
    fits = pairs.targets[:, 0] == 1
    weighed = replace(pairs, weights=np.where(fits, 3, 1).astype(np.float32))
    three = pairs.take(np.concatenate([np.flatnonzero(fits)] * 3 + [np.flatnonzero(~fits)]))
    first = start_mlp(3, 3, pairs, seed=0)
    one_epoch = MLPSettings(epochs=1, batch=200)
    by_weight = fit_mlp(first, MLPExamples(x, t, pairs, weighed), one_epoch, listwise=False).losses
    by_count = fit_mlp(first, MLPExamples(x, t, pairs, three), one_epoch, listwise=False).losses
    assert by_weight == pytest.approx(by_count, rel=1e-5)


def test_an_untrained_network_is_the_logistic_regression_of_its_scalars():
    generator = np.random.default_rng(3)
    pair_features = rows(generator, 500, PAIR_FEATURES)
    chance = 1 / (1 + np.exp(-(pair_features @ [2, -1, 0.5] + 0.3)))
    target = (generator.random(500) < chance).astype(np.float32)
    each = np.arange(500)
    pairs = ExampleLists(each[:, None], each, pair_features[:, None], target[:, None], np.ones(500, np.float32))
    x, t = rows(generator, 500, 4), rows(generator, 500, 6)
    mlp = start_mlp(4, 6, pairs, seed=0)
    shapes = (4, HIDDEN_UNITS), (6, HIDDEN_UNITS), (HIDDEN_UNITS, SECOND_UNITS)
    assert (mlp.Wx.shape, mlp.Wt.shape, mlp.W2.shape) == shapes
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
    soft = ExampleLists(none[:, None], none, pair_features[:, None], target[:, None], np.full(300, 4, np.float32))
    mlp = start_mlp(2, 2, soft, seed=0)
    # The same said with hard targets: each pair once as fitting, once as not, with the weights of the two chances.
    weights = np.stack([4 * target, 4 * (1 - target)], axis=1).reshape(-1)
    hard = LogisticRegression(C=100.0, tol=1e-8).fit(np.repeat(pair_features, 2, axis=0), np.tile([1, 0], 300), weights)
    np.testing.assert_allclose(mlp.ws, hard.coef_[0], atol=2e-3)
    np.testing.assert_allclose(mlp.b3, hard.intercept_, atol=2e-3)


def listed(count: int, seed: int, shift: float) -> tuple[np.ndarray, np.ndarray, ExampleLists]:
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
    return x, t, ExampleLists(photo, text, pair_features, target, np.ones(count, np.float32))


def test_an_order_learns_from_lists_what_lies_within_them():
    x, t, train = listed(3000, seed=0, shift=3.0)
    first = start_mlp(3, 3, train, seed=0)
    held = train.take(np.arange(2500, 3000))
    fitted = fit_mlp(first, MLPExamples(x, t, train.take(np.arange(2500)), held), QUICK, listwise=True)
    mlp, history = fitted.mlp, fitted.losses

    def logits(one: MLP) -> np.ndarray:
        flat = held.as_pairs()
        values = one.plain(x[flat.photo_rows[:, 0]], t[flat.text_rows], flat.pair_features[:, 0])
        return values.reshape(500, 4).astype(np.float64)

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
    soft = replace(lists, targets=np.tile(np.float32([1, 0.5, 0.5, 0]), (50, 1)))
    mlp = make_mlp(3, 3, np.random.default_rng(0), pair_features=PAIR_FEATURES)
    history = fit_mlp(mlp, MLPExamples(x, t, soft, soft), replace(QUICK, epochs=1), listwise=True).losses
    flat = soft.as_pairs()
    values = mlp.plain(x[flat.photo_rows[:, 0]], t[flat.text_rows], flat.pair_features[:, 0])
    values = values.reshape(50, 4).astype(np.float64)
    chances = np.log(np.exp(values) / np.exp(values).sum(axis=1, keepdims=True))
    assert history[0] == pytest.approx(-(chances @ [0.5, 0.25, 0.25, 0]).mean(), rel=1e-4)


def test_the_candidate_mlp_gives_the_scores_of_the_candidate_stage():
    joint_space, given = make_space(names=False), inputs()
    photos = joint_space.encode_photos(given.x, given.regions)
    queries = joint_space.encode_queries(given.t, given.texts, given.tokens)
    features = joint_space.pair_feature_matrix(photos, queries, slice(0, 3))
    mlp = candidate_mlp(D, E, HeadWeights())
    assert (mlp.hidden, mlp.reads_vectors) == (1, False)
    for query in range(3):
        logits = mlp.plain(given.x, np.repeat(given.t[query : query + 1], 7, axis=0), features[query])
        np.testing.assert_allclose(logits, candidate_scores(photos, queries)[query], atol=1e-5)
