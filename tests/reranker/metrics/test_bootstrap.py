import numpy as np
import pytest

from reranker.metrics.bootstrap import (
    Measured,
    bootstrap_interval,
    mean_interval,
    mean_of_parts,
    paired_difference,
    percentile_interval,
    resample,
)


def test_the_bootstrap_interval_of_a_mean_is_its_standard_error_to_both_sides():
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = percentile_interval(resample(400, lambda rows: float(values[rows].mean()), resamples=2000))
    error = values.std() / 400**0.5
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_the_bootstrap_covers_the_true_mean_about_nineteen_times_in_twenty():
    generator = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        values = generator.normal(0, 1, 60)
        draws = resample(60, lambda rows, values=values: values[rows].mean(), resamples=300, seed=trial)
        low, high = percentile_interval(draws)
        covered += low <= 0 <= high
    # Of 200 trials at 95 %, 190 with a deviation of 3; the percentile interval is a little narrow on 60 values.
    assert 178 <= covered <= 200


def test_the_bootstrap_repeats_for_a_seed():
    values = np.random.default_rng(0).random(30)
    draws = [resample(30, lambda rows: values[rows].mean(), resamples=50, seed=seed) for seed in (1, 1, 2)]
    one, again, other = map(percentile_interval, draws)
    assert one == again != other


def test_an_interval_draws_whole_groups():
    values = np.array([0.0, 0.0, 1.0, 1.0])
    found = bootstrap_interval(["a", "a", "b", "b"], lambda rows: float(values[rows].mean()))
    # Two groups: a resample is all 0, half or all 1.
    assert found == Measured(0.5, 0.0, 1.0)
    assert found.draws.shape == (500,)
    assert set(found.draws.tolist()) == {0.0, 0.5, 1.0}


def test_two_statistics_of_the_same_rows_see_the_same_draws():
    values = np.arange(20.0)
    one = bootstrap_interval(range(20), lambda rows: float(values[rows].mean())).draws
    other = bootstrap_interval(range(20), lambda rows: float(values[rows].mean() - 3)).draws
    np.testing.assert_allclose(one - other, 3)
    assert one.std() > 1


def test_a_paired_difference_has_the_interval_of_the_differences_of_draws():
    hard = np.linspace(-1, 1, 201)  # a draw of hard rows lowers both values
    one, other = Measured(0.5, 0.0, 1.0, hard + 0.02), Measured(0.25, 0.0, 1.0, hard)
    found = paired_difference(one, other)
    assert (found.value, found.low, found.high) == (0.25, pytest.approx(0.02), pytest.approx(0.02))
    assert paired_difference(one, Measured(0.25, 0.0, 1.0)) is None
    assert paired_difference(one, Measured(0.25, 0.0, 1.0, hard[:100])) is None


def test_the_interval_of_a_mean_is_that_of_its_rows():
    values = np.array([True, False, False, False])
    found = mean_interval(values)
    assert found == bootstrap_interval(range(4), lambda rows: float(values[rows].mean()))
    assert found.value == 0.25


def test_the_mean_of_parts_counts_each_part_alike_draw_by_draw():
    one, other = mean_interval(np.arange(100.0)), mean_interval(np.array([10.0, 30.0]))
    found = mean_of_parts([one, other])
    assert found.value == (49.5 + 20) / 2
    np.testing.assert_array_equal(found.draws, (one.draws + other.draws) / 2)
    assert (found.low, found.high) == percentile_interval(found.draws)
    assert mean_of_parts([one]) == one
