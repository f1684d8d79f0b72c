"""Folders of sentence-transformers against that library, on small random checkpoints."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from checkpoints.tiny_huggingface import (
    SMALL,
    TEXTS,
    encode_alone_and_together,
    lowest_cosine,
    save_tokenizer,
    text_refusal,
)
from indexer.encoders import load_text_encoder

pytestmark = pytest.mark.usefixtures("seeded_cache")


def save_sentence_model(folder: Path, pooling: str, *more: Any, **settings: Any) -> Any:
    """Save a sentence-transformers folder as that library does."""
    from sentence_transformers import SentenceTransformer, sentence_transformer

    modules = sentence_transformer.modules
    save_tokenizer(folder.with_name("network"))
    config = transformers.BertConfig(**SMALL, vocab_size=40, max_position_embeddings=16)
    transformers.BertModel(config).save_pretrained(folder.with_name("network"))
    network = modules.Transformer(str(folder.with_name("network")), max_seq_length=8)
    model = SentenceTransformer(modules=[network, modules.Pooling(32, pooling), *more], device="cpu", **settings)
    model.save(str(folder))
    return model


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_a_sentence_transformers_folder_is_pooled_its_own_way(tmp_path: Path, pooling: str) -> None:
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    more = (Dense(32, 20, activation_function=torch.nn.Tanh()), Normalize()) if pooling == "mean" else ()
    model = save_sentence_model(tmp_path / "st", pooling, *more)
    ours = encode_alone_and_together(tmp_path / "st")
    assert ours.shape[1] == (20 if more else 32)
    assert lowest_cosine(ours, model.encode(TEXTS)) > 0.9999
    # Eight pieces: the library's own limit, kept in the folder.
    long = " ".join(["dog"] * 5 + ["violin"] * 20)
    encoder = load_text_encoder(f"hf:{tmp_path}/st", precision="f32")
    assert encoder.max_tokens == 8
    assert lowest_cosine(encoder.encode([long]), model.encode([long])) > 0.9999


def test_the_flags_of_older_sentence_transformers_are_read(tmp_path: Path) -> None:
    save_sentence_model(tmp_path / "st", "mean")
    settings = {"word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (tmp_path / "st/1_Pooling/config.json").write_text(json.dumps(settings))
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(tmp_path / "st"), device="cpu").encode(TEXTS)
    assert lowest_cosine(encode_alone_and_together(tmp_path / "st"), theirs) > 0.9999


def test_sentence_modules_that_are_not_offered_are_refused(tmp_path: Path) -> None:
    save_sentence_model(tmp_path / "st", "weightedmean")
    name = f"hf:{tmp_path}/st"
    assert text_refusal(tmp_path / "st") == (
        f"{name}: its sentence-transformers pooling is not supported: weightedmean"
    )
    settings = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    (tmp_path / "st/config_sentence_transformers.json").write_text(json.dumps(settings))
    assert text_refusal(tmp_path / "st") == f"{name}: it puts a prompt before every sentence, which is not supported"
    modules = [{"type": "sentence_transformers.models.CLIPModel", "path": "0_CLIPModel"}]
    (tmp_path / "st/modules.json").write_text(json.dumps(modules))
    assert text_refusal(tmp_path / "st") == (f"{name}: its sentence-transformers modules are not supported: CLIPModel")
