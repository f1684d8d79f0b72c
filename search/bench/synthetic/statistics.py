"""Describe a gallery of photo vectors by its intrinsic dimension and the similarities of neighbours."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from search.bench.exact_search import neighbours

# Nearest photos per photo whose similarities are compared.
NEAREST = 100
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# TwoNN leaves out the largest ratios, which are the noisiest (Facco et al. 2017).
KEPT_RATIOS = 0.9
# Distances below this are those of exact copies.
COPY_DISTANCE = 1e-3


@dataclass(frozen=True, slots=True)
class GalleryStatistics:
    """Statistics of a gallery.

    Attributes:
        intrinsic_dimension: The TwoNN estimate.
        similarity: Quantiles of the cosines of every photo with its 100 nearest, by percent (`5%`).
        query_score: Quantiles of the 100 best scores of queries, by percent; None if no query was asked.
    """

    intrinsic_dimension: float
    similarity: dict[str, float]
    query_score: dict[str, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, without what was not measured."""
        values: dict[str, Any] = {"intrinsic_dimension": self.intrinsic_dimension, "similarity": self.similarity}
        return values if self.query_score is None else {**values, "query_score": self.query_score}


def statistics(x: np.ndarray) -> GalleryStatistics:
    """Compute the statistics of a gallery.

    Args:
        x: The photos, (n, d) float32 unit rows.

    Returns:
        The statistics, without query scores.
    """
    _, cosines = neighbours(x, NEAREST)
    return GalleryStatistics(round(intrinsic_dimension(cosines), 2), quantiles(cosines))


def deviation(one: GalleryStatistics, other: GalleryStatistics) -> float:
    """Return the largest relative difference of `other` from `one`, over the dimension and all similarity quantiles.

    Args:
        one: The statistics that differences are relative to.
        other: The statistics to compare.
    """
    dimension = abs(other.intrinsic_dimension / one.intrinsic_dimension - 1)
    return max(dimension, quantile_deviation(one.similarity, other.similarity))


def quantile_deviation(one: dict[str, float], other: dict[str, float]) -> float:
    """Return the largest relative difference of the quantiles `other` from `one`.

    Args:
        one: The quantiles that differences are relative to.
        other: Quantiles of the same names.
    """
    return max(abs(other[name] / one[name] - 1) for name in one)


def intrinsic_dimension(cosines: np.ndarray) -> float:
    """Estimate the intrinsic dimension of a gallery by TwoNN.

    The ratio of the second distance to the first follows a Pareto law whose exponent is the dimension. It is fitted
    through the origin. Rows with an exact copy are left out.

    Args:
        cosines: The cosines of each row with its nearest other rows, nearest first, (n, 2 or more).

    Returns:
        The dimension.

    References:
        Facco, d'Errico, Rodriguez and Laio 2017, "Estimating the intrinsic dimension of datasets by a minimal
        neighborhood information", Scientific Reports 7, https://doi.org/10.1038/s41598-017-11873-y.
    """
    distances = np.sqrt(np.maximum(2 - 2 * cosines[:, :2].astype(np.float64), 0))
    distances = distances[distances[:, 0] > COPY_DISTANCE]
    ratios = np.sort(np.log(distances[:, 1] / distances[:, 0]))
    kept = int(KEPT_RATIOS * len(ratios))
    share = np.arange(1, kept + 1) / len(ratios)
    return float(ratios[:kept] @ -np.log(1 - share) / (ratios[:kept] @ ratios[:kept]))


def quantiles(values: np.ndarray) -> dict[str, float]:
    """Compute the quantiles of all values of an array.

    Args:
        values: The values, of any shape.

    Returns:
        The quantiles `QUANTILES` by percent, rounded to four decimals.
    """
    found = np.quantile(values, QUANTILES)
    return {f"{100 * q:g}%": round(float(value), 4) for q, value in zip(QUANTILES, found, strict=True)}
