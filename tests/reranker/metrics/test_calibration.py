import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from reranker.metrics.calibration import brier_score, brier_skill, calibration_error, log_loss, reliability


def test_the_log_loss_is_the_mean_surprise_at_each_outcome_by_its_share_and_weight():
    relevance, outcome = np.array([0.5, 0.25, 0.8]), np.array([1.0, 0.0, 0.5])
    # ln 2, ln 4/3, and half each of ln 5/4 and ln 5
    losses = np.log([2, 4 / 3, (5 / 4 * 5) ** 0.5])
    assert log_loss(relevance, outcome) == pytest.approx(losses.mean())
    weights = np.array([1.0, 2.0, 1.0])
    assert log_loss(relevance, outcome, weights) == pytest.approx(np.average(losses, weights=weights))


def test_a_relevance_of_0_or_1_costs_no_infinity():
    assert log_loss(np.float32([0, 1]), np.array([0, 1])) == pytest.approx(0, abs=2e-7)
    assert log_loss(np.float32([0, 1]), np.array([1, 0])) == pytest.approx(7 * np.log(10), rel=1e-6)


def test_the_calibration_error_is_the_gap_of_each_bin_weighed_by_its_mass():
    relevance, outcome = np.array([0.1, 0.3, 0.6, 0.8]), np.array([0, 1, 1, 1])
    # Bins {0.1, 0.3} and {0.6, 0.8}: 1/2 |0.2 - 0.5| + 1/2 |0.7 - 1| = 0.15 + 0.15
    assert calibration_error(relevance, outcome, bins=2) == pytest.approx(0.3)
    # One bin: |0.45 - 0.75|; a bin for each: (0.1 + 0.7 + 0.4 + 0.2) / 4
    assert calibration_error(relevance, outcome, bins=1) == pytest.approx(0.3)
    assert calibration_error(relevance, outcome, bins=15) == pytest.approx(0.35)


def test_the_reliability_rows_are_share_relevance_and_outcome_in_order_of_relevance():
    rows = reliability(np.array([0.8, 0.1, 0.3, 0.6]), np.array([1, 0, 1, 0.5]), np.ones(4), bins=2)
    assert rows == [pytest.approx((0.5, 0.2, 0.5)), pytest.approx((0.5, 0.7, 0.75))]


def test_weights_are_mass_in_bins_and_means():
    relevance, outcome, weights = np.array([0.2, 0.4, 0.6]), np.array([0, 1, 1]), np.array([1, 1, 2])
    # Half of the mass is 0.6 alone: {0.2, 0.4} and {0.6}.
    rows = reliability(relevance, outcome, weights, bins=2)
    assert rows == [pytest.approx((0.5, 0.3, 0.5)), pytest.approx((0.5, 0.6, 1.0))]
    assert calibration_error(relevance, outcome, weights, bins=2) == pytest.approx(0.5 * 0.2 + 0.5 * 0.4)
    # The middle of 0.6's mass lies in the second half, though the mass begins in the first.
    rows = reliability(np.array([0.2, 0.6]), np.array([0, 1]), np.array([1, 3]), bins=2)
    assert rows == [pytest.approx((0.25, 0.2, 0.0)), pytest.approx((0.75, 0.6, 1.0))]


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans()), min_size=1, max_size=30), st.randoms())
def test_the_calibration_error_does_not_depend_on_the_order_of_tied_rows(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    one, two = (calibration_error(*np.array(table, float).T, bins=3) for table in (rows, shuffled))
    assert one == pytest.approx(two)


def test_rows_without_ties_fall_into_bins_of_equal_size():
    rows = reliability(np.random.default_rng(0).random(150), np.zeros(150), np.ones(150))
    assert [share for share, _, _ in rows] == [pytest.approx(1 / 15)] * 15


def test_one_relevance_for_all_has_the_error_of_its_mean():
    # |0.5 - 0.75|, however many bins are asked for.
    assert calibration_error(np.full(8, 0.5), np.array([0, 0, 1, 1, 1, 1, 1, 1])) == pytest.approx(0.25)


def test_the_brier_skill_is_one_for_truth_zero_for_the_base_rate_and_below_for_worse():
    outcome = np.array([0, 0, 1, 1])
    assert brier_skill(outcome.astype(float), outcome) == 1.0
    assert brier_skill(np.full(4, 0.5), outcome) == 0.0
    # Brier (0.04 + 0.04 + 0.04 + 0.36) / 4 = 0.12 against 0.25: 1 - 0.48 = 0.52
    assert brier_skill(np.array([0.2, 0.2, 0.8, 0.4]), outcome) == pytest.approx(0.52)
    assert brier_skill(1.0 - outcome, outcome) == pytest.approx(-3.0)  # 1 - 1 / 0.25
    assert np.isnan(brier_skill(np.array([0.1, 0.2]), np.array([0.0, 0.0])))


def test_the_brier_skill_follows_scikit_learns_brier_score():
    generator = np.random.default_rng(0)
    relevance, outcome, weights = generator.random(50), generator.integers(0, 2, 50), generator.random(50)
    base = np.full(50, np.average(outcome, weights=weights))
    ours = brier_skill(relevance, outcome, weights)
    score, reference = (brier_score_loss(outcome, shown, sample_weight=weights) for shown in (relevance, base))
    assert ours == pytest.approx(1 - score / reference)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.booleans(), st.integers(1, 5)), min_size=1))
def test_the_brier_score_equals_scikit_learns(rows):
    relevance, outcome, weights = np.array(rows, float).T
    expected = brier_score_loss(outcome, relevance, sample_weight=weights, pos_label=1)
    assert brier_score(relevance, outcome, weights) == pytest.approx(expected, abs=1e-9)


def test_the_brier_score_of_shares_is_the_mean_squared_gap():
    # (0.25^2 + 0.5^2) / 2 = 0.15625
    assert brier_score(np.array([0.5, 0.5]), np.array([0.75, 0.0])) == 0.15625


@pytest.mark.parametrize("seed", range(5))
def test_the_calibration_error_follows_scikit_learns_quantile_bins(seed):
    generator = np.random.default_rng(seed)
    relevance = generator.random(150)
    outcome = generator.random(150) < relevance**2
    seen, shown = calibration_curve(outcome, relevance, n_bins=15, strategy="quantile")
    # Ten rows a bin, whose quantile edges lie between rows.
    assert len(seen) == 15
    assert calibration_error(relevance, outcome) == pytest.approx(np.abs(seen - shown).mean(), abs=1e-9)
