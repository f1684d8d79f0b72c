import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multinomial, norm

from experiments.label_aggregation.graded_response import GradedResponse, grade_counts


def drawn(theta: np.ndarray, slope: float, thresholds: list[float], raters: int, seed: int = 0) -> np.ndarray:
    """Grades of raters who see `theta` through noise of deviation 1 / slope, sorted within a row as files have them."""
    noise = np.random.default_rng(seed).standard_normal((len(theta), raters))
    seen = slope * (theta[:, None, None] - np.array(thresholds)) + noise[:, :, None]
    return np.sort(1 + (seen > 0).sum(axis=2), axis=1)


def two_kinds(pairs: int) -> np.ndarray:
    """Qualities of mean 0 and deviation 1 that no normal density has: four of five pairs are bad, one is good."""
    generator = np.random.default_rng(1)
    theta = np.where(np.arange(pairs) % 5 == 0, 2.0, -0.5) + 0.2 * generator.standard_normal(pairs)
    return (theta - theta.mean()) / theta.std()


@pytest.fixture(scope="module")
def fitted() -> tuple[np.ndarray, np.ndarray, GradedResponse]:
    theta = two_kinds(4000)
    grades = drawn(theta, 2.0, [-0.4, 0.6, 1.6], raters=3)
    return theta, grades, GradedResponse.fit(grades)


def test_grades_drawn_from_the_model_give_its_parameters_back(fitted):
    _, _, model = fitted
    assert model.slope == pytest.approx(2.0, rel=0.1)
    assert model.thresholds == pytest.approx([-0.4, 0.6, 1.6], abs=0.12)


def test_the_density_finds_both_kinds_of_pairs(fitted):
    _, _, model = fitted
    assert model.density.sum() == pytest.approx(1)
    assert (model.nodes @ model.density, model.nodes**2 @ model.density) == pytest.approx((0, 1))
    # One pair in five is good, and few lie between the kinds.
    assert model.density[model.nodes > 1].sum() == pytest.approx(0.2, abs=0.03)
    assert model.density[(model.nodes > 0.4) & (model.nodes < 1)].sum() < 0.05


def quality(model: GradedResponse, grades: np.ndarray) -> np.ndarray:
    """Return the posterior mean of theta."""
    return model.posterior(grades) @ model.nodes


def pattern_probabilities(model: GradedResponse, counts: np.ndarray) -> np.ndarray:
    """Return the model's probability of counts of grades, (patterns, levels), by another library's multinomial."""
    of_node = model.grade_probabilities(model.nodes).T
    chances = np.stack([multinomial.pmf(row, row.sum(), of_node) for row in counts])
    return chances @ model.density


def test_quality_is_nearer_to_the_truth_than_the_mean_grade(fitted):
    theta, grades, model = fitted
    found = quality(model, grades)
    error = np.square(found - theta).mean()
    line = np.polynomial.Polynomial.fit(grades.mean(axis=1), theta, 1)
    assert error < 0.9 * np.square(line(grades.mean(axis=1)) - theta).mean()
    # Posterior means are right on average, wherever they lie: within three standard errors and the fit's own.
    for low, high in ((-2, 0), (0, 1), (1, 3)):
        missed = (found - theta)[(found > low) & (found <= high)]
        assert abs(missed.mean()) < 0.06 + 3 * missed.std() / len(missed) ** 0.5


def test_patterns_are_as_frequent_as_the_model_says(fitted):
    _, grades, model = fitted
    patterns, seen = np.unique(grade_counts(grades), axis=0, return_counts=True)
    expected = pattern_probabilities(model, patterns) * len(grades)
    # Pearson's statistic of the patterns with 5 or more: about 15 of them, minus what was fitted.
    enough = expected >= 5
    assert (np.square(seen - expected) / expected)[enough].sum() < 30


def test_the_chances_of_all_patterns_sum_to_one(fitted):
    _, _, model = fitted
    patterns = np.array([(a, b, c, 3 - a - b - c) for a in range(4) for b in range(4 - a) for c in range(4 - a - b)])
    assert len(patterns) == 20
    assert pattern_probabilities(model, patterns).sum() == pytest.approx(1, abs=1e-12)


def by_bayes(model: GradedResponse, grades: list[int]) -> np.ndarray:
    """Return the posterior over the nodes from the definition, by another library's normal distribution."""
    above = np.stack([norm.cdf(model.slope * (model.nodes - b)) for b in model.thresholds])
    chance = np.concatenate([np.ones((1, len(model.nodes))), above]) - np.concatenate([above, 0 * above[:1]])
    mass = model.density * np.prod([chance[grade - 1] for grade in grades], axis=0)
    return mass / mass.sum()


