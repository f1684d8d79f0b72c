"""The seed project's image encoder: ResNet-18 where its weights are at hand, else what stands in for it."""

from pathlib import Path

from indexer.encoders import ImageEncoder, load_image_encoder
from indexer.encoders.network import cache_folder
from indexer.errors import PhotoseekError

RESNET, STAND_IN = "torchvision:resnet18", "efficientnet-lite2"
GENUINE = "ResNet-18"
RANDOM = "ResNet-18 WITH RANDOM WEIGHTS, WHICH HAVE LEARNED NOTHING"


def choose_encoder(
    name: str | None, options: dict[str, str], random_weights: bool, device: str
) -> tuple[ImageEncoder, str]:
    """The image encoder and what it is, in words: ResNet-18 where its weights are at hand, else a named stand-in.

    `options` are those of `load_image_encoder`. At hand is a file (option `weights`), or torchvision's own in torch's
    cache; nothing is downloaded unless `name` asks.
    """
    if random_weights:
        return load_image_encoder(RESNET, weights=str(_random_resnet()), device=device), RANDOM
    if name is not None or options:
        encoder = load_image_encoder(name or RESNET, device=device, **options)
        return encoder, GENUINE if encoder.name == RESNET else f"{encoder.name} in place of ResNet-18"
    kept = _kept_resnet()
    if kept is not None:
        return load_image_encoder(RESNET, weights=str(kept), device=device), GENUINE
    try:
        return load_image_encoder(STAND_IN, device=device), "EfficientNet-Lite2, standing in for ResNet-18"
    except PhotoseekError:
        return load_image_encoder(RESNET, weights=str(_random_resnet()), device=device), RANDOM


def _kept_resnet() -> Path | None:
    """torchvision's own weights where an earlier program left them."""
    import torch

    return next(iter(sorted((Path(torch.hub.get_dir()) / "checkpoints").glob("resnet18-*.pth"))), None)


def _random_resnet() -> Path:
    """A file of ResNet-18 weights as they are before any training, the same every time."""
    import torch
    from safetensors.torch import save
    from torchvision import models

    path = cache_folder() / "seed-project" / "resnet18-random.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        path.write_bytes(save(models.resnet18(weights=None).state_dict()))
    return path
