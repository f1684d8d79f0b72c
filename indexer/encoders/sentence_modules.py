"""The parts of a sentence-transformers folder: which modules follow its network, and what each of them does."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.encoders.huggingface import read_json, weight_files
from indexer.errors import PhotoseekError, first_line

POOLINGS = ("cls", "mean", "max", "lasttoken")
ACTIVATIONS = ("Tanh", "Identity")


@dataclass(frozen=True, slots=True)
class SentenceModule:
    """A module of a sentence-transformers folder: "Transformer", "Pooling", "Dense" or "Normalize", and its folder."""

    kind: str
    folder: Path


def sentence_modules(name: str, folder: Path) -> list[SentenceModule]:
    """List the modules of a model folder, the network first; that alone if it is not of sentence-transformers.

    Args:
        name: The model's name, for the refusal.
        folder: Its folder.

    Raises:
        PhotoseekError: A module, or a prompt before every sentence, is not supported.
    """
    if not (folder / "modules.json").is_file():
        return [SentenceModule("Transformer", folder)]
    listed = json.loads((folder / "modules.json").read_text())
    modules = [SentenceModule(str(one["type"]).rpartition(".")[2], folder / one.get("path", "")) for one in listed]
    kinds = [module.kind for module in modules]
    if kinds[:2] != ["Transformer", "Pooling"] or not set(kinds[2:]) <= {"Dense", "Normalize"}:
        raise PhotoseekError(f"{name}: its sentence-transformers modules are not supported: {', '.join(kinds)}")
    settings = read_json(folder / "config_sentence_transformers.json")
    if settings.get("prompts", {}).get(settings.get("default_prompt_name")):
        raise PhotoseekError(f"{name}: it puts a prompt before every sentence, which is not supported")
    return modules


def pooling_mode(name: str, folder: Path) -> str:
    """Return how a Pooling module makes one vector of many: one of POOLINGS.

    Args:
        name: The model's name, for the refusal.
        folder: The module's folder.

    Raises:
        PhotoseekError: It is another one, or more than one.
    """
    settings = read_json(folder / "config.json")
    modes = settings.get("pooling_mode")
    if modes is None:
        # Until version 5 each mode had its flag: pooling_mode_mean_tokens, pooling_mode_cls_token, ...
        flags = [
            key.removeprefix("pooling_mode_") for key, on in settings.items() if key.startswith("pooling_mode_") and on
        ]
        modes = [flag.removesuffix("_tokens").removesuffix("_token") for flag in flags]
    modes = [modes] if isinstance(modes, str) else modes or ["mean"]
    if len(modes) > 1 or modes[0] not in POOLINGS:
        raise PhotoseekError(f"{name}: its sentence-transformers pooling is not supported: {', '.join(modes)}")
    return str(modes[0])


def dense_layer(name: str, folder: Path) -> Any:
    """Load a Dense module: a linear layer and its activation, a torch module.

    Args:
        name: The model's name, for the refusal.
        folder: The module's folder.

    Raises:
        PhotoseekError: Its activation is not supported.
    """
    import torch
    from safetensors.torch import load_file

    settings = read_json(folder / "config.json")
    activation = str(settings.get("activation_function", "Tanh")).rpartition(".")[2]
    if activation not in ACTIVATIONS or settings.get("use_residual"):
        raise PhotoseekError(f"{name}: its sentence-transformers Dense module is not supported ({activation})")
    path = weight_files(folder)[0]
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may end in any
        raise PhotoseekError(f"{name}: {path.name} of its Dense module cannot be read: {first_line(error)}") from None
    linear = torch.nn.Linear(settings["in_features"], settings["out_features"], bias=settings.get("bias", True))
    linear.load_state_dict({key.removeprefix("linear."): tensor for key, tensor in state.items()})
    return torch.nn.Sequential(linear, torch.nn.Tanh() if activation == "Tanh" else torch.nn.Identity())
