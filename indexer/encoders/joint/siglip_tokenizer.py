"""SigLIP's tokenizer, which transformers runs in Python through SentencePiece, as one that needs neither."""

import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.encoders.samples import SAMPLE_SENTENCES
from indexer.errors import PhotoseekError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Sentences that a wrong normaliser would cut otherwise, tried beside the samples.
HARD_SENTENCES = ("Two  DOGS, in the snow!", "it's a well-known café (1998)", "rock & roll - 100% fun", "! ... two")


def siglip_tokenizer(name: str, own: Any) -> Any:
    """Make the equivalent of a SiglipTokenizer.

    Args:
        name: The model's name, for the refusal.
        own: transformers' SiglipTokenizer.

    Returns:
        A tokenizer of transformers with a `backend_tokenizer`.

    Raises:
        PhotoseekError: The equivalent cuts sentences into other pieces.
    """
    from transformers import PreTrainedTokenizerFast

    backend = _backend(Path(own.vocab_file), own.eos_token)
    for sentence in (*SAMPLE_SENTENCES, *HARD_SENTENCES):
        if backend.encode(sentence).ids != own(sentence)["input_ids"]:
            raise PhotoseekError(f"{name}: its SiglipTokenizer cannot be written as a tokenizer.json")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=own.pad_token,
        eos_token=own.eos_token,
        unk_token=own.unk_token,
        padding_side=own.padding_side,
        model_max_length=own.model_max_length,
    )


def _backend(spiece: Path, end: str) -> "Tokenizer":
    """Read a SentencePiece model with SigLIP's own rules: lower case, no punctuation, single spaces, an end."""
    from tokenizers import Regex, Tokenizer, models, normalizers, processors
    from transformers.convert_slow_tokenizer import import_protobuf

    model = import_protobuf().ModelProto()
    model.ParseFromString(spiece.read_bytes())
    pieces = [(piece.piece, piece.score) for piece in model.pieces]
    punctuation = "".join("\\" + mark for mark in string.punctuation)
    charsmap = model.normalizer_spec.precompiled_charsmap
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=model.trainer_spec.unk_id, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.Replace(Regex(f"[{punctuation}]"), ""),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
            *([normalizers.Precompiled(charsmap)] if charsmap else []),
            normalizers.Prepend("▁"),
            normalizers.Replace(" ", "▁"),
        ]
    )
    places = {piece: place for place, (piece, _) in enumerate(pieces)}
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {end}", special_tokens=[(end, places[end])])
    return tokenizer
