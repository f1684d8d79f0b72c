from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import kendalltau
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, roc_auc_score

from reranker.metrics import metrics

GRADES = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=3, max_size=40)


def concordance(a, b) -> tuple[int, int, int, int]:
    """Concordant and discordant pairs, pairs tied in a, pairs tied in b: from the definition, pair by pair."""
    concordant = discordant = tied_a = tied_b = 0
    for (a1, b1), (a2, b2) in combinations(zip(a, b, strict=True), 2):
        product = (a1 - a2) * (b1 - b2)
        concordant += product > 0
        discordant += product < 0
        tied_a += a1 == a2
        tied_b += b1 == b2
    return concordant, discordant, tied_a, tied_b


def test_the_rank_of_a_photo_is_how_many_score_above_it_or_tie():
    scores = np.array(
        [
            [0.9, 0.5, 0.1],  # own photo 0: the first
            [0.9, 0.5, 0.1],  # own photo 2: two above
            [0.5, 0.5, 0.1],  # own photo 1: one tie counts against it
            [0.7, 0.7, 0.7],  # own photo 0: two ties
            [0.9, 0.5, 0.5],  # own photo 2: one above, one tie
        ]
    )
    assert metrics.ranks_of_own(scores, np.array([0, 2, 1, 0, 2])).tolist() == [0, 2, 1, 2, 2]


def test_recall_is_the_share_of_ranks_below_k():
    ranks = np.array([0, 2, 0.5, 1, 1.5])
    assert metrics.recall_at(ranks, 1) == 2 / 5
    assert metrics.recall_at(ranks, 2) == 4 / 5
    assert metrics.recall_at(ranks, 3) == 1.0


def test_kendalls_taus_of_a_small_table_are_what_one_counts():
    a, b = [1, 2, 3, 3], [1, 3, 2, 3]
    # Points 1 to 4: 1-2, 1-3 and 1-4 agree, 2-3 does not, 2-4 tie in b, 3-4 tie in a.
    assert concordance(a, b) == (3, 1, 1, 1)
    # tau-b = (3 - 1) / sqrt((6 - 1)(6 - 1)) = 2/5; tau-c = 2 (3 - 1) / (4^2 (3 - 1) / 3) = 3/8
    assert metrics.kendall_tau_b(np.array(a), np.array(b)) == pytest.approx(2 / 5)
    assert metrics.kendall_tau_c(np.array(a), np.array(b)) == pytest.approx(3 / 8)


@given(GRADES)
def test_kendalls_taus_equal_their_definitions_and_scipys_with_ties(rows):
    a, b = (np.array(column) for column in zip(*rows, strict=True))
    assume(len(set(a)) > 1 and len(set(b)) > 1)  # else there is nothing to order
    concordant, discordant, tied_a, tied_b = concordance(a, b)
    pairs = len(a) * (len(a) - 1) / 2
    tau_b = (concordant - discordant) / ((pairs - tied_a) * (pairs - tied_b)) ** 0.5
    fewest = min(len(set(a)), len(set(b)))
    tau_c = 2 * (concordant - discordant) / (len(a) ** 2 * (fewest - 1) / fewest)
    assert metrics.kendall_tau_b(a, b) == pytest.approx(tau_b, abs=1e-12)
    assert metrics.kendall_tau_c(a, b) == pytest.approx(tau_c, abs=1e-12)
    assert metrics.kendall_tau_b(a, b) == kendalltau(a, b, variant="b").statistic
    assert metrics.kendall_tau_c(a, b) == kendalltau(a, b, variant="c").statistic


def test_the_log_loss_is_the_mean_surprise_at_each_outcome_by_its_share_and_weight():
    relevance, outcome = np.array([0.5, 0.25, 0.8]), np.array([1.0, 0.0, 0.5])
    # ln 2, ln 4/3, and half each of ln 5/4 and ln 5
    losses = np.log([2, 4 / 3, (5 / 4 * 5) ** 0.5])
    assert metrics.log_loss(relevance, outcome) == pytest.approx(losses.mean())
    weights = np.array([1.0, 2.0, 1.0])
    assert metrics.log_loss(relevance, outcome, weights) == pytest.approx(np.average(losses, weights=weights))


def test_a_relevance_of_0_or_1_costs_no_infinity():
    assert metrics.log_loss(np.float32([0, 1]), np.array([0, 1])) == pytest.approx(0, abs=2e-7)
    assert metrics.log_loss(np.float32([0, 1]), np.array([1, 0])) == pytest.approx(7 * np.log(10), rel=1e-6)


