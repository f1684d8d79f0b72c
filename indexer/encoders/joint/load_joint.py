"""`clip:NAME-OR-FOLDER`: both sides of a joint model (CLIP, SigLIP, SigLIP 2, MobileCLIP), with its pair logits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from indexer.encoders.huggingface import ModelFolder, find_model, fingerprint_of_model, is_joint, load_model
from indexer.encoders.huggingface_image import SETTING_FILES as IMAGE_FILES
from indexer.encoders.huggingface_image import image_module
from indexer.encoders.huggingface_text import FULL_LENGTH, export_text
from indexer.encoders.huggingface_text import SETTING_FILES as TEXT_FILES
from indexer.encoders.image_encoder import ImageEncoder
from indexer.encoders.joint import open_clip_model
from indexer.encoders.prompts import PROMPTS, SHORT_WORDS
from indexer.encoders.sentence_modules import SentenceModule
from indexer.encoders.text_encoder import TOKENIZER, PairLogits, TextEncoder, TextExport
from indexer.encoders.torch_encoder import encoder_of_module
from indexer.errors import PhotoseekError
from indexer.inference.export import export_once

# Parts of the fingerprints.
IMAGE_RECIPE = "image side; unit; v1"
TEXT_RECIPE = f"text side, SigLIP in lower case, short texts as mean of {(PROMPTS, SHORT_WORDS)}; unit; v1"


def load_joint_image(rest: str, precision: str, device: str) -> ImageEncoder:
    """Load the image side of a joint model: (n, dim) float32, unit rows, as the model's own library gives them.

    Args:
        rest: What follows `clip:`, a folder or a name of the hub.
        precision: What to compute in, as in `ImageEncoder`.
        device: "cpu" or "cuda".

    Raises:
        PhotoseekError: There is no such model, or it cannot be used.
    """
    model = find_model(rest, "clip")
    if open_clip_model.is_open_clip(model):
        key = open_clip_model.fingerprint_of(model, IMAGE_RECIPE)
        return encoder_of_module(model.name, key, lambda: open_clip_model.image_module(model), precision, device)
    key = fingerprint_of_model(model, [model.folder], IMAGE_FILES, IMAGE_RECIPE)
    return encoder_of_module(
        model.name, key, lambda: image_module(model, _load_joint(model), has_pooler=True), precision, device
    )


def load_joint_text(rest: str, precision: str) -> TextEncoder:
    """Load the text side of a joint model: (n, dim) float32, unit rows, short texts as the mean over prompts.

    Args:
        rest: What follows `clip:`, a folder or a name of the hub.
        precision: What to compute in, as in `TextEncoder`.

    Raises:
        PhotoseekError: There is no such model, or it cannot be used.
    """
    model = find_model(rest, "clip")
    if open_clip_model.is_open_clip(model):
        key = open_clip_model.fingerprint_of(model, TEXT_RECIPE)
    else:
        key = fingerprint_of_model(model, [model.folder], TEXT_FILES, TEXT_RECIPE)
    folder = export_once(key, lambda scratch: _write_text(model, scratch))
    return TextExport.read(folder).encoder(model.name, key, folder, precision)


def _write_text(model: ModelFolder, scratch: Path) -> None:
    """Export the text side of a model, with its prompts and pair logits."""
    if open_clip_model.is_open_clip(model):
        network = open_clip_model.load(model)
        export = open_clip_model.export_text(model, network, scratch)
    else:
        network = _load_joint(model)
        export = export_text(model.name, network, [SentenceModule("Transformer", model.folder)], scratch)
        if network.config.model_type in FULL_LENGTH:
            _lower_case(scratch / TOKENIZER)
    replace(export, prompts=PROMPTS, pair_logits=_pair_logits(network)).write(scratch)


def _lower_case(tokenizer: Path) -> None:
    """Make a tokenizer lower-case its texts: so SigLIP has learned them, and SigLIP 2's own tokenizer does not."""
    from tokenizers import Tokenizer, normalizers

    backend = Tokenizer.from_file(str(tokenizer))
    steps = [normalizers.Lowercase(), *([backend.normalizer] if backend.normalizer else [])]
    backend.normalizer = normalizers.Sequence(steps)
    backend.save(str(tokenizer))


def _load_joint(model: ModelFolder) -> Any:
    """Load a model of transformers, and refuse one that is not joint."""
    network, _ = load_model(model)
    if not is_joint(network) or not hasattr(network, "logit_scale"):
        raise PhotoseekError(
            f"{model.name}: {type(network).__name__} is no joint encoder of photos and texts, such as CLIP or SigLIP; "
            f"load it as hf:{model.name.partition(':')[2]}"
        )
    return network


def _pair_logits(network: Any) -> PairLogits:
    """Return the scale and the bias that a network was trained with; the scale is stored as its logarithm."""
    bias = getattr(network, "logit_bias", None)
    return PairLogits(float(network.logit_scale.detach().exp()), None if bias is None else float(bias.detach()))
