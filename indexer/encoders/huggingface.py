"""`hf:NAME-OR-FOLDER`: image, text and joint models of transformers and sentence-transformers, as exported networks."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from indexer.encoders.base import SAMPLE_SENTENCES, ImageEncoder, TextEncoder, encoder_of_module, padded
from indexer.encoders.network import export, fingerprint, one_line, read_facts, write_checked, write_facts
from indexer.encoders.sentence_modules import dense_layer, pooling_mode, read_json, sentence_modules, weight_files
from indexer.errors import PhotoseekError
from indexer.photos.decode import Fit, fit_square

IMAGE_FILES = ("config.json", "preprocessor_config.json", "processor_config.json")
TEXT_FILES = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model"),
    *("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"),
)
LONGEST = 512
# Nothing is fetched while a folder is read, and no code in it is ever run (None would ask at the terminal).
LOCAL = {"local_files_only": True, "trust_remote_code": False}
# Trained on sentences padded to full length without a mask: the padding is part of what they read.
FULL_LENGTH = ("siglip", "siglip2")
# Grey levels, on average: resampling in torch and in Pillow differs by less, another crop or filter by more.
SAME_PIXELS = 1.5
IMAGE_RECIPE = "pooler, else CLS, else mean; unit; v1"
TEXT_RECIPE = "own pooling, else mean; unit; v1"


def load_hf_image(rest: str, precision: str, device: str) -> ImageEncoder:
    """A vision model, or the image side of a CLIP-like one: (n, dim) float32, unit rows.

    The vector is that of `get_image_features` for a joint model, else the pooler's output where the checkpoint has
    its weights, else the CLS token where there is one, else the mean over the last hidden state.
    """
    folder, name = _find(rest)
    key = fingerprint(_label(rest, folder), *_files(name, [folder], IMAGE_FILES), IMAGE_RECIPE)
    return encoder_of_module(name, key, lambda: _image_module(name, folder), precision, device)


def load_hf_text(rest: str, precision: str) -> TextEncoder:
    """A text model: (n, dim) float32, unit rows.

    The vector is that of `get_text_features` for a CLIP-like model, of the folder's own modules for a
    sentence-transformers one, else the mean of the last hidden state over the words.
    """
    folder, name = _find(rest)
    modules = sentence_modules(name, folder)
    folders = [folder, *(path for kind, path in modules if path != folder)]
    key = fingerprint(_label(rest, folder), *_files(name, folders, TEXT_FILES), TEXT_RECIPE)
    exported = export(key, lambda scratch: _write_text(name, modules, scratch))
    facts = read_facts(exported)
    return TextEncoder(name, key, facts["dim"], exported, facts["max_tokens"], precision)


def _find(rest: str) -> tuple[Path, str]:
    """The local folder of a model, downloaded if it is a hub name that is not in the hub's cache; and its full name."""
    folder = Path(rest).expanduser()
    if folder.is_dir():
        return folder.resolve(), f"hf:{folder.resolve()}"
    name = f"hf:{rest}"
    if folder.is_absolute() or rest[0] in ".~" or rest.count("/") > 1:
        raise PhotoseekError(f"{name}: no such folder")
    import huggingface_hub
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    files = ["*.json", "*.txt", "*.model"]
    for only_local, patterns in ((True, None), (False, [*files, "*.safetensors"]), (False, [*files, "*.bin"])):
        try:
            found = Path(huggingface_hub.snapshot_download(rest, local_files_only=only_local, allow_patterns=patterns))
        except Exception as error:  # the hub's own errors, httpx's and the system's
            reason = _first_line(error)
            continue
        if any(weight_files(path) for path in (found, *found.glob("*_Transformer"))):
            return found, name
        reason = "it has no weights that transformers reads"
    raise PhotoseekError(
        f"{name}: not among the models on this machine, and cannot be downloaded ({reason}); "
        "give a local folder: hf:FOLDER"
    )


