"""Measure hubness: how near a photo is to queries at large, and a query to photos at large."""

from dataclasses import dataclass

import numpy as np

# Photos whose products with a bank of some thousand captions fit into the processor's cache.
_BLOCK = 128


@dataclass(frozen=True, slots=True)
class Hubness:
    """Training captions and photos that hubness is measured against.

    Subtracting a share of a photo's hubness from its score keeps a few photos from being near to every query (CSLS,
    Conneau et al. 2018, "Word translation without parallel data").

    Attributes:
        turn: (K, h) float32, the directions that matter to products of captions with photos, in map and meaning.
        captions: (c, h) float32, training captions; `photos @ turn @ captions.T` approximates the full products.
        photos: (p, h) float32, training photos; `captions @ turn @ photos.T` approximates the full products.
    """

    turn: np.ndarray
    captions: np.ndarray
    photos: np.ndarray

    def photo_hubness(self, photos: np.ndarray, nearest: int) -> np.ndarray:
        """Return how near photos are to captions at large: (n,) float32.

        Args:
            photos: (n, K) float32, photos in the map and in meaning, weighed as candidates are.
            nearest: The mean is over this many nearest captions.
        """
        return mean_top_products(photos @ self.turn, self.captions, nearest)

    def query_hubness(self, queries: np.ndarray, nearest: int) -> np.ndarray:
        """Return how near queries are to photos at large: (b,) float32.

        Args:
            queries: (b, K) float32, queries in the map and in meaning.
            nearest: The mean is over this many nearest photos.
        """
        return mean_top_products(queries @ self.turn, self.photos, nearest)


def mean_top_products(rows: np.ndarray, bank: np.ndarray, nearest: int) -> np.ndarray:
    """Return the mean of each row's largest inner products with a bank of vectors: (n,) float32.

    Args:
        rows: (n, k) float32.
        bank: (c, k) float32.
        nearest: How many products, all of them if the bank has fewer.
    """
    nearest = min(nearest, len(bank))
    means = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _BLOCK):
        products = rows[start : start + _BLOCK] @ bank.T
        products.partition(len(bank) - nearest, axis=1)
        means[start : start + _BLOCK] = products[:, -nearest:].mean(axis=1)
    return means
