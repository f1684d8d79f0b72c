"""Encoders: photos and sentences to vectors. See docs/encoders.md for the kinds and how each is named."""

from functools import cache
from pathlib import Path

from indexer.encoders.image_encoder import ImageEncoder
from indexer.encoders.text_encoder import TextEncoder, TextExport
from indexer.encoders.tokens import Tokens
from indexer.errors import PhotoseekError
from indexer.inference.export import kept_export
from indexer.inference.openvino_runtime import openvino_runtime

__all__ = [
    "ImageEncoder",
    "TextEncoder",
    "Tokens",
    "is_joint_name",
    "load_image_encoder",
    "load_text_encoder",
    "open_text_encoder",
]

IMAGE_KINDS = (
    "efficientnet-lite, efficientnet-lite2, clip:NAME-OR-FOLDER, torchvision:NAME, hf:NAME-OR-FOLDER, file:PATH"
)
TEXT_KINDS = "minilm, clip:NAME-OR-FOLDER, hf:NAME-OR-FOLDER"
# The image encoders that give region vectors, for the line that refuses the others.
REGION_KINDS = "efficientnet-lite, efficientnet-lite2"


def load_image_encoder(
    name: str,
    *,
    device: str = "auto",
    precision: str = "auto",
    weights: str | None = None,
    preprocess: str | None = None,
) -> ImageEncoder:
    """Load an image encoder by name, exporting it into the user's cache the first time.

    Args:
        name: One of the kinds of docs/encoders.md.
        device: "cpu", "cuda", or "auto" (CUDA where torch sees one).
        precision: "f32", "bf16", "int8", or "auto" (bfloat16 where the CPU has it and the embeddings hardly change).
        weights: File of a state dict, for `torchvision:NAME`.
        preprocess: Preprocessing of the network, for `file:PATH`, as docs/encoders.md describes it.

    Returns:
        The encoder: (n, size, size, 3) uint8 RGB -> (n, dim) float32, unit rows.

    Raises:
        PhotoseekError: There is no such encoder, or something that it needs is missing.
    """
    kind, _, rest = name.partition(":")
    for option, value, wanted in (("--weights", weights, "torchvision"), ("--preprocess", preprocess, "file")):
        if value is not None and kind != wanted:
            raise PhotoseekError(f"{option} goes with {wanted}: encoders, not with {name}")
    device = _choose_device(device)
    if name in ("efficientnet-lite", "efficientnet-lite2"):
        from indexer.encoders.efficientnet import load_efficientnet

        return load_efficientnet(name, precision, device)
    if kind == "clip" and rest:
        from indexer.encoders.joint.load_joint import load_joint_image

        return load_joint_image(rest, precision, device)
    if kind == "torchvision" and rest:
        from indexer.encoders.torchvision_models import load_torchvision

        return load_torchvision(rest, precision, device, weights)
    if kind == "hf" and rest:
        from indexer.encoders.huggingface_image import load_hf_image

        return load_hf_image(rest, precision, device)
    if kind == "file" and rest:
        from indexer.encoders.model_file import load_model_file

        return load_model_file(rest, precision, preprocess)
    raise PhotoseekError(f"no image encoder {name!r}; there are: {IMAGE_KINDS}")


def load_text_encoder(name: str, *, precision: str = "auto") -> TextEncoder:
    """Load a text encoder by name, exporting it into the user's cache the first time; it always runs on the CPU.

    Args:
        name: One of the kinds of docs/encoders.md.
        precision: "f32", "bf16", or "auto" (bfloat16 where the CPU has it and the vectors hardly change).

    Returns:
        The encoder: n texts -> (n, dim) float32.

    Raises:
        PhotoseekError: There is no such encoder, or something that it needs is missing.
    """
    kind, _, rest = name.partition(":")
    if name == "minilm":
        from indexer.encoders.minilm import load_minilm

        return load_minilm(precision)
    if kind == "clip" and rest:
        from indexer.encoders.joint.load_joint import load_joint_text

        return load_joint_text(rest, precision)
    if kind == "hf" and rest:
        from indexer.encoders.huggingface_text import load_hf_text

        return load_hf_text(rest, precision)
    raise PhotoseekError(f"no text encoder {name!r}; there are: {TEXT_KINDS}")


def open_text_encoder(fingerprint: str, name: str) -> TextEncoder:
    """Open a text encoder by its fingerprint, straight from its export in the user's cache, without torch.

    Without an export it is loaded by its name and exported, which takes some seconds.

    Args:
        fingerprint: Which encoder.
        name: Its name.

    Returns:
        The encoder: n texts -> (n, dim) float32.

    Raises:
        PhotoseekError: The encoder of that name is another one.
    """
    folder = kept_export(fingerprint)
    if folder is not None:
        return _open_export(folder, fingerprint, name)
    encoder = load_text_encoder(name)
    if encoder.fingerprint != fingerprint:
        raise PhotoseekError(
            f"the ranker was trained with text encoder {fingerprint}, but this machine has {encoder.fingerprint}; "
            "install the same weights, or train a ranker again"
        )
    return encoder


@cache
def _open_export(folder: Path, fingerprint: str, name: str) -> TextEncoder:
    """Open an export, once per process, because reading a compiled network takes a tenth of a second."""
    # Import OpenVINO in the caller's thread; the rest of the loading is not Python and can run beside other work.
    openvino_runtime()
    return TextExport.read(folder).encoder(name, fingerprint, folder)


def is_joint_name(name: str) -> bool:
    """Return whether an encoder's name is of a joint one, which is both the image and the text encoder."""
    return name.startswith("clip:")


def _choose_device(asked: str) -> str:
    """Return "cpu" or "cuda"."""
    if asked == "cpu":
        return "cpu"
    import shutil

    # Asking torch costs over a second; a machine without NVIDIA's driver has no CUDA.
    if asked == "auto" and shutil.which("nvidia-smi") is None:
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if asked == "cuda":
        raise PhotoseekError("--device cuda: torch finds no CUDA device here; use --device cpu")
    return "cpu"