def test_the_calibration_error_is_the_gap_of_each_bin_weighed_by_its_mass():
    relevance, outcome = np.array([0.1, 0.3, 0.6, 0.8]), np.array([0, 1, 1, 1])
    # Bins {0.1, 0.3} and {0.6, 0.8}: 1/2 |0.2 - 0.5| + 1/2 |0.7 - 1| = 0.15 + 0.15
    assert metrics.calibration_error(relevance, outcome, bins=2) == pytest.approx(0.3)
    # One bin: |0.45 - 0.75|; a bin for each: (0.1 + 0.7 + 0.4 + 0.2) / 4
    assert metrics.calibration_error(relevance, outcome, bins=1) == pytest.approx(0.3)
    assert metrics.calibration_error(relevance, outcome, bins=15) == pytest.approx(0.35)


def test_the_reliability_rows_are_share_relevance_and_outcome_in_order_of_relevance():
    rows = metrics.reliability(np.array([0.8, 0.1, 0.3, 0.6]), np.array([1, 0, 1, 0.5]), np.ones(4), bins=2)
    assert rows == [pytest.approx((0.5, 0.2, 0.5)), pytest.approx((0.5, 0.7, 0.75))]


def test_weights_are_mass_in_bins_and_means():
    relevance, outcome, weights = np.array([0.2, 0.4, 0.6]), np.array([0, 1, 1]), np.array([1, 1, 2])
    # Half of the mass is 0.6 alone: {0.2, 0.4} and {0.6}.
    rows = metrics.reliability(relevance, outcome, weights, bins=2)
    assert rows == [pytest.approx((0.5, 0.3, 0.5)), pytest.approx((0.5, 0.6, 1.0))]
    assert metrics.calibration_error(relevance, outcome, weights, bins=2) == pytest.approx(0.5 * 0.2 + 0.5 * 0.4)
    # The middle of 0.6's mass lies in the second half, though the mass begins in the first.
    rows = metrics.reliability(np.array([0.2, 0.6]), np.array([0, 1]), np.array([1, 3]), bins=2)
    assert rows == [pytest.approx((0.25, 0.2, 0.0)), pytest.approx((0.75, 0.6, 1.0))]


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans()), min_size=1, max_size=30), st.randoms())
def test_the_calibration_error_does_not_depend_on_the_order_of_tied_rows(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    one, two = (metrics.calibration_error(*np.array(table, float).T, bins=3) for table in (rows, shuffled))
    assert one == pytest.approx(two)


def test_rows_without_ties_fall_into_bins_of_equal_size():
    rows = metrics.reliability(np.random.default_rng(0).random(150), np.zeros(150), np.ones(150))
    assert [share for share, _, _ in rows] == [pytest.approx(1 / 15)] * 15


def test_one_relevance_for_all_has_the_error_of_its_mean():
    # |0.5 - 0.75|, however many bins are asked for.
    assert metrics.calibration_error(np.full(8, 0.5), np.array([0, 0, 1, 1, 1, 1, 1, 1])) == pytest.approx(0.25)


def test_the_brier_skill_is_one_for_truth_zero_for_the_base_rate_and_below_for_worse():
    outcome = np.array([0, 0, 1, 1])
    assert metrics.brier_skill(outcome.astype(float), outcome) == 1.0
    assert metrics.brier_skill(np.full(4, 0.5), outcome) == 0.0
    # Brier (0.04 + 0.04 + 0.04 + 0.36) / 4 = 0.12 against 0.25: 1 - 0.48 = 0.52
    assert metrics.brier_skill(np.array([0.2, 0.2, 0.8, 0.4]), outcome) == pytest.approx(0.52)
    assert metrics.brier_skill(1.0 - outcome, outcome) == pytest.approx(-3.0)  # 1 - 1 / 0.25
    assert np.isnan(metrics.brier_skill(np.array([0.1, 0.2]), np.array([0.0, 0.0])))


def test_the_brier_skill_follows_scikit_learns_brier_score():
    generator = np.random.default_rng(0)
    relevance, outcome, weights = generator.random(50), generator.integers(0, 2, 50), generator.random(50)
    base = np.full(50, np.average(outcome, weights=weights))
    ours = metrics.brier_skill(relevance, outcome, weights)
    score, reference = (brier_score_loss(outcome, shown, sample_weight=weights) for shown in (relevance, base))
    assert ours == pytest.approx(1 - score / reference)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_auroc_equals_scikit_learns_with_ties(positive, negative):
    labels = [1] * len(positive) + [0] * len(negative)
    ours = metrics.auroc(np.array(positive), np.array(negative))
    assert ours == pytest.approx(roc_auc_score(labels, positive + negative))


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.booleans(), st.integers(1, 5)), min_size=1))
def test_the_brier_score_equals_scikit_learns(rows):
    relevance, outcome, weights = np.array(rows, float).T
    expected = brier_score_loss(outcome, relevance, sample_weight=weights, pos_label=1)
    assert metrics.brier_score(relevance, outcome, weights) == pytest.approx(expected, abs=1e-9)


