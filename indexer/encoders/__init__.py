"""Encoders: photos and sentences to vectors. See README.md for the kinds and how each is named."""

from functools import cache
from pathlib import Path

from indexer.encoders.base import ImageEncoder, TextEncoder, Tokens
from indexer.encoders.network import export_folder, read_facts, runtime
from indexer.errors import PhotoseekError

__all__ = ["ImageEncoder", "TextEncoder", "Tokens", "load_image_encoder", "load_text_encoder", "open_text_encoder"]

IMAGE_KINDS = "efficientnet-lite, efficientnet-lite2, torchvision:NAME, hf:NAME-OR-FOLDER, file:PATH"
TEXT_KINDS = "minilm, hf:NAME-OR-FOLDER"
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

    `weights`: a local state dict for `torchvision:NAME`. `preprocess`: how `file:PATH` wants its pixels.
    `device`: "cpu", "cuda", or "auto" (CUDA where torch sees one). Raises PhotoseekError naming what is missing.
    """
    kind, _, rest = name.partition(":")
    for option, value, wanted in (("--weights", weights, "torchvision"), ("--preprocess", preprocess, "file")):
        if value is not None and kind != wanted:
            raise PhotoseekError(f"{option} goes with {wanted}: encoders, not with {name}")
    device = _device(device)
    if name in ("efficientnet-lite", "efficientnet-lite2"):
        from indexer.encoders.efficientnet import load_efficientnet

        return load_efficientnet(name, precision, device)
    if kind == "torchvision" and rest:
        from indexer.encoders.torchvision_models import load_torchvision

        return load_torchvision(rest, precision, device, weights)
    if kind == "hf" and rest:
        from indexer.encoders.huggingface import load_hf_image

        return load_hf_image(rest, precision, device)
    if kind == "file" and rest:
        from indexer.encoders.model_file import load_model_file

        return load_model_file(rest, precision, preprocess)
    raise PhotoseekError(f"no image encoder {name!r}; there are: {IMAGE_KINDS}")


def load_text_encoder(name: str, *, precision: str = "auto") -> TextEncoder:
    """Load a text encoder by name, exporting it into the user's cache the first time (it always runs on the CPU)."""
    kind, _, rest = name.partition(":")
    if name == "minilm":
        from indexer.encoders.minilm import load_minilm

        return load_minilm(precision)
    if kind == "hf" and rest:
        from indexer.encoders.huggingface import load_hf_text

        return load_hf_text(rest, precision)
    raise PhotoseekError(f"no text encoder {name!r}; there are: {TEXT_KINDS}")


def open_text_encoder(fingerprint: str, name: str) -> TextEncoder:
    """The text encoder of a fingerprint, straight from its export in the user's cache, without torch or its weights.

    Where there is no export it is loaded by its name and exported, which takes some seconds.
    Raises PhotoseekError if the encoder of that name is not the one that the fingerprint names.
    """
    folder = export_folder(fingerprint)
    if folder.is_dir():
        return _exported(folder, fingerprint, name)
    encoder = load_text_encoder(name)
    if encoder.fingerprint != fingerprint:
        raise PhotoseekError(
            f"the ranker was trained with text encoder {fingerprint}, but this machine has {encoder.fingerprint}; "
            "install the same weights, or train a ranker again"
        )
    return encoder


@cache
def _exported(folder: Path, fingerprint: str, name: str) -> TextEncoder:
    """One a process: reading what was compiled takes a tenth of a second."""
    # Here, in the caller's thread: what is left to load is not Python, and can go on beside what else the caller does.
    runtime()
    facts = read_facts(folder)
    token_dim = facts.get("token_dim", 0)  # only exports with a second output name it
    return TextEncoder(name, fingerprint, facts["dim"], folder, facts["max_tokens"], token_dim=token_dim)


def _device(wanted: str) -> str:
    if wanted == "cpu":
        return "cpu"
    import shutil

    # Asking torch costs over a second; a machine without NVIDIA's driver has no CUDA.
    if wanted == "auto" and shutil.which("nvidia-smi") is None:
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise PhotoseekError("--device cuda: torch finds no CUDA device here; use --device cpu")
    return "cpu"
