"""Fitting hubness: fewer directions keep the products of captions with photos."""

import numpy as np

from reranker.training.joint_space.fit_hubness import fit_hubness


def test_hubs_turn_products_into_fewer_directions_without_loss_where_there_are_no_more():
    generator = np.random.default_rng(0)
    captions, photos = (generator.standard_normal((n, 7)).astype(np.float32) for n in (50, 30))
    hubness_bank = fit_hubness(captions, photos)
    assert hubness_bank.turn.shape == (7, 7)
    np.testing.assert_allclose(photos @ hubness_bank.turn @ hubness_bank.captions.T, photos @ captions.T, atol=1e-4)
    np.testing.assert_allclose(captions @ hubness_bank.turn @ hubness_bank.photos.T, captions @ photos.T, atol=1e-4)
    np.testing.assert_allclose(
        hubness_bank.photo_hubness(photos, 10), np.sort(photos @ captions.T)[:, -10:].mean(axis=1), atol=1e-4
    )
    np.testing.assert_allclose(
        hubness_bank.query_hubness(captions, 5), np.sort(captions @ photos.T)[:, -5:].mean(axis=1), atol=1e-4
    )


def test_hubs_keep_the_128_directions_that_hold_the_most():
    generator = np.random.default_rng(0)
    spread = np.where(np.arange(140) < 128, 1.0, 0.01)
    captions, photos = (generator.standard_normal((300, 140)).astype(np.float32) * spread for _ in range(2))
    hubness_bank = fit_hubness(captions, photos)
    assert hubness_bank.turn.shape == (140, 128)
    np.testing.assert_allclose(photos @ hubness_bank.turn @ hubness_bank.captions.T, photos @ captions.T, atol=0.05)
    np.testing.assert_allclose(captions @ hubness_bank.turn @ hubness_bank.photos.T, captions @ photos.T, atol=0.05)


def test_hubs_drop_what_captions_have_alone_or_photos_have_alone_however_much_it_is():
    generator = np.random.default_rng(0)
    captions, photos = (generator.standard_normal((400, 148)).astype(np.float32) for _ in range(2))
    captions[:, :20] *= 0.001
    photos[:, :20] *= 10
    hubness_bank = fit_hubness(captions, photos)
    products = photos @ captions.T
    assert np.abs(photos @ hubness_bank.turn @ hubness_bank.captions.T - products).max() < 0.05 * np.abs(products).max()


def test_hubs_of_fewer_photos_than_directions_are_finite():
    generator = np.random.default_rng(0)
    captions, photos = (generator.standard_normal((n, 40)).astype(np.float32) for n in (60, 5))
    hubness_bank = fit_hubness(captions, photos)
    np.testing.assert_allclose(photos @ hubness_bank.turn @ hubness_bank.captions.T, photos @ captions.T, atol=1e-3)
