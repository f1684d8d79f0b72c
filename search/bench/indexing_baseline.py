"""Index photos the usual way: Pillow, torchvision's transforms, the same network in torch float32."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from indexer.encoders import ImageEncoder, load_image_encoder
from indexer.errors import PhotoseekError
from indexer.photos.square_transform import SquareTransform

# Photos per batch.
BATCH_PHOTOS = 32


def load_networks(name: str, precision: str) -> tuple[ImageEncoder, Callable[[], Any]]:
    """Load an image encoder, and make the same network available in torch.

    Networks of torchvision get random weights, which are kept in the cache.

    Args:
        name: An EfficientNet-Lite or `torchvision:NAME`.
        precision: The number format that the encoder computes in.

    Returns:
        The encoder, and a function that loads the network in torch: (n, size, size, 3) uint8 -> embeddings.

    Raises:
        PhotoseekError: The encoder is of another kind.
    """
    kind, _, rest = name.partition(":")
    if kind == "torchvision" and rest:
        from indexer.cache_folder import cache_folder
        from indexer.encoders.torchvision_models import torchvision_module

        weights = cache_folder() / "bench" / f"{rest}-random.pth"
        if not weights.exists():
            import torch
            from torchvision import models

            weights.parent.mkdir(parents=True, exist_ok=True)
            torch.manual_seed(0)
            torch.save(models.get_model(rest, weights=None).state_dict(), weights)
        encoder = load_image_encoder(name, device="cpu", precision=precision, weights=str(weights))
        return encoder, lambda: torchvision_module(rest, str(weights))
    if kind in ("efficientnet-lite", "efficientnet-lite2"):
        from indexer.encoders.efficientnet import photo_module

        return load_image_encoder(name, device="cpu", precision=precision), lambda: photo_module(name).eval()
    raise PhotoseekError(f"bench measures efficientnet-lite, efficientnet-lite2 and torchvision:NAME, not {name}")


def index_by_torch(paths: list[bytes], fit: SquareTransform, module: Any, workers: int) -> int:
    """Embed photo files as torch users do: read by Pillow, resized and cropped by torchvision.

    Args:
        paths: The photo files.
        fit: How the network wants its pixels.
        module: The network in torch, (n, size, size, 3) uint8 -> embeddings.
        workers: Processes of the DataLoader; 0 reads the photos in this process.

    Returns:
        How many photos were embedded.
    """
    import torch
    from torchvision import transforms

    squash = [transforms.Resize((fit.size, fit.size))]
    crop = [transforms.Resize(fit.resize), transforms.CenterCrop(fit.size)]
    # The network scales and normalises its pixels itself.
    transform = transforms.Compose([*(squash if fit.mode == "squash" else crop), transforms.PILToTensor()])
    loader: Iterable[Any] = torch.utils.data.DataLoader(
        _Photos(paths, transform),  # type: ignore[arg-type]
        batch_size=BATCH_PHOTOS,
        num_workers=workers,
    )
    done = 0
    with torch.inference_mode():
        for batch in loader:
            done += len(module(batch.permute(0, 2, 3, 1)).numpy())
    return done


class _Photos:
    """A torch dataset of photo files, as torch users write it."""

    def __init__(self, paths: list[bytes], transform: Any) -> None:
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Any:
        from PIL import Image

        with Image.open(os.fsdecode(self.paths[number])) as image:
            return self.transform(image.convert("RGB"))
