import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reranker.calibration import Calibration

FINITE = st.floats(-30, 30, width=32)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def test_relevance_is_the_logistic_function_of_the_scaled_logit():
    plain = Calibration()
    # 1 / (1 + exp(-ln 3)) = 3/4
    np.testing.assert_allclose(plain.apply(np.array([0, np.log(3), -np.log(3)])), [0.5, 0.75, 0.25], rtol=1e-6)
    # ln(9) / 2 + ln(3) = ln 9: 9/10
    assert Calibration(2.0, float(np.log(3))).apply(np.array([np.log(9)])) == pytest.approx([0.9])
    assert plain.apply(np.zeros(1, np.float32)).dtype == np.float32


def test_far_logits_neither_overflow_nor_lose_their_order():
    with np.errstate(all="raise", under="ignore"):
        shown = Calibration().apply(np.array([-1000, -40, -30, -20, 0, 1000], np.float64))
    assert shown[0] == 0.0
    assert shown[-1] == 1.0
    np.testing.assert_allclose(shown[1:4], np.exp([-40, -30, -20]), rtol=1e-6)


@pytest.mark.parametrize(("temperature", "bias"), [(2.5, -1.0), (0.4, 0.7), (1.0, 0.0)])
def test_a_known_temperature_and_bias_are_found(temperature, bias):
    logits = np.random.default_rng(0).normal(0, 2, 500).astype(np.float32)
    chance = sigmoid(logits / temperature + bias)
    found = Calibration.fit(logits, chance, np.ones(500, np.float32))
    assert found.temperature == pytest.approx(temperature, rel=1e-2)
    assert found.bias == pytest.approx(bias, abs=1e-2)


def test_they_are_found_from_yes_and_no_as_well():
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 3, 40_000)
    outcome = (generator.random(40_000) < sigmoid(logits / 3 - 0.5)).astype(np.float32)
    found = Calibration.fit(logits, outcome, np.ones(40_000))
    assert found.temperature == pytest.approx(3, rel=0.05)
    assert found.bias == pytest.approx(-0.5, abs=0.05)


def test_a_weight_of_two_counts_as_two_pairs():
    generator = np.random.default_rng(2)
    logits, targets = generator.normal(0, 2, 100), generator.random(100)
    twice = Calibration.fit(np.tile(logits, 2), np.tile(targets, 2), np.ones(200))
    weights = np.concatenate([np.full(50, 2.0), np.full(50, 1.0)])
    repeated = np.concatenate([np.arange(50), np.arange(100)])
    weighed = Calibration.fit(logits, targets, weights)
    by_hand = Calibration.fit(logits[repeated], targets[repeated], np.ones(150))
    assert (weighed.temperature, weighed.bias) == pytest.approx((by_hand.temperature, by_hand.bias), rel=1e-3)
    assert twice.bias == pytest.approx(Calibration.fit(logits, targets, np.ones(100)).bias, abs=1e-3)


@given(
    st.lists(FINITE, min_size=2, max_size=20),
    st.lists(st.floats(0, 1), min_size=20, max_size=20),
    st.lists(FINITE, min_size=2, max_size=20),
)
def test_no_fit_ever_changes_an_order(logits, targets, shown):
    fitted = Calibration.fit(np.array(logits), np.array(targets[: len(logits)]), np.ones(len(logits)))
    assert fitted.temperature > 0
    relevance = fitted.apply(np.sort(np.array(shown)))
    assert (np.diff(relevance) >= 0).all()
    assert ((relevance >= 0) & (relevance <= 1)).all()


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
def test_targets_that_are_all_equal_are_what_is_shown(target):
    logits = np.random.default_rng(3).normal(0, 1, 200)
    fitted = Calibration.fit(logits, np.full(200, target), np.ones(200))
    assert np.isfinite([fitted.temperature, fitted.bias]).all()
    np.testing.assert_allclose(fitted.apply(logits), target, atol=0.02)


def test_logits_that_are_all_equal_show_the_mean_target():
    fitted = Calibration.fit(np.full(10, 5.0), np.array([0, 1] * 5), np.ones(10))
    assert fitted.apply(np.full(1, 5.0)) == pytest.approx([0.5], abs=1e-3)


def test_its_dictionary_makes_the_same_calibration():
    assert Calibration(**Calibration(2.0, -1.0).as_dict()) == Calibration(2.0, -1.0)
