"""`torchvision:NAME`: a classification network of torchvision, up to the vector that its last linear layer sees."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from indexer.encoders.image_encoder import ImageEncoder
from indexer.encoders.torch_encoder import encoder_of_module
from indexer.errors import PhotoseekError, last_line
from indexer.inference.export import fingerprint
from indexer.photos.square_transform import SquareTransform
from indexer.user_paths import expand_home

# Names under which torchvision's networks keep their classifier.
CLASSIFIERS = ("fc", "classifier", "head", "heads")
# What torchvision itself passes when it loads weights into these two; without it they want other pixels.
INCEPTION = {"transform_input": True, "init_weights": False, "aux_logits": False}
PRETRAINED = {"googlenet": INCEPTION, "inception_v3": INCEPTION}
# Classifiers beside the last one, which only training uses.
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
# Part of the fingerprint.
RECIPE = "input of the last linear layer, unit; v1"


def load_torchvision(name: str, precision: str, device: str, weights: str | None) -> ImageEncoder:
    """Load an image encoder of torchvision.

    Args:
        name: The model's name in torchvision.
        precision: What to compute in, as in `ImageEncoder`.
        device: "cpu" or "cuda".
        weights: File of a state dict (.pth or .safetensors), with or without its classifier; None for torchvision's
            own. A file that bears the name of one of torchvision's own gets that one's preprocessing, any other the
            default's.

    Raises:
        PhotoseekError: There is no such model, it has no linear classifier, or its weights are missing or do not fit.
    """
    from torchvision import models

    full = f"torchvision:{name}"
    if name not in models.list_models(module=models):
        raise PhotoseekError(f"torchvision has no classification model {name!r}; e.g. torchvision:resnet18")
    published = _published(name, weights)
    preset = published.transforms()
    transform = SquareTransform(preset.crop_size[0], "crop", preset.resize_size[0], preset.interpolation.value)
    path = Path(expand_home(weights)) if weights is not None else _own_weights(full, published.url)
    if not path.is_file():
        raise PhotoseekError(f"--weights {weights}: no such file")
    settings = f"({RECIPE!r}, {_written(transform)}, {tuple(preset.mean)!r}, {tuple(preset.std)!r})"
    key = fingerprint(full, [path], settings)
    return encoder_of_module(full, key, lambda: (_module(full, path, preset), transform), precision, device)


def _written(transform: SquareTransform) -> str:
    """Write a transform as fingerprints have it; indexes keep fingerprints, so this never changes."""
    size, mode, resize, filter = transform.size, transform.mode, transform.resize, transform.filter
    return f"Fit(size={size!r}, mode={mode!r}, resize={resize!r}, filter={filter!r})"


def torchvision_module(name: str, weights: str) -> Any:
    """Make the network of `torchvision:NAME` in torch: (n, size, size, 3) uint8 -> (n, dim) float32, unit rows.

    Args:
        name: The model's name in torchvision.
        weights: File of a state dict.

    Raises:
        PhotoseekError: The model has no linear classifier, or the weights do not fit.
    """
    return _module(f"torchvision:{name}", Path(weights), _published(name, weights).transforms())


def _published(name: str, weights: str | None) -> Any:
    """Return the entry of the weights enum whose preprocessing is used: that of the file's name, else the default."""
    from torchvision import models

    known: Any = models.get_model_weights(name)
    return next((one for one in known if weights and Path(one.url).name == Path(weights).name), known.DEFAULT)


def _own_weights(full: str, url: str) -> Path:
    """Return the path of torchvision's own file in torch's cache, downloaded the first time."""
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not path.is_file():
        try:
            torch.hub.load_state_dict_from_url(url, map_location="cpu", progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise PhotoseekError(
                f"{full}: its weights cannot be downloaded ({last_line(error)}); "
                f"fetch {url} elsewhere and give it with --weights FILE"
            ) from None
    return path


def _module(full: str, path: Path, preset: Any) -> Any:
    """Make the torch module: (n, size, size, 3) uint8 -> (n, dim) float32, unit rows."""
    import torch
    from torchvision import models

    class Pooled(torch.nn.Module):
        def __init__(self, net: Any) -> None:
            super().__init__()
            self.net = net
            self.register_buffer("mean", torch.tensor(preset.mean).view(3, 1, 1))
            self.register_buffer("std", torch.tensor(preset.std).view(3, 1, 1))

        def forward(self, images: Any) -> Any:
            x = (images.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
            return torch.nn.functional.normalize(self.net(x).flatten(1), dim=1)

    name = full.partition(":")[2]
    net = models.get_model(name, weights=None, **PRETRAINED.get(name, {}))
    last = _drop_last_linear(full, net)
    _load(full, net, last, path)
    return Pooled(net).eval()


def _drop_last_linear(full: str, net: Any) -> str:
    """Put an identity in place of the last linear layer of the classifier, and return where it was."""
    import torch

    linear = [path for path, module in net.named_modules() if isinstance(module, torch.nn.Linear)]
    if not linear or linear[-1].partition(".")[0] not in CLASSIFIERS:
        raise PhotoseekError(f"{full}: has no linear classifier to take off, so no pooled vector; choose another model")
    owner, _, attribute = linear[-1].rpartition(".")
    setattr(net.get_submodule(owner), attribute, torch.nn.Identity())
    return linear[-1]


def _load(full: str, net: Any, last: str, path: Path) -> None:
    """Load a state dict into `net`, leaving out the classifiers, which may have had any number of classes."""
    loaded = read_state_dict(path)
    wanted = net.state_dict()
    state = type(wanted)()
    for key, tensor in loaded.items():
        # DenseNet's published files write norm.1 for today's norm1.
        key = re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", key)
        if not key.startswith((last + ".", *AUXILIARY)):
            state[key] = tensor
    # Versions of the layers' formats, which MNASNet insists on and safetensors files do not have.
    state._metadata = getattr(loaded, "_metadata", wanted._metadata)
    for key, tensor in wanted.items():
        if key not in state and key.endswith(".num_batches_tracked"):
            state[key] = tensor
    _check_state(full, state, wanted, path)
    net.load_state_dict(state)


def _check_state(full: str, state: Mapping[str, Any], wanted: Mapping[str, Any], path: Path) -> None:
    """Refuse a state dict that is not of the network."""
    for key, tensor in wanted.items():
        if key not in state:
            raise PhotoseekError(f"--weights {path}: does not fit {full}: it lacks {key}")
        if state[key].shape != tensor.shape:
            shapes = f"{tuple(state[key].shape)} where {tuple(tensor.shape)} is wanted"
            raise PhotoseekError(f"--weights {path}: does not fit {full}: {key} is {shapes}")
    unknown = next((key for key in state if key not in wanted), None)
    if unknown is not None:
        raise PhotoseekError(f"--weights {path}: does not fit {full}, which knows no {unknown}")


def read_state_dict(path: Path) -> Any:
    """Read a state dict: tensors by name.

    Args:
        path: The file, a `.pth` or `.safetensors`.

    Raises:
        PhotoseekError: It is no state dict.
    """
    import torch
    from safetensors.torch import load_file

    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception:  # a damaged pickle may end in any
        loaded = None
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise PhotoseekError(f"--weights {path}: not a state dict (a .pth of tensors by name, or .safetensors)")
    return loaded
