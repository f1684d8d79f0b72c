import numpy as np
import pytest

from reranker.judgments import near_duplicates as module
from reranker.judgments.near_duplicates import SAME_SCENE, near_duplicates


def test_pairs_come_nearest_first():
    # Angles in degrees; cos 10 = 0.985, cos 20 = 0.940, cos 30 = 0.866.
    angles = np.deg2rad([0, 10, 30, 0, 200])
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1) * np.array([[1], [5], [0.1], [2], [1]])
    assert near_duplicates(x, 0.9) == [
        (0, 3, pytest.approx(1)),
        (0, 1, pytest.approx(np.cos(np.deg2rad(10)))),
        (1, 3, pytest.approx(np.cos(np.deg2rad(10)))),
        (1, 2, pytest.approx(np.cos(np.deg2rad(20)))),
    ]
    pairs = [pair[:2] for pair in near_duplicates(x, 0.86)]
    assert pairs == [(0, 3), (0, 1), (1, 3), (1, 2), (0, 2), (2, 3)]
    assert near_duplicates(x[[0, 4]], 0.86) == []


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_blocks_find_what_all_products_at_once_find(monkeypatch, block):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((100, 3)).astype(np.float16)
    unit = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    cosines = unit @ unit.T
    expected = {(i, j) for i in range(100) for j in range(i + 1, 100) if cosines[i, j] >= SAME_SCENE}
    monkeypatch.setattr(module, "BLOCK", block)
    found = near_duplicates(x)
    assert {pair[:2] for pair in found} == expected
    assert len(expected) > 50
    for i, j, cosine in found:
        assert cosine == pytest.approx(cosines[i, j], abs=1e-6)
    assert [pair[2] for pair in found] == sorted((pair[2] for pair in found), reverse=True)
