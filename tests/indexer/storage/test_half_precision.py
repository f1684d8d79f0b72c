import numpy as np

from indexer.storage.half_precision import to_float32


def test_every_finite_half_is_the_number_that_numpy_makes_of_it():
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    assert len(halves) == 63488
    assert np.array_equal(to_float32(halves), halves.astype(np.float32))
    assert to_float32(halves).dtype == np.float32
    # The sign of zero, too.
    assert np.array_equal(np.signbit(to_float32(halves)), np.signbit(halves))


def test_rows_keep_their_shape_and_what_they_came_from():
    rows = np.array([[1.5, -2.0], [0.0, 6e-8]], "<f2")
    kept = rows.copy()
    assert to_float32(rows).tolist() == rows.astype(np.float32).tolist() == [[1.5, -2.0], [0.0, 2.0**-24]]
    assert np.array_equal(rows, kept)
    assert to_float32(rows[:, ::2]).tolist() == [[1.5], [0.0]]
    assert to_float32(rows[:0]).shape == (0, 2)
