import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reranker.metrics.calibration import log_loss
from reranker.models.calibration import Calibration
from reranker.training.fit_calibration import METHODS, fit_beta, fit_calibration, fit_isotonic, fit_temperature

FINITE = st.floats(-30, 30, width=32)
BETA = Calibration(method="beta", a=0.5, b=2.0, c=-1.0)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def votes(chance, seed=0):
    """Return the share of yes of three people each, and weights of 1."""
    yes = np.random.default_rng(seed).random((3, len(chance))) < chance
    return yes.mean(axis=0), np.ones(len(chance))


@pytest.mark.parametrize(("temperature", "bias"), [(2.5, -1.0), (0.4, 0.7), (1.0, 0.0)])
def test_a_known_temperature_and_bias_are_found(temperature, bias):
    scores = np.random.default_rng(0).normal(0, 2, 500).astype(np.float32)
    chance = sigmoid(scores / temperature + bias)
    found = fit_temperature(scores, chance, np.ones(500, np.float32))
    assert found.temperature == pytest.approx(temperature, rel=1e-2)
    assert found.bias == pytest.approx(bias, abs=1e-2)


def test_they_are_found_from_yes_and_no_as_well():
    generator = np.random.default_rng(1)
    scores = generator.normal(0, 3, 40_000)
    outcome = (generator.random(40_000) < sigmoid(scores / 3 - 0.5)).astype(np.float32)
    found = fit_temperature(scores, outcome, np.ones(40_000))
    assert found.temperature == pytest.approx(3, rel=0.05)
    assert found.bias == pytest.approx(-0.5, abs=0.05)


def test_known_parameters_of_a_beta_calibration_are_found():
    scores = np.random.default_rng(0).normal(0, 3, 500).astype(np.float32)
    found = fit_beta(scores, BETA.apply(scores), np.ones(500, np.float32))
    assert (found.a, found.b, found.c) == pytest.approx((0.5, 2.0, -1.0), abs=0.02)


def test_beta_and_temperature_are_scikit_learns_logistic_regression_without_a_penalty():
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(2)
    scores, weights = generator.normal(-1, 2, 2000), generator.random(2000)
    outcome = generator.random(2000) < BETA.apply(scores)
    oracle = LogisticRegression(C=1e8, tol=1e-8)
    oracle.fit(scores[:, None], outcome, weights)
    found = fit_temperature(scores, outcome, weights)
    assert (1 / found.temperature, found.bias) == pytest.approx((oracle.coef_[0, 0], oracle.intercept_[0]), abs=1e-3)
    s = sigmoid(scores)
    oracle.fit(np.stack([np.log(s), -np.log(1 - s)], axis=1), outcome, weights)
    found = fit_beta(scores, outcome, weights)
    assert (found.a, found.b, found.c) == pytest.approx((*oracle.coef_[0], oracle.intercept_[0]), abs=1e-3)


def test_a_knot_stands_at_each_edge_of_a_pool_and_none_is_certain():
    # 3 and 4 are in the wrong order and pool: (1 * 1 + 3 * 0) / 4 = 1/4.
    scores, targets, weights = np.array([1.0, 4.0, 3.0, 6.0]), np.array([0, 0, 1, 1]), np.array([1.0, 3.0, 1.0, 1.0])
    found = fit_isotonic(scores, targets, weights)
    assert found.knots == ((1.0, 1e-4), (3.0, 0.25), (4.0, 0.25), (6.0, 1 - 1e-4))
    smooth = fit_temperature(scores, targets, weights)
    assert (found.temperature, found.bias) == (smooth.temperature, smooth.bias)


def test_its_knots_are_scikit_learns_isotonic_regression():
    from sklearn.isotonic import IsotonicRegression

    scores = np.random.default_rng(4).normal(0, 3, 500).round(1)
    targets, weights = votes(0.1 + 0.6 * sigmoid(2 * scores))
    found = fit_isotonic(scores, targets, weights)
    exact = IsotonicRegression(y_min=1e-4, y_max=1 - 1e-4).fit(scores, targets, weights)
    assert 4 < len(found.knots) < 64
    np.testing.assert_allclose(np.interp(scores, *np.array(found.knots).T), exact.predict(scores), atol=1e-9)


def test_many_pools_are_joined_into_64_knots_that_keep_near_all_of_them():
    scores = np.random.default_rng(4).normal(0, 3, 1000)
    targets = 0.1 + 0.6 * sigmoid(2 * scores)
    found = fit_isotonic(scores, targets, np.ones(1000))
    # 62 or 63 as well: joining two pools may take two knots away.
    assert 62 <= len(found.knots) <= 64
    assert list(found.knots) == sorted(found.knots)
    assert np.abs(np.interp(scores, *np.array(found.knots).T) - targets).max() < 0.02


def test_the_pools_whose_joining_costs_least_are_joined():
    # 65 pools of one pair each: the shares rise by 1/64 a step, but by 1/640 from 30 to 31 and from 31 to 32.
    shares = np.arange(65) / 64
    shares[31:33] = shares[30] + np.array([1, 2]) / 640
    found = fit_isotonic(np.arange(65.0), shares, np.ones(65))
    assert [score for score, _ in found.knots] == [*range(31), *range(32, 65)]
    # Two of the three are one pool and then all: the mean share stands at both edges.
    assert found.knots[30][1] == found.knots[31][1] == pytest.approx(shares[31])


