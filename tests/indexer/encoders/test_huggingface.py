"""`hf:FOLDER` and `hf:NAME`: joint models, fingerprints, the hub and its cache, refusals."""

import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
import torch
import transformers

from checkpoints.tiny_huggingface import (
    END,
    PHOTOS,
    SMALL,
    TEXTS,
    encode_alone_and_together,
    encode_photos,
    image_refusal,
    lowest_cosine,
    save_tokenizer,
    text_refusal,
)
from checkpoints.tiny_joint import make_clip
from indexer.encoders import load_text_encoder
from indexer.photos.square_transform import SquareTransform

pytestmark = pytest.mark.usefixtures("seeded_cache")


def test_a_clip_gives_both_sides_in_one_space(tmp_path: Path) -> None:
    config = transformers.CLIPConfig(
        text_config={**SMALL, "vocab_size": 40, "max_position_embeddings": 16, "eos_token_id": END, "bos_token_id": 1},
        vision_config={**SMALL, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    model = transformers.CLIPModel(config).eval()
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    model.save_pretrained(tmp_path / "clip")
    processor.save_pretrained(tmp_path / "clip")
    tokenizer = save_tokenizer(tmp_path / "clip")
    photos = encode_photos(tmp_path / "clip", SquareTransform(32, "crop", 32, "bicubic"))
    texts = encode_alone_and_together(tmp_path / "clip")
    assert photos.shape[1] == texts.shape[1] == 24
    with torch.inference_mode():
        own_photos = model.get_image_features(**processor(images=PHOTOS, return_tensors="pt")).pooler_output
        own_texts = model.get_text_features(**tokenizer(TEXTS, padding=True, return_tensors="pt")).pooler_output
    assert lowest_cosine(photos, own_photos) > 0.9999
    assert lowest_cosine(texts, own_texts) > 0.9999


def test_a_siglip_reads_every_sentence_padded_to_full_length(tmp_path: Path) -> None:
    config = transformers.SiglipConfig(
        text_config={**SMALL, "vocab_size": 40, "max_position_embeddings": 16, "projection_size": 32},
        vision_config={**SMALL, "image_size": 32, "patch_size": 8},
    )
    model = transformers.SiglipModel(config).eval()
    processor = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    model.save_pretrained(tmp_path / "siglip")
    processor.save_pretrained(tmp_path / "siglip")
    tokenizer = save_tokenizer(tmp_path / "siglip")
    photos = encode_photos(tmp_path / "siglip", SquareTransform(32, "squash", filter="bicubic"))
    texts = encode_alone_and_together(tmp_path / "siglip")
    with torch.inference_mode():
        own_photos = model.get_image_features(**processor(images=PHOTOS, return_tensors="pt")).pooler_output
        ids = tokenizer(TEXTS, padding="max_length", max_length=16, return_tensors="pt").input_ids
        own_texts = model.get_text_features(input_ids=ids).pooler_output
    assert lowest_cosine(photos, own_photos) > 0.9999
    assert lowest_cosine(texts, own_texts) > 0.9999


def test_fingerprints_follow_the_weights_and_not_the_place(tmp_path: Path) -> None:
    config = transformers.BertConfig(**SMALL, vocab_size=40, max_position_embeddings=16)
    keys = []
    for place, seed in (("here/bert", 1), ("there/bert", 1), ("other/bert", 2)):
        torch.manual_seed(seed)
        save_tokenizer(tmp_path / place)
        transformers.BertModel(config).save_pretrained(tmp_path / place)
        keys.append(load_text_encoder(f"hf:{tmp_path / place}", precision="f32").fingerprint)
    assert keys[0] == keys[1] != keys[2]
    assert [key.rpartition("@")[0] for key in keys] == ["hf:bert"] * 3


def test_a_cached_encoder_needs_neither_torch_nor_transformers(tmp_path: Path) -> None:
    save_tokenizer(tmp_path / "bert")
    config = transformers.BertConfig(**SMALL, vocab_size=40, max_position_embeddings=16)
    transformers.BertModel(config).save_pretrained(tmp_path / "bert")
    first = load_text_encoder(f"hf:{tmp_path}/bert", precision="f32").encode(["a dog"])
    program = (
        "import sys; from indexer.encoders import load_text_encoder; "
        f"row = load_text_encoder('hf:{tmp_path}/bert', precision='f32').encode(['a dog']); "
        "print({'torch', 'transformers'} & set(sys.modules), float(row[0, 0]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout == f"set() {float(first[0, 0])}\n"


def test_a_missing_model_is_one_line_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("cannot reach the hub\nPlease check your internet connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    monkeypatch.chdir(tmp_path)
    assert text_refusal("bert-base-uncased") == (
        "hf:bert-base-uncased: not among the models on this machine, and cannot be downloaded (cannot reach the hub); "
        "give a local folder: hf:FOLDER"
    )
    assert image_refusal("./nowhere") == "hf:./nowhere: no such folder"
    (tmp_path / "empty").mkdir()
    assert image_refusal("empty") == (
        f"hf:{tmp_path}/empty: no weights in {tmp_path}/empty (model.safetensors or pytorch_model.bin)"
    )


def test_weights_that_are_cut_and_a_tokenizer_without_words_are_refused(tmp_path: Path) -> None:
    folder = make_clip(tmp_path / "clip").folder
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert text_refusal(folder) == f"hf:{folder}: no tokenizer, so no text encoder (no vocabulary in {folder})"
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for size in (3, 1000, len(whole) - 1):
        weights.write_bytes(whole[:size])
        assert image_refusal(folder).startswith(f"hf:{folder}: transformers cannot load it (Error while deserializing")


def test_a_hub_name_is_taken_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = transformers.BertConfig(**SMALL, vocab_size=40, max_position_embeddings=16)
    save_tokenizer(tmp_path / "snapshot")
    transformers.BertModel(config).save_pretrained(tmp_path / "snapshot")
    asked = []

    def cached(repo: str, *, local_files_only: bool, allow_patterns: object) -> str:
        asked.append((repo, local_files_only))
        return str(tmp_path / "snapshot")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    encoder = load_text_encoder("hf:some/bert", precision="f32")
    assert encoder.fingerprint.startswith("hf:some/bert@")
    assert asked == [("some/bert", True)]


def test_models_of_the_other_kind_are_refused(tmp_path: Path) -> None:
    save_tokenizer(tmp_path / "bert")
    config = transformers.BertConfig(**SMALL, vocab_size=40, max_position_embeddings=16)
    transformers.BertModel(config).save_pretrained(tmp_path / "bert")
    assert image_refusal(tmp_path / "bert").startswith(f"hf:{tmp_path}/bert: no image processor, so no image encoder (")
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "bert")
    assert image_refusal(tmp_path / "bert") == f"hf:{tmp_path}/bert: BertModel is no image encoder"

    save_tokenizer(tmp_path / "vit")
    transformers.ViTModel(transformers.ViTConfig(**SMALL, image_size=32, patch_size=8)).save_pretrained(
        tmp_path / "vit"
    )
    assert text_refusal(tmp_path / "vit") == f"hf:{tmp_path}/vit: ViTModel is no text encoder"
