"""Measure the statistics of an EfficientNet encoder over everyday photos, and write them into the encoder's own file.

python -m experiments.encoder_statistics ENCODER PHOTOS

The encoder's fingerprint changes with the file: build indexes and train rankers again.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
from safetensors.numpy import save_file

from indexer.encoders.efficientnet import (
    CLASS_DIM,
    LAST_CHANNELS,
    PARTS,
    REDUCED_WIDTHS,
    REGION_DIM,
    pool_features,
    pools_module,
    quantised,
    statistics_file,
)
from indexer.encoders.image_encoder import IMAGE_BATCH
from indexer.inference.export import export_module
from indexer.inference.network import Network
from indexer.photos.decode import decode_photo
from indexer.photos.square_transform import SquareTransform

# Photos decoded at a time; 64 of 260 x 260 pixels take 13 MB.
CHUNK = 64
# Neighbouring regions are much alike, so every third one is enough for their principal components.
REGION_STEP = 3
# Least standard deviation of a middle pool, against a division by 0.
MIN_DEVIATION = 1e-6


@click.command()
@click.argument("encoder", type=click.Choice(list(PARTS)))
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(encoder: str, photos: Path) -> None:
    """Measure ENCODER over every .jpg of the folder PHOTOS, and write its file of statistics."""
    parts = PARTS[encoder]
    module = pools_module(parts)
    pools = measure_pools(module, parts[-1].size, sorted(photos.glob("*.jpg")))
    class_weights = [net.state_dict()["_fc.weight"].numpy() for net in module.nets]
    statistics = {
        **middle_statistics(pools[..., len(parts) * LAST_CHANNELS :]),
        **class_statistics(class_weights),
    }
    statistics |= feature_statistics(pools, statistics, REDUCED_WIDTHS[encoder])
    save_file(statistics, statistics_file(encoder), metadata={"photos": str(len(pools))})


def measure_pools(module: Any, size: int, files: list[Path]) -> np.ndarray:
    """Compute the average pools of photos.

    Args:
        module: The torch module of `pools_module`.
        size: The side of its input, in pixels.
        files: The photos.

    Returns:
        The pools of the whole photo and its nine regions, (photos, 10, channels) float32.
    """
    import torch

    with tempfile.TemporaryDirectory() as scratch:
        export_module(module, (torch.zeros((2, size, size, 3), dtype=torch.uint8),), Path(scratch))
        network = Network(Path(scratch), "f32", "throughput", IMAGE_BATCH)
        pools = []
        for start in range(0, len(files), CHUNK):
            pixels = np.stack(
                [decode_photo(bytes(path), SquareTransform(size)).pixels for path in files[start : start + CHUNK]]
            )
            pools.append(network.run_blocks(pixels))
            print(f"{start + len(pixels)}/{len(files)}", file=sys.stderr)
    return np.concatenate(pools)


def middle_statistics(middle: np.ndarray) -> dict[str, np.ndarray]:
    """Compute mean and standard deviation of the pools of the middle blocks.

    Args:
        middle: The pools of the whole photo and its regions, (photos, 10, channels) float32.

    Returns:
        `middle.*` of whole photos and `region_middle.*` of regions, each (channels,) float32.
    """
    import torch

    pools = torch.from_numpy(middle)
    statistics = {}
    for name, rows in (("middle", pools[:, 0]), ("region_middle", pools[:, 1:].flatten(0, 1))):
        statistics[f"{name}.mean"] = rows.mean(dim=0).numpy()
        statistics[f"{name}.deviation"] = rows.std(dim=0).clamp(min=MIN_DEVIATION).numpy()
    return statistics


def feature_statistics(pools: np.ndarray, middle: dict[str, np.ndarray], embedding_dim: int) -> dict[str, np.ndarray]:
    """Fit the reductions of the features of whole photos and of regions.

    Args:
        pools: The pools of the whole photo and its regions, (photos, 10, channels) float32.
        middle: The statistics of `middle_statistics`.
        embedding_dim: The width of a reduced photo.

    Returns:
        `embedding` (features, embedding_dim) and `regions` (features, 512), int8 with a float32 scale per column.
    """
    import torch

    photos = torch.from_numpy(pools)
    statistics: dict[str, np.ndarray] = {}
    for name, rows, source, dim in (
        ("embedding", photos[:, 0], "middle", embedding_dim),
        ("regions", photos.flatten(0, 1)[::REGION_STEP], "region_middle", REGION_DIM),
    ):
        mean, deviation = (torch.from_numpy(middle[f"{source}.{part}"]) for part in ("mean", "deviation"))
        statistics |= quantised(name, principal_components(pool_features(rows, mean, deviation).numpy(), dim))
    return statistics


def class_statistics(weights: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Fit the reduction of the class probabilities to the classifiers' own weights.

    Args:
        weights: The weights of each network's classifier, (classes, channels) float32.

    Returns:
        `classes` (classes, 256), int8 with a float32 scale per column.
    """
    centred = np.concatenate([rows - rows.mean(axis=0) for rows in weights], axis=1)
    return quantised("classes", principal_components(centred.T, CLASS_DIM))


def principal_components(rows: np.ndarray, dim: int) -> np.ndarray:
    """Compute the leading principal components, rotated at random.

    Training drops columns at random; after the rotation all columns carry about the same variance, so that none is
    worth more than another.

    Args:
        rows: The data, (n, d) float32.
        dim: The number of components.

    Returns:
        The components as orthonormal columns, (d, dim) float32.
    """
    _, components = np.linalg.eigh(np.cov(rows.T))
    rotation, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((dim, dim)))
    return (components[:, ::-1][:, :dim] @ rotation).astype(np.float32)


if __name__ == "__main__":
    main()
