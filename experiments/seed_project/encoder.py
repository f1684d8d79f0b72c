"""Choose the seed project's image encoder: ResNet-18 where its weights are available, else a stand-in."""

from pathlib import Path

from indexer.cache_folder import cache_folder
from indexer.encoders import ImageEncoder, load_image_encoder
from indexer.errors import PhotoseekError

RESNET, STAND_IN = "torchvision:resnet18", "efficientnet-lite2"
RESNET_TITLE = "ResNet-18"
RANDOM_TITLE = "ResNet-18 WITH RANDOM WEIGHTS, WHICH HAVE LEARNED NOTHING"


def choose_encoder(
    name: str | None, options: dict[str, str], random_weights: bool, device: str
) -> tuple[ImageEncoder, str]:
    """Load the image encoder that was asked for, else ResNet-18, else a stand-in.

    Without a name, ResNet-18's weights are read from the option `weights` or from torch's cache; nothing is downloaded.

    Args:
        name: An image encoder; None takes ResNet-18 or its stand-in.
        options: The options `weights` and `preprocess` of `load_image_encoder`, where they were given.
        random_weights: Take a ResNet-18 that has learned nothing.
        device: "auto", "cpu" or "cuda".

    Returns:
        The encoder and its title for the report, which says when it is not a trained ResNet-18.

    Raises:
        PhotoseekError: The encoder that was asked for cannot be loaded.
    """
    if random_weights:
        return load_image_encoder(RESNET, weights=str(_random_resnet()), device=device), RANDOM_TITLE
    if name is not None or options:
        encoder = load_image_encoder(name or RESNET, device=device, **options)
        return encoder, RESNET_TITLE if encoder.name == RESNET else f"{encoder.name} in place of ResNet-18"
    cached = _cached_resnet()
    if cached is not None:
        return load_image_encoder(RESNET, weights=str(cached), device=device), RESNET_TITLE
    try:
        return load_image_encoder(STAND_IN, device=device), "EfficientNet-Lite2, standing in for ResNet-18"
    except PhotoseekError:
        return load_image_encoder(RESNET, weights=str(_random_resnet()), device=device), RANDOM_TITLE


def _cached_resnet() -> Path | None:
    """Find the weights of torchvision that an earlier program left in torch's cache."""
    import torch

    return next(iter(sorted((Path(torch.hub.get_dir()) / "checkpoints").glob("resnet18-*.pth"))), None)


def _random_resnet() -> Path:
    """Write the weights of a ResNet-18 before any training, the same every time, and return their file."""
    import torch
    from safetensors.torch import save
    from torchvision import models

    path = cache_folder() / "seed-project" / "resnet18-random.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        path.write_bytes(save(models.resnet18(weights=None).state_dict()))
    return path
