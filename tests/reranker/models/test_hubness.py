import numpy as np

from reranker.models.hubness import mean_top_products
from reranker.models.linear_map import unit


def test_hub_terms_are_the_mean_of_the_nearest_queries_photo_by_photo():
    generator = np.random.default_rng(0)
    z, bank = unit(generator.standard_normal((4200, 3))), unit(generator.standard_normal((40, 3)))
    expected = [np.sort(bank @ row)[-10:].mean() for row in z]
    np.testing.assert_allclose(mean_top_products(z, bank, 10), expected, atol=1e-6)
    np.testing.assert_allclose(mean_top_products(z[:5], bank, nearest=1), (z[:5] @ bank.T).max(axis=1), atol=1e-6)


def test_a_bank_of_fewer_queries_than_asked_is_used_whole():
    z = np.eye(2, dtype=np.float32)
    bank = np.array([[1, 0], [0.6, 0.8]], np.float32)
    # (1 + 0.6) / 2 and (0 + 0.8) / 2
    np.testing.assert_allclose(mean_top_products(z, bank, nearest=10), [0.8, 0.4], rtol=1e-6)
