from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power
from sklearn.cross_decomposition import CCA
from sklearn.linear_model import Ridge

from reranker.models.linear_map import LinearMap
from reranker.training.joint_space.fit_linear_map import (
    MapSettings,
    fit_cca,
    fit_meaning_map,
    fit_ridge,
)

D, E = 6, 5


def related(photos: int, captions: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photos and sentences that share four directions, with noise: x (photos, 6), t (m, 5), photo (m,)."""
    generator = np.random.default_rng(seed)
    hidden = generator.standard_normal((photos, 4)) * [2, 1.5, 1, 0.7]
    photo = np.repeat(np.arange(photos), captions)
    x = hidden @ np.random.default_rng(99).standard_normal((4, D)) + 0.5 * generator.standard_normal((photos, D))
    mixing = np.random.default_rng(98).standard_normal((4, E))
    t = hidden[photo] @ mixing + 0.7 * generator.standard_normal((len(photo), E))
    return (x + 3).astype(np.float32), (t - 1).astype(np.float32), photo


def scores(joint_space: LinearMap, x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Products before rows are made unit, in which the sign of a direction does not show."""
    return (x @ joint_space.A - joint_space.a) @ (t @ joint_space.B - joint_space.b).T


@pytest.mark.parametrize("k", [2, 5])
def test_cca_equals_the_textbook_solution_by_symmetric_roots(k):
    x, t, photo = related(80, np.full(80, 3))
    settings = MapSettings(k=k, shrink_images=0.4, shrink_texts=0.2)
    rows = x[photo].astype(np.float64)
    cov_x, cov_t = np.cov(rows.T, bias=True), np.cov(t.T.astype(np.float64), bias=True)
    cross = (rows - rows.mean(0)).T @ (t - t.mean(0)) / len(t)
    root_x = fractional_matrix_power(cov_x + 0.4 * np.trace(cov_x) / D * np.eye(D), -0.5)
    root_t = fractional_matrix_power(cov_t + 0.2 * np.trace(cov_t) / E * np.eye(E), -0.5)
    u, s, v = np.linalg.svd(root_x @ cross @ root_t)
    between = root_x @ (u[:, :k] * s[:k] ** 2) @ v[:k] @ root_t
    expected = (x - rows.mean(0)) @ between @ (t - t.mean(0)).T
    joint_space = fit_cca(x, t, photo, settings)
    assert (joint_space.A.shape, joint_space.B.shape) == ((D, k), (E, k))
    np.testing.assert_allclose(scores(joint_space, x, t), expected, rtol=1e-3, atol=1e-4)


def test_cca_without_shrinkage_finds_the_correlations_that_scikit_learn_finds():
    x, t, photo = related(300, np.ones(300, int))
    joint_space = fit_cca(x, t, photo, MapSettings(k=4, shrink_images=1e-6, shrink_texts=1e-6))
    theirs = CCA(n_components=4, max_iter=5000, tol=1e-10).fit(x, t).transform(x, t)
    for direction in range(4):
        ours = np.corrcoef((x @ joint_space.A)[:, direction], (t @ joint_space.B)[:, direction])[0, 1]
        assert ours == pytest.approx(np.corrcoef(theirs[0][:, direction], theirs[1][:, direction])[0, 1], abs=2e-3)


def test_few_photos_have_one_direction_less_than_there_are_photos_and_lose_nothing_by_it():
    x, t, photo = related(4, np.full(4, 5))
    few, all_of_them = fit_cca(x, t, photo, MapSettings(k=5)), fit_cca(x, t, photo, MapSettings(k=3))
    assert few.k == 3
    np.testing.assert_allclose(scores(few, x, t), scores(all_of_them, x, t), rtol=1e-5)


def test_more_photo_than_text_directions_give_the_same_as_fewer():
    x, t, photo = related(60, np.full(60, 2))
    settings = MapSettings(k=5)
    wide, tall = fit_cca(x, t, photo, settings), fit_cca(t, x[photo], np.arange(len(t)), replace_sides(settings))
    np.testing.assert_allclose(scores(wide, x[photo], t), scores(tall, t, x[photo]).T, rtol=1e-3, atol=1e-4)


def replace_sides(settings: MapSettings) -> MapSettings:
    return replace(settings, shrink_images=settings.shrink_texts, shrink_texts=settings.shrink_images)


@pytest.mark.parametrize("fit", [lambda *a: fit_cca(*a, MapSettings(k=5)), fit_ridge])
def test_unequal_numbers_of_captions_count_as_repeated_photos(fit):
    counts = np.random.default_rng(1).integers(0, 6, 70)  # some photos have no caption at all
    x, t, photo = related(70, counts)
    repeated = fit(x[photo], t, np.arange(len(t)))
    np.testing.assert_allclose(scores(fit(x, t, photo), x, t), scores(repeated, x, t), rtol=1e-3, atol=1e-3)


def test_the_order_of_the_sentences_does_not_matter():
    x, t, photo = related(50, np.full(50, 3))
    order = np.random.default_rng(0).permutation(len(t))
    one, two = (fit_cca(x, t[rows], photo[rows], MapSettings(k=4)) for rows in (np.arange(len(t)), order))
    np.testing.assert_allclose(scores(one, x, t), scores(two, x, t), rtol=1e-3, atol=1e-4)


def test_the_ridge_map_equals_scikit_learns_ridge():
    x, t, photo = related(60, np.full(60, 3))
    joint_space = fit_ridge(x, t, photo, strength=0.3)
    alpha = 0.3 * np.trace(np.cov(t.T, bias=True)) / E * len(t)
    theirs = Ridge(alpha=alpha).fit(t.astype(np.float64), x[photo].astype(np.float64)).predict(t)
    np.testing.assert_allclose(t @ joint_space.B - joint_space.b, theirs - x[photo].mean(axis=0), atol=1e-3)
    assert np.array_equal(joint_space.A, np.eye(D))


def test_the_meaning_map_with_all_directions_equals_scikit_learns_ridge_on_mean_captions():
    x, t, photo = related(60, np.random.default_rng(2).integers(1, 5, 60))
    means = np.stack([t[photo == i].mean(axis=0) for i in range(60)]).astype(np.float64)
    alpha = 0.5 * np.trace(np.cov(x.T, bias=True)) / D * 60
    theirs = Ridge(alpha=alpha).fit(x.astype(np.float64), means).predict(x) - means.mean(axis=0)
    joint_space = fit_meaning_map(x, t, photo, k=E, strength=0.5)
    # The directions are a rotation of the text space, so products and lengths are those of the text space.
    np.testing.assert_allclose((x @ joint_space.A - joint_space.a) @ joint_space.B.T, theirs, atol=2e-3)
    np.testing.assert_allclose(scores(joint_space, x, t), theirs @ (t - means.mean(axis=0)).T, rtol=1e-3, atol=1e-2)


def test_the_meaning_map_leaves_photos_without_captions_out():
    x, t, photo = related(40, np.full(40, 2))
    with_others = np.concatenate([x, np.full((7, D), 50, np.float32)])
    np.testing.assert_allclose(
        scores(fit_meaning_map(with_others, t, photo, k=3), x, t),
        scores(fit_meaning_map(x, t, photo, k=3), x, t),
        rtol=1e-4,
    )


def test_fewer_meaning_directions_are_the_best_approximation_of_the_regression():
    x, t, photo = related(60, np.full(60, 2))
    whole = fit_meaning_map(x, t, photo, k=E)
    u, s, v = np.linalg.svd(whole.A @ whole.B.T, full_matrices=False)
    joint_space = fit_meaning_map(x, t, photo, k=2)
    np.testing.assert_allclose(joint_space.A @ joint_space.B.T, (u[:, :2] * s[:2]) @ v[:2], atol=1e-5)
