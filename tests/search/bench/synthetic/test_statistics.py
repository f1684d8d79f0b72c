"""search.bench.synthetic.statistics: the dimension and the similarities of a cloud."""

import numpy as np
import pytest

from indexer.index import Index
from search.bench.exact_search import neighbours
from search.bench.synthetic.photos import source_rows
from search.bench.synthetic.statistics import (
    GalleryStatistics,
    deviation,
    intrinsic_dimension,
    quantiles,
    statistics,
)
from tiny_cloud import vectors

REAL = 300
# Statistics of clouds that are alike differ by less than this.
AGREEMENT = 0.1


def test_the_statistics_tell_another_cloud(real: Index) -> None:
    here = statistics(source_rows(real))
    assert deviation(here, statistics(vectors(REAL, 64, dimensions=30))) > AGREEMENT
    assert deviation(here, here) == 0


def test_the_deviation_is_the_largest_relative_difference() -> None:
    one = GalleryStatistics(20.0, {"5%": 0.25, "95%": 0.5})
    assert deviation(one, GalleryStatistics(22.0, {"5%": 0.25, "95%": 0.5})) == pytest.approx(0.1)
    assert deviation(one, GalleryStatistics(22.0, {"5%": 0.2, "95%": 0.5})) == pytest.approx(0.2)


@pytest.mark.parametrize("dimension", [2, 4, 6])
def test_the_intrinsic_dimension_is_that_of_the_cloud(dimension: int) -> None:
    generator = np.random.default_rng(1)
    plane = 0.5 * generator.uniform(-1, 1, (2_000, dimension))
    x = np.concatenate([np.ones((2_000, 1)), plane], axis=1)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    cosines = np.sort(x @ x.T, axis=1)[:, -2:-4:-1]
    assert intrinsic_dimension(cosines) == pytest.approx(dimension, rel=0.12)


def test_quantiles_are_named_by_percent() -> None:
    assert quantiles(np.arange(101) / 100) == {"5%": 0.05, "25%": 0.25, "50%": 0.5, "75%": 0.75, "95%": 0.95}


def test_exact_copies_say_nothing_about_the_dimension() -> None:
    x = vectors(500, 64)
    _, cosines = neighbours(x, 2)
    doubled = np.concatenate([cosines, np.float32([[1, 0.9]] * 50)])
    assert intrinsic_dimension(doubled) == intrinsic_dimension(cosines)
