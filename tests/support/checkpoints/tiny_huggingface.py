"""Small random checkpoints as transformers saves them, and photoseek's encoders of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from sklearn.datasets import load_sample_images
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from indexer.encoders import load_image_encoder, load_text_encoder
from indexer.errors import PhotoseekError
from indexer.photos.square_transform import SquareTransform, to_square

PHOTOS = [Image.fromarray(photo[:400, :600]) for photo in load_sample_images().images]
LONGER = "two children play football on the beach at sunset"
WORDS = ["a", "dog", *LONGER.split(), "violin", "photo", "of", "lighthouse", "red", "jacket"]
TEXTS = ["a dog", LONGER, "violin", "the red jacket of a dog"]
END = 20
SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}


def unit(rows: Any) -> np.ndarray:
    rows = np.asarray(rows)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def encode_photos(folder: Path, transform: SquareTransform, kind: str = "hf") -> np.ndarray:
    """Embed PHOTOS by photoseek's own steps: the square, then the exported network."""
    encoder = load_image_encoder(f"{kind}:{folder}", device="cpu", precision="f32")
    assert encoder.transform == transform
    rows = encoder.encode(np.stack([np.asarray(to_square(photo, transform)) for photo in PHOTOS]))
    assert rows.shape == (2, encoder.dim)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1], abs=1e-5)
    return rows


def lowest_cosine(ours: np.ndarray, theirs: Any) -> float:
    return float((ours * unit(theirs)).sum(axis=1).min())


def forward(model: Any, processor: Any) -> Any:
    with torch.inference_mode():
        return model.eval()(**processor(images=PHOTOS, return_tensors="pt"))


def save_tokenizer(folder: Path, words: Sequence[str] = WORDS, **settings: Any) -> Any:
    """Save a word tokenizer: <pad> 0, <s> 1, <unk> 2, the words from 3 on, and </s>, the highest as in CLIP (END)."""
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(("<pad>", "<s>", "<unk>", *words, "</s>")))}
    end = vocabulary["</s>"]
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", end)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>", **settings
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def image_refusal(folder: Path | str) -> str:
    with pytest.raises(PhotoseekError) as caught:
        load_image_encoder(f"hf:{folder}", device="cpu")
    return str(caught.value)


def encode_alone_and_together(folder: Path) -> np.ndarray:
    """Embed TEXTS by photoseek's own steps, and check that no row depends on what else is in the batch."""
    encoder = load_text_encoder(f"hf:{folder}", precision="f32")
    rows = encoder.encode(TEXTS)
    assert rows.shape == (len(TEXTS), encoder.dim)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert np.abs(rows - alone).max() < 1e-5
    again, tokens = encoder.encode_with_tokens(TEXTS)
    assert np.array_equal(again, rows)
    assert (encoder.token_dim, tokens.vectors.shape, tokens.lengths.tolist()) == (0, (0, 0), [0] * len(TEXTS))
    return rows


def text_refusal(folder: Path | str) -> str:
    with pytest.raises(PhotoseekError) as caught:
        load_text_encoder(f"hf:{folder}")
    return str(caught.value)
