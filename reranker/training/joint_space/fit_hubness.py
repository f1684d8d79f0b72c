"""Fit hubness: keep the directions that matter to products of captions with photos."""

import numpy as np

from reranker.models.joint_space import Hubness

# Coordinates kept per photo or caption, of the 576 that the map and meaning have together by default.
WIDTH = 128
# Added to second moments, in mean eigenvalues: few photos or captions leave directions without any.
RIDGE = 1e-3


def fit_hubness(captions: np.ndarray, photos: np.ndarray) -> Hubness:
    """Keep captions and photos in the directions that their products need, by balanced truncation.

    With second moments `Lc^T Lc` of captions and `Lp^T Lp` of photos and `Lc Lp^T = U S V^T`, the leading h of S give
    the products of h coordinates per side that are off by the least on average over all pairs. Directions of captions
    alone, or of photos alone, say nothing about a product.

    Args:
        captions: (c, K) float32 training captions, in the map beside meaning; c is thousands.
        photos: (p, K) float32 training photos, likewise, weighed as candidates are.

    Returns:
        The fitted hubness, of at most 128 directions.

    References:
        Moore 1981, "Principal component analysis in linear systems: controllability, observability, and model
        reduction".
    """
    of_captions, of_photos = _root_of_moments(captions), _root_of_moments(photos)
    left, strength, right = np.linalg.svd(of_captions @ of_photos.T)
    h = min(WIDTH, captions.shape[1])
    weights = np.sqrt(strength[:h])
    turn = np.linalg.solve(of_photos, right[:h].T * weights)
    back = np.linalg.solve(of_captions, left[:, :h] * weights)
    nearest = np.linalg.pinv(turn).T
    return Hubness(*(np.ascontiguousarray(a, np.float32) for a in (turn, captions @ back, photos @ nearest)))


def _root_of_moments(rows: np.ndarray) -> np.ndarray:
    """Find L (K, K) float64, upper triangular, with `L^T L` the second moments of rows (n, K) plus the ridge."""
    moments = rows.T.astype(np.float64) @ rows / len(rows)
    moments[np.diag_indices_from(moments)] += RIDGE * np.trace(moments) / len(moments)
    return np.linalg.cholesky(moments).T