def _label(rest: str, folder: Path) -> str:
    """The name in a fingerprint: a folder's own, so that a model may be moved."""
    return f"hf:{folder.name if Path(rest).expanduser().is_dir() else rest}"


def _files(name: str, folders: list[Path], known: tuple[str, ...]) -> tuple[list[Path], list[str]]:
    """Every file that shapes an embedding, and their names: what a fingerprint covers."""
    weights = [path for folder in folders for path in weight_files(folder)]
    if not weights:
        raise PhotoseekError(f"{name}: no weights in {folders[0]} (model.safetensors or pytorch_model.bin)")
    files = weights + [folder / file for folder in folders for file in known if (folder / file).is_file()]
    return files, [path.name for path in files]


def _load(name: str, folder: Path) -> tuple[Any, bool]:
    """The model of a folder in float32, and whether its checkpoint has the weights of the pooler."""
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        config = AutoConfig.from_pretrained(folder, **LOCAL)
        if getattr(config, "is_encoder_decoder", False):
            raise PhotoseekError(f"{name}: an encoder-decoder ({config.model_type}) has no one vector for its input")
        model, info = AutoModel.from_pretrained(
            folder, config=config, attn_implementation="eager", output_loading_info=True, **LOCAL
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise PhotoseekError(f"{name}: transformers cannot load it ({_first_line(error)})") from None
    missing = [key for key in sorted(info["missing_keys"]) if "pooler" not in key]
    if missing:
        raise PhotoseekError(f"{name}: its checkpoint lacks weights of the network, such as {missing[0]}")
    return model.float().eval(), not info["missing_keys"]


def _is_joint(model: Any) -> bool:
    return hasattr(model, "get_image_features") and hasattr(model, "get_text_features")


def _pooled(features: Any) -> Any:
    """`get_image_features` and its like gave tensors before transformers 5, and give outputs since."""
    return features.pooler_output if hasattr(features, "pooler_output") else features


# Images


def _image_module(name: str, folder: Path) -> tuple[Any, Fit]:
    """The torch module, (n, size, size, 3) uint8 -> (n, dim) float32 unit rows, and the fit that it wants."""
    import torch

    fit, scale, offset = _preprocessing(name, folder)
    model, has_pooler = _load(name, folder)
    joint = _is_joint(model)
    if not joint and model.main_input_name != "pixel_values":
        raise PhotoseekError(f"{name}: {type(model).__name__} is no image encoder")
    has_cls = any(key.endswith("cls_token") for key, _ in model.named_parameters())

    class Images(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.register_buffer("scale", torch.tensor(scale).view(3, 1, 1))
            self.register_buffer("offset", torch.tensor(offset).view(3, 1, 1))

        def forward(self, images: Any) -> Any:
            pixels = images.permute(0, 3, 1, 2).float() * self.scale + self.offset
            return torch.nn.functional.normalize(self.pool(pixels), dim=1)

        def pool(self, pixels: Any) -> Any:
            if joint:
                return _pooled(self.model.get_image_features(pixel_values=pixels))
            output = self.model(pixel_values=pixels)
            pooled = getattr(output, "pooler_output", None) if has_pooler else None
            if pooled is None:
                pooled = output.last_hidden_state
            if pooled.dim() == 4:
                return pooled.mean(dim=(2, 3))
            if pooled.dim() == 3:
                return pooled[:, 0] if has_cls else pooled.mean(dim=1)
            return pooled

    module = Images().eval()
    try:
        with torch.inference_mode():
            rows = module(torch.zeros((1, fit.size, fit.size, 3), dtype=torch.uint8))
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise PhotoseekError(f"{name}: {type(model).__name__} is no image encoder ({one_line(error)})") from None
    if rows.dim() != 2:
        raise PhotoseekError(f"{name}: {type(model).__name__} gives no single vector a photo")
    return module, fit


def _preprocessing(name: str, folder: Path) -> tuple[Fit, list[float], list[float]]:
    """The fit, and what scales and shifts each channel, that together equal the model's own image processor.

    The scale and the offset are what the processor makes of a black and of a white picture. Whether all of it is the
    same is then tried on a photo, so a processor that does anything else is refused, not followed in part.
    """
    from PIL import Image
    from sklearn.datasets import load_sample_images
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(folder, **LOCAL)
    except (OSError, ValueError, ImportError) as error:
        raise PhotoseekError(f"{name}: no image processor, so no image encoder ({_first_line(error)})") from None
    fit = _fit(name, processor.to_dict())

    def process(image: Image.Image) -> np.ndarray:
        return np.asarray(processor(images=image, return_tensors="pt")["pixel_values"])

    plain = [Image.new("RGB", (fit.size, fit.size), colour) for colour in ("black", "white")]
    photo = Image.fromarray(load_sample_images().images[0][:400, :600])
    size = (1, 3, fit.size, fit.size)
    try:
        black, white, wanted = (process(image) for image in (*plain, photo))
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise PhotoseekError(f"{name}: its image processor cannot be followed ({one_line(error)})") from None
    if any(pixels.shape != size for pixels in (black, white, wanted)):
        raise PhotoseekError(f"{name}: its image processor gives {wanted.shape[1:]}, not {size[1:]}")
    offset = black.mean(axis=(0, 2, 3))
    scale = (white.mean(axis=(0, 2, 3)) - offset) / 255
    ours = np.asarray(fit_square(photo, fit), np.float32).transpose(2, 0, 1)
    theirs = (wanted[0] - offset[:, None, None]) / scale[:, None, None]
    if not np.abs(ours - theirs).mean() < SAME_PIXELS:
        raise PhotoseekError(
            f"{name}: its {type(processor).__name__} does more than resize, crop and normalise a photo"
        )
    return fit, scale.tolist(), offset.tolist()


def _fit(name: str, settings: dict[str, Any]) -> Fit:
    """The fit of an image processor's settings."""
    from PIL import Image

    size, crop = settings.get("size") or {}, settings.get("crop_size") if settings.get("do_center_crop") else None
    edge, height, width = size.get("shortest_edge"), size.get("height"), size.get("width")
    filter = Image.Resampling(settings.get("resample", Image.Resampling.BILINEAR)).name.lower()
    if settings.get("do_resize", True):
        if height and height == width and (crop is None or crop == {"height": height, "width": width}):
            return Fit(height, "squash", filter=filter)
        if edge and crop and crop["height"] == crop["width"] <= edge:
            return Fit(crop["height"], "crop", edge, filter)
        if edge and crop is None and settings.get("crop_pct"):
            # ConvNeXt's rule: below 384 the centre of a larger picture, from there on the whole, squashed.
            if edge >= 384:
                return Fit(edge, "squash", filter=filter)
            return Fit(edge, "crop", int(edge / settings["crop_pct"]), filter)
    wanted = {key: settings.get(key) for key in ("do_resize", "size", "do_center_crop", "crop_size")}
    raise PhotoseekError(
        f"{name}: its image processor asks for what is not offered: {json.dumps(wanted, default=dict)}"
    )


# Text


def _write_text(name: str, modules: list[tuple[str, Path]], scratch: Path) -> None:
    import torch

    folder = modules[0][1]
    model, _ = _load(name, folder)
    own = read_json(folder / "sentence_bert_config.json")
    tokenizer, longest = _tokenizer(name, folder, own)
    places = _places(model)
    max_tokens = min(number for number in (longest, places, own.get("max_seq_length"), LONGEST) if number)
    module = _text_module(name, model, modules, tokenizer)
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.enable_truncation(max_tokens)
    backend.save(str(scratch / "tokenizer.json"))

    pieces = [backend.encode(sentence).ids for sentence in SAMPLE_SENTENCES]
    ids, mask = padded(pieces)
    try:
        with torch.inference_mode():
            alone = [module(*map(torch.from_numpy, padded([row]))) for row in pieces]
            together = module(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
            expected = torch.cat(alone).numpy()
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise PhotoseekError(f"{name}: {type(model).__name__} is no text encoder ({one_line(error)})") from None
    if np.abs(together - expected).max() > 1e-4:
        raise PhotoseekError(
            f"{name}: a sentence's vector changes with the padding beside it; {type(model).__name__} is not supported"
        )
    example = (torch.from_numpy(ids[:2, :9].copy()), torch.from_numpy(mask[:2, :9].copy()))
    write_checked(name, module, example, (ids, mask), expected, scratch)
    write_facts(scratch, {"dim": expected.shape[1], "max_tokens": max_tokens})


def _tokenizer(name: str, folder: Path, own: dict[str, Any]) -> tuple[Any, int]:
    """The tokenizer, with sentence-transformers' lower-casing put in, and the length that it says it cuts at."""
    from tokenizers import normalizers
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise PhotoseekError(f"{name}: no tokenizer, so no text encoder ({_first_line(error)})") from None
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise PhotoseekError(f"{name}: its {type(tokenizer).__name__} cannot be written as a tokenizer.json")
    if own.get("do_lower_case"):
        steps = [normalizers.Lowercase(), *([backend.normalizer] if backend.normalizer else [])]
        backend.normalizer = normalizers.Sequence(steps)
    return tokenizer, tokenizer.model_max_length


def _places(model: Any) -> int | None:
    """How many positions the network can read, None where it does not count them in a table."""
    import torch

    for key, table in model.named_modules():
        if (
            key.endswith(("position_embeddings", "position_embedding", "wpe"))
            and "vision" not in key
            and isinstance(table, torch.nn.Embedding)
        ):
            # RoBERTa and its kin count from the padding token's number on.
            return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    return None


def _text_module(name: str, model: Any, modules: list[tuple[str, Path]], tokenizer: Any) -> Any:
    """The torch module: ids and mask, (n, width) int64 each -> (n, dim) float32, unit rows."""
    import torch

    joint = _is_joint(model)
    if not joint and model.main_input_name != "input_ids":
        raise PhotoseekError(f"{name}: {type(model).__name__} is no text encoder")
    full = joint and model.config.model_type in FULL_LENGTH
    if full and tokenizer.padding_side != "right":
        raise PhotoseekError(f"{name}: its tokenizer pads on the left, which is not supported")
    width, pad = (_places(model) or 0, tokenizer.pad_token_id) if full else (0, 0)
    pooling = pooling_mode(name, modules[1][1]) if len(modules) > 1 else "mean"
    dense = torch.nn.Sequential(*(dense_layer(name, path) for kind, path in modules if kind == "Dense"))

    class Texts(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.dense = dense

        def forward(self, ids: Any, mask: Any) -> Any:
            return torch.nn.functional.normalize(self.dense(self.pool(ids, mask)), dim=1)

        def pool(self, ids: Any, mask: Any) -> Any:
            if full:
                blank = torch.full((1, width), pad, dtype=ids.dtype).expand(ids.shape[0], width)
                ids = torch.cat([torch.where(mask > 0, ids, pad), blank], dim=1)[:, :width]
                return _pooled(self.model.get_text_features(input_ids=ids))
            if joint:
                return _pooled(self.model.get_text_features(input_ids=ids, attention_mask=mask))
            hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask.unsqueeze(-1).float()
            if pooling == "cls":
                return hidden[:, 0]
            if pooling == "max":
                return hidden.masked_fill(weights == 0, -1e9).amax(dim=1)
            if pooling == "lasttoken":
                return hidden[torch.arange(hidden.shape[0]), mask.sum(dim=1) - 1]
            return (hidden * weights).sum(dim=1) / weights.sum(dim=1)

    return Texts().eval()


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
