"""The space of the lists: two matrices map photos and queries into it and keep their inner products.

Text queries are not distributed like photos: some directions they hardly use. Bits are worth most where both vary, so
space is stretched by `L = E[q q^T]^(1/2)` before the principal directions of the photos are taken; queries are mapped
by the inverse, which leaves every product as it was.
"""

from collections.abc import Mapping

import numpy as np

from indexer.views.ann_settings import AnnSettings


def stretched_directions(
    photos: np.ndarray, kinds: Mapping[str, np.ndarray], settings: AnnSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Compute what photos and what queries are multiplied by.

    Both are the leading directions of the stretched space, in an order that gives every code as much to say. The
    products of both sides are those of before, but for the directions that are left out.

    Args:
        photos: (n, K) float32, a sample of `[z ; hubness]`.
        kinds: Queries by kind, (s, K) float32 each.
        settings: Weights of the kinds, ridge, codes.

    Returns:
        The matrices of photos and of queries, (K, r) float32 each.
    """
    covariance = np.cov(photos.T).astype(np.float64)
    moments = _query_moments(covariance, kinds, settings.kind_weights)
    values, vectors = np.linalg.eigh(moments)
    roots = np.sqrt(np.maximum(values, 0) + settings.ridge * values.max())
    stretch, unstretch = (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
    values, vectors = np.linalg.eigh(stretch @ covariance @ stretch)
    values, vectors = values[::-1], vectors[:, ::-1]
    order = _deal_out(values, *settings.codes_of(len(values)))
    photo, query = (np.ascontiguousarray((side @ vectors)[:, order], np.float32) for side in (stretch, unstretch))
    return photo, query


def _query_moments(
    covariance: np.ndarray, kinds: Mapping[str, np.ndarray], kind_weights: Mapping[str, float]
) -> np.ndarray:
    """Average the second moments of the kinds' queries, (K, K) float64."""
    moments, weights = np.zeros_like(covariance), {name: kind_weights.get(name, 1.0) for name in kinds}
    for name, queries in kinds.items():
        # Every query of a kind counts for as much, however large the scores are that it gives.
        spread = np.sqrt(np.einsum("ij,jk,ik->i", queries, covariance, queries))
        even = queries / np.maximum(spread, 1e-12)[:, None]
        moments += even.T @ even * (weights[name] / sum(weights.values()) / len(even))
    return moments


def _deal_out(values: np.ndarray, codes: int, width: int) -> np.ndarray:
    """Order coordinates so that the variances of each `width` consecutive ones have about the same product.

    values: (r,) variances, largest first. Returns (codes * width,) places. They are dealt out like cards: the largest
    variance that is left goes to the code whose product is smallest so far.
    """
    logs = np.log(np.maximum(values[: codes * width], 1e-9 * values[0])).reshape(width, codes)
    dealt, total = np.empty((codes, width), np.int64), np.zeros(codes)
    for turn in range(width):
        poorest = np.argsort(total, kind="stable")
        dealt[poorest, turn] = turn * codes + np.arange(codes)
        total[poorest] += logs[turn]
    return dealt.reshape(-1)
