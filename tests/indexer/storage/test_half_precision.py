import numpy as np

from indexer.storage.half_precision import widened


def test_every_finite_half_is_the_number_that_numpy_makes_of_it():
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    assert len(halves) == 63488
    assert np.array_equal(widened(halves), halves.astype(np.float32))
    assert widened(halves).dtype == np.float32
    # The sign of zero, too.
    assert np.array_equal(np.signbit(widened(halves)), np.signbit(halves))


def test_rows_keep_their_shape_and_what_they_came_from():
    rows = np.array([[1.5, -2.0], [0.0, 6e-8]], "<f2")
    kept = rows.copy()
    assert widened(rows).tolist() == rows.astype(np.float32).tolist() == [[1.5, -2.0], [0.0, 2.0**-24]]
    assert np.array_equal(rows, kept)
    assert widened(rows[:, ::2]).tolist() == [[1.5], [0.0]]
    assert widened(rows[:0]).shape == (0, 2)
