"""An image encoder made of a torch module: exported once, or on the CUDA device as it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from indexer.encoders.image_encoder import ImageEncoder, ImageExport
from indexer.encoders.samples import sample_photos
from indexer.inference.export import export_checked_module, export_once
from indexer.photos.square_transform import SquareTransform

# Which of the sample photos an export is checked on.
CHECKED_PHOTOS = [0, 5, 9]


def encoder_of_module(
    name: str,
    key: str,
    build: Callable[[], tuple[Any, SquareTransform]],
    precision: str,
    device: str,
    region_shape: tuple[int, int] = (0, 0),
) -> ImageEncoder:
    """Make an image encoder of a torch module.

    Args:
        name: The encoder's name.
        key: Its fingerprint.
        build: Gives the module, (n, size, size, 3) uint8 -> float32 rows as `ImageEncoder` says, and the transform that
            it wants; not called if the module's export is in the cache.
        precision: What to compute in, as in `ImageEncoder`.
        device: "cpu" or "cuda".
        region_shape: (how many region vectors are in a row, how wide).

    Raises:
        PhotoseekError: OpenVINO cannot convert or run the module, or the cache cannot be written.
    """
    region_columns = region_shape[0] * region_shape[1]
    if device == "cuda":
        module, transform = build()
        blank = np.zeros((1, transform.size, transform.size, 3), np.uint8)
        dim = _module_rows(module, blank).shape[1] - region_columns
        return ImageEncoder(name, key, dim, transform, Path(), precision, module.to("cuda"), region_shape)

    def write(scratch: Path) -> None:
        module, transform = build()
        images = sample_photos(transform.size)[CHECKED_PHOTOS]
        rows = _module_rows(module, images)
        export_checked_module(name, module, (_tensor(images[:2]),), (images,), rows, scratch)
        ImageExport(rows.shape[1] - region_columns, transform, region_shape).write(scratch)

    folder = export_once(key, write)
    export = ImageExport.read(folder)
    return ImageEncoder(name, key, export.dim, export.transform, folder, precision, region_shape=export.region_shape)


def _module_rows(module: Any, images: np.ndarray) -> np.ndarray:
    """Run the module on the CPU, one photo of (n, size, size, 3) at a time, as no batch can influence its row."""
    import torch

    module.eval()
    with torch.inference_mode():
        return np.concatenate([module(_tensor(image[None])).numpy() for image in images])


def _tensor(images: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(images))