@pytest.mark.parametrize("grades", [[1, 1, 1], [1, 2, 4], [2, 3, 3], [4, 4, 4], [3], [1, 1, 2, 2, 3]])
def test_quality_and_score_are_posterior_means_by_bayes(fitted, grades):
    _, _, model = fitted
    posterior = by_bayes(model, grades)
    assert quality(model, np.array([grades]))[0] == pytest.approx(posterior @ model.nodes, abs=1e-9)
    # The expected grade less 1 is how many thresholds a rater is above, summed over the chances of each.
    expected = sum(norm.cdf(model.slope * (model.nodes - b)) for b in model.thresholds) / 3
    assert model.score(np.array([grades]))[0] == pytest.approx(posterior @ expected, abs=1e-9)


def test_the_likelihood_is_that_of_the_rows_in_the_order_of_nobody(fitted):
    _, grades, model = fitted
    above = np.stack([norm.cdf(model.slope * (model.nodes - b)) for b in model.thresholds])
    chance = np.concatenate([np.ones((1, len(model.nodes))), above]) - np.concatenate([above, 0 * above[:1]])
    rows = chance[grades[:200] - 1].prod(axis=1) @ model.density
    sample = GradedResponse.fit(grades[:200])
    assert sample.log_likelihood >= np.log(rows).sum()
    shuffled = np.random.default_rng(0).permuted(grades[:200], axis=1)
    again = GradedResponse.fit(shuffled)
    assert (again.slope, again.log_likelihood) == (sample.slope, sample.log_likelihood)


def test_one_more_grade_is_foretold_with_the_chances_it_has(fitted):
    _, grades, model = fitted
    chances = model.predict(np.delete(grades, 1, axis=1))
    assert chances.sum(axis=1) == pytest.approx(np.ones(len(grades)))
    everybody = model.predict(np.empty((1, 0), int))[0]
    assert everybody == pytest.approx(grade_counts(grades).sum(axis=0) / grades.size, abs=0.01)


@given(st.lists(st.tuples(*[st.integers(1, 4)] * 3), min_size=1, max_size=12))
def test_any_rows_give_finite_scores_that_rise_with_the_grades(rows):
    model = GradedResponse.fit(np.array(rows))
    assert np.isfinite([model.slope, *model.thresholds]).all()
    scores = model.score(np.array([[1, 1, 1], [1, 1, 2], [1, 2, 2], [2, 2, 3], [3, 3, 3], [3, 4, 4], [4, 4, 4]]))
    assert (np.diff(scores) > 0).all()
    assert 0 < scores[0] < scores[-1] < 1


def test_raters_who_always_agree_are_believed_at_once_and_others_are_not():
    agreeing = np.repeat([[1], [2], [3], [4]], [60, 20, 12, 8], axis=0).repeat(3, axis=1)
    guessing = np.random.default_rng(0).integers(1, 5, (1000, 3))
    sure, unsure = GradedResponse.fit(agreeing), GradedResponse.fit(guessing)
    asked = np.array([[1, 1, 1], [4, 4, 4]])
    assert np.diff(sure.score(asked))[0] > 0.9
    assert np.diff(unsure.score(asked))[0] < 0.5
    assert sure.slope > 2 * unsure.slope


def test_two_grades_are_a_model_too():
    model = GradedResponse.fit(drawn(two_kinds(2000), 2.0, [0.6], raters=4), levels=2)
    assert model.thresholds.shape == (1,)
    assert model.thresholds[0] == pytest.approx(0.6, abs=0.5)
    assert model.score(np.array([[1, 1, 1, 1], [2, 2, 2, 2]])) == pytest.approx([0.02, 0.98], abs=0.03)


@pytest.mark.parametrize(
    ("grades", "levels", "problem"),
    [
        (np.empty((0, 3), int), 4, "a graded-response model needs at least one graded pair"),
        (np.array([[1, 2, 5]]), 4, "grades must be 1 to 4, got 1 to 5"),
        (np.array([[0, 2, 3]]), 4, "grades must be 1 to 4, got 0 to 3"),
        (np.array([[1, 1, 1]]), 1, "levels must be 2 or more, got 1"),
    ],
)
def test_what_cannot_be_fitted_is_refused(grades, levels, problem):
    with pytest.raises(ValueError) as caught:
        GradedResponse.fit(grades, levels)
    assert str(caught.value) == problem


def test_flickr8ks_grades_are_fitted_pattern_by_pattern(flickr8k):
    from reranker.judgments.judged_folder import load_judgments

    grades = np.array([row.grades for row in load_judgments(flickr8k).expert])
    model = GradedResponse.fit(grades)
    assert (model.slope, *model.thresholds) == pytest.approx((2.458, 0.021, 0.944, 1.930), abs=0.02)
    patterns, seen = np.unique(grade_counts(grades), axis=0, return_counts=True)
    expected = pattern_probabilities(model, patterns) * len(grades)
    # Within two deviations of chance, for each of the patterns that are not rare.
    assert (np.abs(seen - expected) / np.sqrt(expected))[expected > 20].max() < 2