@pytest.mark.parametrize(
    ("chance", "method"),
    [
        (lambda scores: sigmoid(scores / 2 - 1), "temperature"),
        (lambda scores: BETA.apply(scores), "beta"),
        (lambda scores: np.where(scores > 0, 0.7, np.where(scores > -2, 0.3, 0.1)), "isotonic"),
    ],
)
def test_the_method_that_fits_is_the_one_that_is_taken(chance, method):
    scores = np.random.default_rng(5).normal(0, 3, 3000)
    targets, weights = votes(chance(scores), seed=1)
    found = fit_calibration(scores, targets, weights)
    assert found.method == method == min(found.losses, key=found.losses.__getitem__)
    assert list(found.losses) == ["temperature", "beta", "isotonic"]
    assert found == METHODS[method](scores, targets, weights)


def test_the_losses_are_those_of_pairs_that_were_not_fitted_on():
    """Scores that say nothing: isotonic regression follows the noise of what it has seen, and pays for it."""
    generator = np.random.default_rng(6)
    scores, outcome = generator.normal(0, 1, 1000), (generator.random(1000) < 0.3).astype(float)
    found = fit_calibration(scores, outcome, np.ones(1000))
    seen = log_loss(fit_isotonic(scores, outcome, np.ones(1000)).apply(scores), outcome)
    assert seen < found.losses["temperature"] < found.losses["isotonic"]
    assert found.method != "isotonic"


def test_pairs_of_one_group_are_never_on_both_sides():
    """Every pair is there twice; seen with its double, the steep step of a group looks sure, and alone it does not."""
    generator = np.random.default_rng(7)
    scores = generator.normal(0, 1, 600)
    outcome = (generator.random(600) < 0.5).astype(float)
    twice = np.tile(scores, 2), np.tile(outcome, 2), np.ones(1200)
    alone = fit_calibration(*twice).losses["isotonic"]
    together = fit_calibration(*twice, groups=np.tile(np.arange(600), 2)).losses["isotonic"]
    assert together > alone
    # With its groups, doubling changes nothing that a fold sees.
    once = fit_calibration(scores, outcome, np.ones(600))
    doubled = fit_calibration(*twice, groups=np.tile(np.arange(600), 2))
    assert doubled.losses["beta"] == pytest.approx(once.losses["beta"], rel=1e-4)


def test_isotonic_is_left_out_below_a_thousand_pairs_and_all_but_temperature_below_five_groups():
    scores = np.random.default_rng(8).normal(0, 3, 1000)
    targets, weights = votes(np.where(scores > 0, 0.9, 0.1))
    assert list(fit_calibration(scores[:-1], targets[:-1], weights[:-1]).losses) == ["temperature", "beta"]
    assert list(fit_calibration(scores, targets, weights).losses) == ["temperature", "beta", "isotonic"]
    few = fit_calibration(scores, targets, weights, groups=np.arange(1000) % 4)
    assert (few, few.losses) == (fit_temperature(scores, targets, weights), {})


@pytest.mark.parametrize("method", METHODS)
def test_a_weight_of_two_counts_as_two_pairs(method):
    generator = np.random.default_rng(2)
    scores, targets = generator.normal(0, 2, 100), generator.random(100)
    weights = np.concatenate([np.full(50, 2.0), np.full(50, 1.0)])
    repeated = np.concatenate([np.arange(50), np.arange(100)])
    weighed = METHODS[method](scores, targets, weights)
    by_hand = METHODS[method](scores[repeated], targets[repeated], np.ones(150))
    np.testing.assert_allclose(weighed.apply(scores), by_hand.apply(scores), atol=1e-3)


@given(
    st.sampled_from(list(METHODS)),
    st.lists(FINITE, min_size=2, max_size=20),
    st.lists(st.floats(0, 1), min_size=20, max_size=20),
    st.lists(FINITE, min_size=2, max_size=20),
)
def test_no_fit_ever_changes_an_order(method, scores, targets, shown):
    fitted = METHODS[method](np.array(scores), np.array(targets[: len(scores)]), np.ones(len(scores)))
    relevance = fitted.apply(np.sort(np.array(shown)))
    assert (np.diff(relevance) >= 0).all()
    assert ((relevance >= 0) & (relevance <= 1)).all()


@pytest.mark.parametrize("method", METHODS)
def test_no_fit_ties_scores_near_those_it_has_seen(method):
    """A search orders by relevance, so a flat stretch would leave its photos in no order at all."""
    fitted = METHODS[method](np.arange(8.0), np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.ones(8))
    assert (np.diff(fitted.apply(np.linspace(3.2, 3.8, 10))) > 0).all()
    flat = METHODS[method](np.arange(8.0), np.full(8, 0.5), np.ones(8))
    assert (np.diff(flat.apply(np.linspace(-9, 16, 50))) > 0).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_targets_that_are_all_equal_are_what_is_shown(method, target):
    scores = np.random.default_rng(3).normal(0, 1, 200)
    fitted = METHODS[method](scores, np.full(200, target), np.ones(200))
    np.testing.assert_allclose(fitted.apply(scores).mean(), target, atol=0.02)
    np.testing.assert_allclose(fitted.apply(scores), target, atol=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_scores_that_are_all_equal_show_the_mean_target(method):
    fitted = METHODS[method](np.full(10, 5.0), np.array([0, 1] * 5), np.ones(10))
    assert fitted.apply(np.full(1, 5.0)) == pytest.approx([0.5], abs=1e-3)
