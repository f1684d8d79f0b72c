"""`hf:NAME-OR-FOLDER` for photos: a vision model of transformers, or the image side of a CLIP-like one."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.encoders.huggingface import (
    LOCAL_ONLY,
    ModelFolder,
    find_model,
    fingerprint_of_model,
    is_joint,
    load_model,
    pooled_features,
)
from indexer.encoders.image_encoder import ImageEncoder
from indexer.encoders.torch_encoder import encoder_of_module
from indexer.errors import PhotoseekError, first_line, last_line
from indexer.photos.square_transform import SquareTransform, to_square

if TYPE_CHECKING:
    from PIL import Image

SETTING_FILES = ("config.json", "preprocessor_config.json", "processor_config.json")
# Grey levels, on average: resampling in torch and in Pillow differs by less, another crop or filter by more.
SAME_PIXELS = 1.5
# ConvNeXt's rule: below this size in pixels the centre of a larger picture is cut out, from here on it is squashed.
CONVNEXT_SQUASHED_FROM = 384
# Part of the fingerprint.
RECIPE = "pooler, else CLS, else mean; unit; v1"


def load_hf_image(rest: str, precision: str, device: str) -> ImageEncoder:
    """Load a vision model, or the image side of a CLIP-like one.

    Its vector is that of `get_image_features` for a joint model, else the pooler's output if the checkpoint has its
    weights, else the CLS token if there is one, else the mean over the last hidden state.

    Args:
        rest: What follows `hf:`, a folder or a name of the hub.
        precision: What to compute in, as in `ImageEncoder`.
        device: "cpu" or "cuda".

    Raises:
        PhotoseekError: There is no such model, or it cannot be used.
    """
    model = find_model(rest)
    key = fingerprint_of_model(model, [model.folder], SETTING_FILES, RECIPE)
    return encoder_of_module(model.name, key, lambda: image_module(model, *load_model(model)), precision, device)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Equivalent of a model's own image processor: the square, then `pixel * scale + offset` for each channel."""

    transform: SquareTransform
    scale: list[float]
    offset: list[float]


def image_module(model: ModelFolder, network: Any, has_pooler: bool) -> tuple[Any, SquareTransform]:
    """Make the torch module, (n, size, size, 3) uint8 -> (n, dim) float32 unit rows, and the transform it wants.

    Args:
        model: The model.
        network: Its network, as `load_model` gives it.
        has_pooler: Whether its checkpoint has the weights of the pooler.

    Raises:
        PhotoseekError: It is no image encoder, or its image processor cannot be followed.
    """
    preprocessing = _preprocessing(model)
    joint = is_joint(network)
    if not joint and network.main_input_name != "pixel_values":
        raise PhotoseekError(f"{model.name}: {type(network).__name__} is no image encoder")
    has_cls = any(key.endswith("cls_token") for key, _ in network.named_parameters())

    def pool(pixels: Any) -> Any:
        if joint:
            return pooled_features(network.get_image_features(pixel_values=pixels))
        output = network(pixel_values=pixels)
        pooled = getattr(output, "pooler_output", None) if has_pooler else None
        if pooled is None:
            pooled = output.last_hidden_state
        if pooled.dim() == 4:
            return pooled.mean(dim=(2, 3))
        if pooled.dim() == 3:
            return pooled[:, 0] if has_cls else pooled.mean(dim=1)
        return pooled

    module = pixel_module(network, preprocessing, pool)
    _check_rows(model, network, module, preprocessing.transform.size)
    return module, preprocessing.transform


