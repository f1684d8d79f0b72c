"""Models of open_clip, MobileCLIP among them: a folder with `open_clip_config.json` and the weights beside it."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.encoders.huggingface import ModelFolder, open_clip_weights, read_json
from indexer.encoders.huggingface_image import followed_preprocessing, pixel_module
from indexer.encoders.samples import SAMPLE_SENTENCES
from indexer.encoders.text_encoder import TOKENIZER, TextExport, pad_ids
from indexer.errors import PhotoseekError, first_line
from indexer.inference.export import export_checked_module, fingerprint
from indexer.photos.square_transform import SquareTransform

if TYPE_CHECKING:
    from PIL import Image
    from tokenizers import Tokenizer

CONFIG = "open_clip_config.json"
# How open_clip cuts a text into words, before it cuts these into pieces (Radford et al. 2021; without its two special
# tokens, which are no part of a text).
WORD = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def is_open_clip(model: ModelFolder) -> bool:
    """Return whether a model is open_clip's; transformers comes first where a folder is of both."""
    return (model.folder / CONFIG).is_file() and "model_type" not in read_json(model.folder / "config.json")


def fingerprint_of(model: ModelFolder, recipe: str) -> str:
    """Compute the fingerprint of a model.

    Args:
        model: The model.
        recipe: How an embedding is made of the network's output.

    Raises:
        PhotoseekError: It has no weights.
    """
    return fingerprint(model.label, [_weights(model), model.folder / CONFIG], repr(("open_clip", recipe)))


def load(model: ModelFolder) -> Any:
    """Load a model in float32, without running any code of its folder.

    Raises:
        PhotoseekError: open_clip is not installed, cannot load it, or needs files that are not in the folder.
    """
    if find_spec("open_clip") is None:
        raise PhotoseekError(f"{model.name}: a model of open_clip needs open_clip_torch: pip install .[models]")
    settings = read_json(model.folder / CONFIG)["model_cfg"]["text_cfg"]
    if settings.get("hf_model_name") or settings.get("hf_tokenizer_name"):
        raise PhotoseekError(
            f"{model.name}: its text side is not open_clip's own, which is not supported; take the same model in "
            "transformers' format"
        )
    import open_clip

    try:
        network = open_clip.create_model(f"local-dir:{model.folder}", load_weights=False)
        open_clip.load_checkpoint(network, str(_weights(model)), weights_only=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise PhotoseekError(f"{model.name}: open_clip cannot load it ({first_line(error)})") from None
    return network.float().eval()


def image_module(model: ModelFolder) -> tuple[Any, SquareTransform]:
    """Make the torch module, (n, size, size, 3) uint8 -> (n, dim) float32 unit rows, and the transform it wants.

    Raises:
        PhotoseekError: The model cannot be loaded, or its preprocessing cannot be followed.
    """
    from open_clip.transform import PreprocessCfg, image_transform_v2

    network = load(model)
    settings = PreprocessCfg(**network.visual.preprocess_cfg)
    own = image_transform_v2(settings, is_train=False)

    def process(image: "Image.Image") -> np.ndarray:
        return np.asarray(own(image))[None]

    preprocessing = followed_preprocessing(model.name, "preprocessing", _transform_of(model, settings), process)
    return pixel_module(network, preprocessing, network.encode_image), preprocessing.transform


def export_text(model: ModelFolder, network: Any, scratch: Path) -> TextExport:
    """Export the text side of a model and its tokenizer.

    Every text is padded to full length, as open_clip pads it: in some models the padding is part of what they read.

    Args:
        model: The model.
        network: What `load` gave.
        scratch: Where the export is written.

    Raises:
        PhotoseekError: It cannot be exported as it is.
    """
    import open_clip
    import torch

    own = open_clip.get_tokenizer(f"local-dir:{model.folder}")
    width = int(network.context_length)
    tokenizer = _tokenizer(own, width)
    pieces = [encoding.ids for encoding in tokenizer.encode_batch(list(SAMPLE_SENTENCES))]
    ids, mask = pad_ids(pieces, width)
    if not np.array_equal(ids, own(list(SAMPLE_SENTENCES)).numpy()):
        raise PhotoseekError(f"{model.name}: its tokenizer is not open_clip's own, which is not supported")
    tokenizer.save(str(scratch / TOKENIZER))

    class Texts(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = network

        def forward(self, ids: Any, mask: Any) -> Any:
            blank = torch.zeros((1, width), dtype=ids.dtype).expand(ids.shape[0], width)
            full = torch.cat([ids * mask, blank], dim=1)[:, :width]
            return self.model.encode_text(full, normalize=True)

    with torch.inference_mode():
        expected = network.encode_text(torch.from_numpy(ids), normalize=True).numpy()
    example = (torch.from_numpy(ids[:2, :9].copy()), torch.from_numpy(mask[:2, :9].copy()))
    short = pad_ids(pieces)
    export_checked_module(model.name, Texts().eval(), example, short, expected, scratch)
    return TextExport(expected.shape[1], width)


def _weights(model: ModelFolder) -> Path:
    weights = open_clip_weights(model.folder)
    if not weights:
        raise PhotoseekError(f"{model.name}: no weights in {model.folder} (open_clip_model.safetensors)")
    return weights[0]


def _transform_of(model: ModelFolder, settings: Any) -> SquareTransform:
    """Return the transform that open_clip's settings describe."""
    height, width = (settings.size, settings.size) if isinstance(settings.size, int) else tuple(settings.size)
    if height == width and settings.resize_mode == "squash":
        return SquareTransform(height, "squash", filter=settings.interpolation)
    if height == width and settings.resize_mode == "shortest":
        return SquareTransform(height, "crop", height, settings.interpolation)
    raise PhotoseekError(
        f"{model.name}: its preprocessing asks for what is not offered: {height} x {width}, {settings.resize_mode}"
    )


def _tokenizer(own: Any, width: int) -> "Tokenizer":
    """Make the equivalent of open_clip's byte-pair tokenizer, which is written in Python.

    Args:
        own: open_clip's tokenizer.
        width: Pieces of a text that are read, its start and end included.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    start, end = ("<start_of_text>", own.sot_token_id), ("<end_of_text>", own.eot_token_id)
    tokenizer = Tokenizer(
        models.BPE(own.encoder, list(own.bpe_ranks), end_of_word_suffix="</w>", unk_token=end[0], fuse_unk=False)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{start[0]} $A {end[0]}", special_tokens=[start, end]
    )
    tokenizer.enable_truncation(width)
    return tokenizer
