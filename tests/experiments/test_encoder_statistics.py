import numpy as np
import pytest

from experiments import encoder_statistics
from experiments.encoder_statistics import class_statistics, feature_statistics, middle_statistics, principal_components
from indexer.encoders.efficientnet import LAST_CHANNELS, dequantised

GENERATOR = np.random.default_rng(0)


def test_middle_pools_have_the_statistics_of_photos_and_of_regions_apart() -> None:
    middle = GENERATOR.random((7, 10, 5), np.float32)
    middle[..., 4] = 2
    statistics = middle_statistics(middle)
    regions = middle[:, 1:].reshape(63, 5)
    assert statistics["middle.mean"] == pytest.approx(middle[:, 0].mean(axis=0), rel=1e-5)
    assert statistics["region_middle.mean"] == pytest.approx(regions.mean(axis=0), rel=1e-5)
    # A channel that never changes has the least deviation and no division by 0.
    assert statistics["middle.deviation"][:4] == pytest.approx(middle[:, 0, :4].std(axis=0, ddof=1), rel=1e-5)
    assert statistics["region_middle.deviation"][:4] == pytest.approx(regions[:, :4].std(axis=0, ddof=1), rel=1e-5)
    assert statistics["middle.deviation"][4] == statistics["region_middle.deviation"][4] == pytest.approx(1e-6)


def test_principal_components_are_orthonormal_and_span_what_varies_most() -> None:
    directions, _ = np.linalg.qr(GENERATOR.standard_normal((6, 6)))
    rows = (GENERATOR.standard_normal((4000, 6)) * [9, 8, 7, 0.1, 0.1, 0.1]) @ directions.T
    components = principal_components(rows, 3)
    assert components.dtype == np.float32
    assert components.T @ components == pytest.approx(np.eye(3), abs=1e-5)
    assert components @ components.T == pytest.approx(directions[:, :3] @ directions[:, :3].T, abs=1e-2)
    assert principal_components(rows, 3).tolist() == components.tolist()


def test_reductions_keep_the_spread_of_the_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_statistics, "REGION_DIM", 3)
    pools = GENERATOR.random((30, 10, LAST_CHANNELS + 5), np.float32)
    statistics = feature_statistics(pools, middle_statistics(pools[..., LAST_CHANNELS:]), 4)
    assert {name: part.shape for name, part in statistics.items()} == {
        "embedding": (LAST_CHANNELS + 5, 4),
        "embedding.scale": (4,),
        "regions": (LAST_CHANNELS + 5, 3),
        "regions.scale": (3,),
    }
    columns = dequantised(statistics, "embedding")
    assert columns.T @ columns == pytest.approx(np.eye(4), abs=0.02)


def test_classes_that_all_networks_confuse_lie_close_together() -> None:
    weights = [GENERATOR.standard_normal((300, 200)).astype(np.float32) for _ in range(2)]
    for rows in weights:
        rows[1] = rows[0]
    classes = dequantised(class_statistics(weights), "classes")
    assert classes.shape == (300, 256)
    assert classes[0] == pytest.approx(classes[1], abs=0.02)
    assert np.linalg.norm(classes[0] - classes[2]) > 0.1
