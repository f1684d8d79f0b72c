"""`hf:NAME-OR-FOLDER` for texts: a model of transformers or sentence-transformers, or the text side of a CLIP."""

from pathlib import Path
from typing import Any

import numpy as np

from indexer.encoders.huggingface import (
    LOCAL_ONLY,
    ModelFolder,
    find_model,
    fingerprint_of_model,
    is_joint,
    load_model,
    pooled_features,
    read_json,
)
from indexer.encoders.joint.siglip_tokenizer import siglip_tokenizer
from indexer.encoders.samples import SAMPLE_SENTENCES
from indexer.encoders.sentence_modules import SentenceModule, dense_layer, pooling_mode, sentence_modules
from indexer.encoders.text_encoder import TOKENIZER, TextEncoder, TextExport, pad_ids
from indexer.errors import PhotoseekError, first_line, last_line
from indexer.inference.export import export_checked_module, export_once

SETTING_FILES = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model"),
    *("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"),
)
# Word pieces of a sentence that are read at most, whatever the model says.
LONGEST = 512
# Trained on sentences padded to full length without a mask: the padding is part of what they read.
FULL_LENGTH = ("siglip", "siglip2")
# The largest difference that padding may make to a sentence's vector (components of a unit vector).
PADDING_TOLERANCE = 1e-4
# Part of the fingerprint.
RECIPE = "own pooling, else mean; unit; v1"


def load_hf_text(rest: str, precision: str) -> TextEncoder:
    """Load a text model, or the text side of a CLIP-like one: (n, dim) float32, unit rows.

    Its vector is that of `get_text_features` for a CLIP-like model, of the folder's own modules for a
    sentence-transformers one, else the mean of the last hidden state over the words.

    Args:
        rest: What follows `hf:`, a folder or a name of the hub.
        precision: What to compute in, as in `TextEncoder`.

    Raises:
        PhotoseekError: There is no such model, or it cannot be used.
    """
    model = find_model(rest)
    modules = sentence_modules(model.name, model.folder)
    folders = [model.folder, *(module.folder for module in modules if module.folder != model.folder)]
    key = fingerprint_of_model(model, folders, SETTING_FILES, RECIPE)
    folder = export_once(key, lambda scratch: _write(model, modules, scratch))
    return TextExport.read(folder).encoder(model.name, key, folder, precision)


def _write(model: ModelFolder, modules: list[SentenceModule], scratch: Path) -> None:
    """Export a model."""
    network, _ = load_model(ModelFolder(modules[0].folder, model.name, model.label))
    export_text(model.name, network, modules, scratch).write(scratch)


def export_text(name: str, network: Any, modules: list[SentenceModule], scratch: Path) -> TextExport:
    """Export a text network and its tokenizer.

    Args:
        name: The model's name, for refusals.
        network: The torch module that `load_model` gives.
        modules: The model's modules, the network's own folder first.
        scratch: Where the export is written.

    Returns:
        What is to be kept beside it.

    Raises:
        PhotoseekError: It is no text encoder, or it cannot be exported as it is.
    """
    import torch

    folder = modules[0].folder
    own = read_json(folder / "sentence_bert_config.json")
    tokenizer, longest = _tokenizer(name, folder, own)
    lengths = (longest, _position_count(network), own.get("max_seq_length"), LONGEST)
    max_tokens = min(number for number in lengths if number)
    module = _text_module(name, network, modules, tokenizer)
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.enable_truncation(max_tokens)
    backend.save(str(scratch / TOKENIZER))

    pieces = [backend.encode(sentence).ids for sentence in SAMPLE_SENTENCES]
    expected = _rows_one_by_one(name, network, module, pieces)
    ids, mask = pad_ids(pieces)
    example = (torch.from_numpy(ids[:2, :9].copy()), torch.from_numpy(mask[:2, :9].copy()))
    export_checked_module(name, module, example, (ids, mask), expected, scratch)
    return TextExport(expected.shape[1], max_tokens)


def _rows_one_by_one(name: str, network: Any, module: Any, pieces: list[list[int]]) -> np.ndarray:
    """Run the module for one sentence at a time, (n, dim) float32, and refuse it if padding changes the rows."""
    import torch

    ids, mask = pad_ids(pieces)
    kind = type(network).__name__
    try:
        with torch.inference_mode():
            alone = [module(*map(torch.from_numpy, pad_ids([row]))) for row in pieces]
            together = module(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
            rows: np.ndarray = torch.cat(alone).numpy()
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise PhotoseekError(f"{name}: {kind} is no text encoder ({last_line(error)})") from None
    if np.abs(together - rows).max() > PADDING_TOLERANCE:
        raise PhotoseekError(f"{name}: a sentence's vector changes with the padding beside it; {kind} is not supported")
    return rows


def _tokenizer(name: str, folder: Path, own: dict[str, Any]) -> tuple[Any, int]:
    """Load the tokenizer, with sentence-transformers' lower-casing put in, and the length that it says it cuts at."""
    from tokenizers import normalizers
    from transformers import AutoTokenizer, SiglipTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL_ONLY)
    except (OSError, ValueError, KeyError, ImportError) as error:
        if "SentencePiece" in str(error):
            raise PhotoseekError(f"{name}: its tokenizer needs SentencePiece: pip install .[models]") from None
        raise PhotoseekError(f"{name}: no tokenizer, so no text encoder ({first_line(error)})") from None
    # Without its files, transformers makes a tokenizer that knows no word.
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise PhotoseekError(f"{name}: no tokenizer, so no text encoder (no vocabulary in {folder})")
    if isinstance(tokenizer, SiglipTokenizer):
        tokenizer = siglip_tokenizer(name, tokenizer)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise PhotoseekError(f"{name}: its {type(tokenizer).__name__} cannot be written as a tokenizer.json")
    if own.get("do_lower_case"):
        steps = [normalizers.Lowercase(), *([backend.normalizer] if backend.normalizer else [])]
        backend.normalizer = normalizers.Sequence(steps)
    return tokenizer, tokenizer.model_max_length


def _position_count(model: Any) -> int | None:
    """Return how many positions the network can read, None if it does not count them in a table."""
    import torch

    for key, table in model.named_modules():
        if (
            key.endswith(("position_embeddings", "position_embedding", "wpe"))
            and "vision" not in key
            and isinstance(table, torch.nn.Embedding)
        ):
            # RoBERTa and models derived from it count positions from the padding token's number on.
            return table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
    return None


def _text_module(name: str, model: Any, modules: list[SentenceModule], tokenizer: Any) -> Any:
    """Make the torch module: ids and mask, (n, width) int64 each -> (n, dim) float32, unit rows."""
    import torch

    joint = is_joint(model)
    if not joint and model.main_input_name != "input_ids":
        raise PhotoseekError(f"{name}: {type(model).__name__} is no text encoder")
    full = joint and model.config.model_type in FULL_LENGTH
    if full and tokenizer.padding_side != "right":
        raise PhotoseekError(f"{name}: its tokenizer pads on the left, which is not supported")
    width, pad = (_position_count(model) or 0, tokenizer.pad_token_id) if full else (0, 0)
    pooling = pooling_mode(name, modules[1].folder) if len(modules) > 1 else "mean"
    dense = torch.nn.Sequential(*(dense_layer(name, module.folder) for module in modules if module.kind == "Dense"))

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
                return pooled_features(self.model.get_text_features(input_ids=ids))
            if joint:
                return pooled_features(self.model.get_text_features(input_ids=ids, attention_mask=mask))
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
