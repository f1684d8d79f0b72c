"""Models of the Hugging Face hub: find or download them, and load them without running any code of theirs."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from safetensors import SafetensorError

from indexer.errors import PhotoseekError, first_line
from indexer.inference.export import fingerprint
from indexer.user_paths import expand_home

# Nothing is fetched while a folder is read, and no code in it is ever run (None would ask at the terminal).
LOCAL_ONLY = {"local_files_only": True, "trust_remote_code": False}
# What transformers raises for a folder that it cannot read, and for weights that are cut or damaged.
UNREADABLE = (OSError, ValueError, KeyError, ImportError, RuntimeError, EOFError, UnpicklingError, SafetensorError)


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on this machine.

    Attributes:
        folder: Its folder.
        name: Its full name, for messages and for the encoder.
        label: Its name in fingerprints: the name of a local folder alone, so that a model may be moved.
    """

    folder: Path
    name: str
    label: str


def find_model(rest: str, kind: str = "hf") -> ModelFolder:
    """Find a model, and download it if it is a name of the hub that is not in the hub's cache.

    Args:
        rest: What follows `hf:` or `clip:`, a folder or a name.
        kind: "hf" or "clip".

    Raises:
        PhotoseekError: There is no such folder, or the model cannot be downloaded.
    """
    folder = Path(expand_home(rest))
    if folder.is_dir():
        return ModelFolder(folder.resolve(), f"{kind}:{folder.resolve()}", f"{kind}:{folder.resolve().name}")
    name = f"{kind}:{rest}"
    if folder.is_absolute() or rest[0] in ".~" or rest.count("/") > 1:
        raise PhotoseekError(f"{name}: no such folder")
    import huggingface_hub
    from huggingface_hub.utils import disable_progress_bars

    if sys.stderr is None or not sys.stderr.isatty():
        disable_progress_bars()
    files = ["*.json", "*.txt", "*.model"]
    for only_local, patterns in ((True, None), (False, [*files, "*.safetensors"]), (False, [*files, "*.bin"])):
        try:
            found = Path(huggingface_hub.snapshot_download(rest, local_files_only=only_local, allow_patterns=patterns))
        except Exception as error:  # the hub's own errors, httpx's and the system's
            reason = first_line(error)
            continue
        if any(weight_files(path) or open_clip_weights(path) for path in (found, *found.glob("*_Transformer"))):
            return ModelFolder(found, name, name)
        reason = "it has no weights that transformers or open_clip reads"
    raise PhotoseekError(
        f"{name}: not among the models on this machine, and cannot be downloaded ({reason}); "
        f"give a local folder: {kind}:FOLDER"
    )


def fingerprint_of_model(model: ModelFolder, folders: list[Path], known: tuple[str, ...], recipe: str) -> str:
    """Compute the fingerprint of a model.

    Args:
        model: The model.
        folders: Its folder, and those of its parts.
        known: Names of the files, beside the weights, that shape an embedding.
        recipe: How an embedding is made of the network's output.

    Raises:
        PhotoseekError: It has no weights.
    """
    weights = [path for folder in folders for path in weight_files(folder)]
    if not weights:
        raise PhotoseekError(f"{model.name}: no weights in {folders[0]} (model.safetensors or pytorch_model.bin)")
    files = weights + [folder / file for folder in folders for file in known if (folder / file).is_file()]
    return fingerprint(model.label, files, repr(([path.name for path in files], recipe)))


def load_model(model: ModelFolder) -> tuple[Any, bool]:
    """Load a model in float32.

    Returns:
        The torch module, and whether its checkpoint has the weights of the pooler.

    Raises:
        PhotoseekError: transformers cannot load it, it has no one vector for its input, or its checkpoint is not whole.
    """
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        config = AutoConfig.from_pretrained(model.folder, **LOCAL_ONLY)
        if getattr(config, "is_encoder_decoder", False):
            kind = config.model_type
            raise PhotoseekError(f"{model.name}: an encoder-decoder ({kind}) has no one vector for its input")
        module, info = AutoModel.from_pretrained(
            model.folder, config=config, attn_implementation="eager", output_loading_info=True, **LOCAL_ONLY
        )
    except UNREADABLE as error:
        raise PhotoseekError(f"{model.name}: transformers cannot load it ({first_line(error)})") from None
    missing = [key for key in sorted(info["missing_keys"]) if "pooler" not in key]
    if missing:
        raise PhotoseekError(f"{model.name}: its checkpoint lacks weights of the network, such as {missing[0]}")
    return module.float().eval(), not info["missing_keys"]


def is_joint(module: Any) -> bool:
    """Return whether a model embeds images and texts in one space, as CLIP does."""
    return hasattr(module, "get_image_features") and hasattr(module, "get_text_features")


def pooled_features(features: Any) -> Any:
    """Return the tensor that `get_image_features` and its like give; since transformers 5 it is part of an output."""
    return features.pooler_output if hasattr(features, "pooler_output") else features


def weight_files(folder: Path) -> list[Path]:
    """Return the weights that transformers and sentence-transformers would load from a folder."""
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))


def open_clip_weights(folder: Path) -> list[Path]:
    """Return the weights of open_clip in a folder, those that it would load first."""
    return sorted(folder.glob("open_clip_*.safetensors")) or sorted(folder.glob("open_clip_*.bin"))


def read_json(path: Path) -> dict[str, Any]:
    """Read a file of settings, {} if it is missing."""
    return json.loads(path.read_text()) if path.is_file() else {}
