import numpy as np

from reranker.models.linear_map import LinearMap, unit


def test_images_and_texts_are_affine_and_unit():
    joint_space = LinearMap(
        np.array([[1, 0], [0, 2]], np.float32), np.float32([1, 0]), np.eye(2, dtype=np.float32), np.float32([0, 1])
    )
    # (4, 2) -> (4 - 1, 2 x 2) = (3, 4) -> (0.6, 0.8); (5, 13) -> (5, 12) -> (5, 12) / 13
    np.testing.assert_allclose(joint_space.images(np.array([[4, 2]], np.float16)), [[0.6, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(joint_space.texts(np.array([[5, 13]], np.float32)), [[5 / 13, 12 / 13]], rtol=1e-6)
    assert joint_space.images(np.array([[4, 2]], np.float16)).dtype == np.float32
    assert joint_space.k == 2


def test_unit_rows_have_length_one_and_zero_rows_stay_zero():
    rows = unit(np.array([[3, 4], [0, 0], [-2, 0]]))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0], [-1, 0]], rtol=1e-6)
    assert rows.dtype == np.float32