def pixel_module(network: Any, preprocessing: Preprocessing, pool: Callable[[Any], Any]) -> Any:
    """Put preprocessing before a network: (n, size, size, 3) uint8 -> (n, dim) float32, unit rows.

    Args:
        network: The torch module.
        preprocessing: Scale and offset of its channels.
        pool: Runs the network, (n, 3, size, size) float32 -> (n, dim).
    """
    import torch

    class Images(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = network
            self.register_buffer("scale", torch.tensor(preprocessing.scale).view(3, 1, 1))
            self.register_buffer("offset", torch.tensor(preprocessing.offset).view(3, 1, 1))

        def forward(self, images: Any) -> Any:
            pixels = images.permute(0, 3, 1, 2).float() * self.scale + self.offset
            return torch.nn.functional.normalize(pool(pixels), dim=1)

    return Images().eval()


def _check_rows(model: ModelFolder, network: Any, module: Any, size: int) -> None:
    """Refuse a module that does not give one row per photo."""
    import torch

    try:
        with torch.inference_mode():
            rows = module(torch.zeros((1, size, size, 3), dtype=torch.uint8))
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        kind = type(network).__name__
        raise PhotoseekError(f"{model.name}: {kind} is no image encoder ({last_line(error)})") from None
    if rows.dim() != 2:
        raise PhotoseekError(f"{model.name}: {type(network).__name__} gives no single vector per photo")


def _preprocessing(model: ModelFolder) -> Preprocessing:
    """Find the preprocessing that equals the model's own image processor."""
    from transformers import AutoImageProcessor

    name = model.name
    try:
        processor = AutoImageProcessor.from_pretrained(model.folder, **LOCAL_ONLY)
    except (OSError, ValueError, ImportError) as error:
        raise PhotoseekError(f"{name}: no image processor, so no image encoder ({first_line(error)})") from None
    transform = _transform_of(name, processor.to_dict())

    def process(image: "Image.Image") -> np.ndarray:
        return np.asarray(processor(images=image, return_tensors="pt")["pixel_values"])

    return followed_preprocessing(name, type(processor).__name__, transform, process)


def followed_preprocessing(
    name: str, kind: str, transform: SquareTransform, process: "Callable[[Image.Image], np.ndarray]"
) -> Preprocessing:
    """Find the scale and the offset of an image processor, and refuse it if it does anything else.

    They are what the processor makes of a black and of a white picture. Whether all of it is the same is then tried on
    a photo, so a processor that does anything else is refused, not followed in part.

    Args:
        name: The model's name, for the refusal.
        kind: Name of its processor, likewise.
        transform: How the processor makes a square.
        process: The processor, an RGB picture -> (1, 3, size, size) float.

    Raises:
        PhotoseekError: The processor does more than resize, crop and normalise.
    """
    from PIL import Image
    from sklearn.datasets import load_sample_images

    plain = [Image.new("RGB", (transform.size, transform.size), colour) for colour in ("black", "white")]
    photo = Image.fromarray(load_sample_images().images[0][:400, :600])
    size = (1, 3, transform.size, transform.size)
    try:
        black, white, wanted = (process(image) for image in (*plain, photo))
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise PhotoseekError(f"{name}: its image processor cannot be followed ({last_line(error)})") from None
    if any(pixels.shape != size for pixels in (black, white, wanted)):
        raise PhotoseekError(f"{name}: its image processor gives {wanted.shape[1:]}, not {size[1:]}")
    offset = black.mean(axis=(0, 2, 3))
    scale = (white.mean(axis=(0, 2, 3)) - offset) / 255
    ours = np.asarray(to_square(photo, transform), np.float32).transpose(2, 0, 1)
    theirs = (wanted[0] - offset[:, None, None]) / scale[:, None, None]
    if not np.abs(ours - theirs).mean() < SAME_PIXELS:
        raise PhotoseekError(f"{name}: its {kind} does more than resize, crop and normalise a photo")
    return Preprocessing(transform, scale.tolist(), offset.tolist())


def _transform_of(name: str, settings: dict[str, Any]) -> SquareTransform:
    """Return the transform that an image processor's settings describe."""
    from PIL import Image

    size, crop = settings.get("size") or {}, settings.get("crop_size") if settings.get("do_center_crop") else None
    edge, height, width = size.get("shortest_edge"), size.get("height"), size.get("width")
    filter = Image.Resampling(settings.get("resample", Image.Resampling.BILINEAR)).name.lower()
    if settings.get("do_resize", True):
        if height and height == width and (crop is None or crop == {"height": height, "width": width}):
            return SquareTransform(height, "squash", filter=filter)
        if edge and crop and crop["height"] == crop["width"] <= edge:
            return SquareTransform(crop["height"], "crop", edge, filter)
        if edge and crop is None and settings.get("crop_pct"):
            if edge >= CONVNEXT_SQUASHED_FROM:
                return SquareTransform(edge, "squash", filter=filter)
            return SquareTransform(edge, "crop", int(edge / settings["crop_pct"]), filter)
    wanted = {key: settings.get(key) for key in ("do_resize", "size", "do_center_crop", "crop_size")}
    raise PhotoseekError(
        f"{name}: its image processor asks for what is not offered: {json.dumps(wanted, default=dict)}"
    )
