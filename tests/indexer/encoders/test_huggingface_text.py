"""`hf:FOLDER` for texts against transformers' own networks, on small random checkpoints."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from checkpoints.tiny_huggingface import SMALL, TEXTS, encode_alone_and_together, lowest_cosine, save_tokenizer
from indexer.encoders import load_text_encoder

pytestmark = pytest.mark.usefixtures("seeded_cache")


def test_a_bert_is_averaged_over_its_words(tmp_path: Path) -> None:
    tokenizer = save_tokenizer(tmp_path / "bert")
    config = transformers.BertConfig(**SMALL, vocab_size=40, max_position_embeddings=12)
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    model.save_pretrained(tmp_path / "bert")
    ours = encode_alone_and_together(tmp_path / "bert")
    theirs = []
    for text in TEXTS:
        with torch.inference_mode():
            theirs.append(model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0))
    assert lowest_cosine(ours, torch.stack(theirs)) > 0.9999

    # Twelve places: ten words between the start and the end.
    encoder = load_text_encoder(f"hf:{tmp_path}/bert", precision="f32")
    assert encoder.max_tokens == 12
    assert not encoder.is_cut(" ".join(["dog"] * 10))
    assert encoder.is_cut(" ".join(["dog"] * 11))
    assert np.array_equal(encoder.encode([" ".join(["dog"] * 11)]), encoder.encode([" ".join(["dog"] * 10)]))


def test_a_roberta_counts_its_places_after_the_padding(tmp_path: Path) -> None:
    save_tokenizer(tmp_path / "roberta")
    config = transformers.RobertaConfig(**SMALL, vocab_size=40, max_position_embeddings=14, pad_token_id=1)
    transformers.RobertaModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "roberta")
    encoder = load_text_encoder(f"hf:{tmp_path}/roberta", precision="f32")
    assert encoder.max_tokens == 12
    assert np.isfinite(encoder.encode([" ".join(["dog"] * 50)])).all()
