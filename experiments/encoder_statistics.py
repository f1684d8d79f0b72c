"""Measure what an EfficientNet encoder keeps of everyday photos: python -m experiments.encoder_statistics
ENCODER PHOTOS. Writes the encoder's own file; its fingerprint changes with it."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from indexer.encoders.base import BATCH
from indexer.encoders.efficientnet import (
    CLASS_DIM,
    LAST,
    PARTS,
    REDUCED,
    REGION_DIM,
    features,
    pools_module,
    quantised,
    statistics_file,
)
from indexer.encoders.network import Network, write_module
from indexer.photos.decode import Fit, load


def main(encoder: str, photos: Path) -> None:
    """Statistics of every JPEG of a folder: z-scores of middle pools, then principal components of the features."""
    import torch

    parts = PARTS[encoder]
    module = pools_module(parts)
    pools = torch.from_numpy(_measure(module, parts[-1].size, sorted(photos.glob("*.jpg"))))
    kept: dict[str, np.ndarray] = {}
    middle = pools[..., len(parts) * LAST :]
    for name, values in (("middle", middle[:, 0]), ("region_middle", middle[:, 1:].flatten(0, 1))):
        kept[f"{name}.mean"] = values.mean(dim=0).numpy()
        kept[f"{name}.deviation"] = values.std(dim=0).clamp(min=1e-6).numpy()
    for name, rows, source, dim in (
        ("embedding", pools[:, 0], "middle", REDUCED[encoder]),
        # Neighbouring regions say much the same; every third is enough to find their components.
        ("regions", pools.flatten(0, 1)[::3], "region_middle", REGION_DIM),
    ):
        mean, deviation = (torch.from_numpy(kept[f"{source}.{part}"]) for part in ("mean", "deviation"))
        kept |= quantised(name, _principal(features(rows, mean, deviation).numpy(), dim))
    weights = [net._fc.weight.detach().numpy() for net in module.nets]
    kept |= quantised("classes", _principal(np.concatenate([w - w.mean(axis=0) for w in weights], axis=1).T, CLASS_DIM))
    save_file(kept, statistics_file(encoder), metadata={"photos": str(len(pools))})


def _measure(module: Any, size: int, files: list[Path]) -> np.ndarray:
    """(photos, 10, channels) float32."""
    import torch

    with tempfile.TemporaryDirectory() as scratch:
        write_module(module, (torch.zeros((2, size, size, 3), dtype=torch.uint8),), Path(scratch))
        network = Network(Path(scratch), "f32", "throughput", BATCH)
        rows = []
        for start in range(0, len(files), 64):
            pixels = np.stack([load(bytes(path), Fit(size)).pixels for path in files[start : start + 64]])
            rows.append(network.run_blocks(pixels))
            print(f"{start + len(pixels)}/{len(files)}", file=sys.stderr)
    return np.concatenate(rows)


def _principal(rows: np.ndarray, dim: int) -> np.ndarray:
    """The leading principal components of rows (n, d), turned at random: (d, dim) with orthonormal columns.

    Turned, every column carries alike: training drops columns at random, and dropping the first component alone would
    leave nothing to learn from.
    """
    _, components = np.linalg.eigh(np.cov(rows.T))
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((dim, dim)))
    return (components[:, ::-1][:, :dim] @ turn).astype(np.float32)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