def test_the_brier_score_of_shares_is_the_mean_squared_gap():
    # (0.25^2 + 0.5^2) / 2 = 0.15625
    assert metrics.brier_score(np.array([0.5, 0.5]), np.array([0.75, 0.0])) == 0.15625


@pytest.mark.parametrize("seed", range(5))
def test_the_calibration_error_follows_scikit_learns_quantile_bins(seed):
    generator = np.random.default_rng(seed)
    relevance = generator.random(150)
    outcome = generator.random(150) < relevance**2
    seen, shown = calibration_curve(outcome, relevance, n_bins=15, strategy="quantile")
    # Ten rows a bin, whose quantile edges lie between rows.
    assert len(seen) == 15
    assert metrics.calibration_error(relevance, outcome) == pytest.approx(np.abs(seen - shown).mean(), abs=1e-9)


def test_auroc_counts_a_tie_as_half():
    # 2 > 1 and 2 > 1 win, 1 = 1 twice is a half each: (2 + 1) / 4
    assert metrics.auroc(np.array([2, 1]), np.array([1, 1])) == 0.75


def test_the_largest_share_is_that_of_the_photo_that_most_queries_have():
    # Photo 3 is in the top of three of four queries.
    assert metrics.largest_share(np.array([[3, 1], [3, 2], [0, 3], [1, 2]])) == 0.75


def test_the_most_shown_photo_is_the_same_one_whatever_queries_are_drawn():
    # Photo 2 is in two tops, 0, 1 and 3 in one each.
    top = np.array([[0, 2], [2, 1], [3, 4]])
    assert metrics.has_most_shown(top).tolist() == [True, True, False]
    assert metrics.has_most_shown(top).mean() == metrics.largest_share(top)


def test_the_mean_overlap_is_that_of_every_pair_of_queries():
    # {0, 1} and {1, 2} share 1 of 3, {0, 1} and {1, 0} all, {1, 2} and {1, 0} 1 of 3.
    assert metrics.mean_overlap(np.array([[0, 1], [1, 2], [1, 0]])) == pytest.approx((1 / 3 + 1 + 1 / 3) / 3)
    assert metrics.mean_overlap(np.array([[0, 1], [2, 3]])) == 0


def test_the_bootstrap_interval_of_a_mean_is_its_standard_error_to_both_sides():
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = metrics.bootstrap(400, lambda rows: float(values[rows].mean()), resamples=2000)
    error = values.std() / 400**0.5
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_the_bootstrap_covers_the_true_mean_about_nineteen_times_in_twenty():
    generator = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        values = generator.normal(0, 1, 60)
        low, high = metrics.bootstrap(60, lambda rows, values=values: values[rows].mean(), resamples=300, seed=trial)
        covered += low <= 0 <= high
    # Of 200 trials at 95 %, 190 with a deviation of 3; the percentile interval is a little narrow on 60 values.
    assert 178 <= covered <= 200


def test_the_bootstrap_repeats_for_a_seed():
    values = np.random.default_rng(0).random(30)
    one, again, other = (
        metrics.bootstrap(30, lambda rows: values[rows].mean(), resamples=50, seed=seed) for seed in (1, 1, 2)
    )
    assert one == again != other


def test_an_interval_draws_whole_groups():
    values = np.array([0.0, 0.0, 1.0, 1.0])
    figure = metrics.drawn_interval(["a", "a", "b", "b"], lambda rows: float(values[rows].mean()))
    # Two groups: a resample is all 0, half or all 1.
    assert metrics.interval(["a", "a", "b", "b"], lambda rows: float(values[rows].mean())) == {
        name: figure[name] for name in ("value", "low", "high")
    }
    drawn = figure.pop("resampled")
    assert figure == {"value": 0.5, "low": 0.0, "high": 1.0}
    assert drawn.shape == (500,)
    assert set(drawn.tolist()) == {0.0, 0.5, 1.0}


def test_two_statistics_of_the_same_rows_see_the_same_draws():
    values = np.arange(20.0)
    one = metrics.drawn_interval(range(20), lambda rows: float(values[rows].mean()))["resampled"]
    other = metrics.drawn_interval(range(20), lambda rows: float(values[rows].mean() - 3))["resampled"]
    np.testing.assert_allclose(one - other, 3)
    assert one.std() > 1
