"""`clip:FOLDER` with a MobileCLIP of open_clip, against open_clip's own network, tokenizer and preprocessing."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2

from checkpoints.tiny_huggingface import LONGER, PHOTOS, encode_photos, lowest_cosine
from checkpoints.tiny_joint import save_open_clip
from indexer.encoders import load_image_encoder, load_text_encoder
from indexer.encoders.joint import open_clip_model
from indexer.encoders.text_encoder import PairLogits
from indexer.errors import PhotoseekError
from indexer.photos.square_transform import SquareTransform

pytestmark = pytest.mark.usefixtures("seeded_cache")

TEXTS = [LONGER, "It's 25 o'clock; the café's NAÏVE owner won't smile!", "a man and a woman " * 30]


def test_a_mobile_clip_gives_open_clips_own_vectors(tmp_path: Path) -> None:
    own = save_open_clip(tmp_path / "mobile")
    photos = encode_photos(tmp_path / "mobile", SquareTransform(64, "crop", 64, "bilinear"), "clip")
    process = image_transform_v2(PreprocessCfg(**own.visual.preprocess_cfg), is_train=False)
    encoder = load_text_encoder(f"clip:{tmp_path}/mobile", precision="f32")
    texts = encoder.encode(TEXTS)
    with torch.inference_mode():
        own_photos = own.encode_image(torch.stack([process(photo) for photo in PHOTOS]))
        own_texts = own.encode_text(open_clip.SimpleTokenizer(context_length=77)(TEXTS))
    assert lowest_cosine(photos, own_photos) > 0.9999
    assert lowest_cosine(texts, own_texts) > 0.9999
    assert encoder.pair_logits == PairLogits(pytest.approx(1 / 0.07, rel=1e-4), None)
    assert [encoder.is_cut(text) for text in TEXTS] == [False, False, True]
    # A sentence's vector does not depend on what it is encoded with, although this architecture reads the padding.
    assert np.abs(encoder.encode(TEXTS[:1]) - texts[:1]).max() < 1e-5


def test_without_open_clip_the_refusal_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_open_clip(tmp_path / "mobile")
    found = importlib.util.find_spec
    monkeypatch.setattr(open_clip_model, "find_spec", lambda name: None if name == "open_clip" else found(name))
    with pytest.raises(PhotoseekError) as refused:
        load_image_encoder(f"clip:{tmp_path}/mobile", device="cpu")
    assert str(refused.value) == (
        f"clip:{tmp_path}/mobile: a model of open_clip needs open_clip_torch: pip install .[models]"
    )


def test_a_text_side_of_another_library_and_missing_weights_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mobile"
    save_open_clip(folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "someone/else"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(PhotoseekError) as refused:
        load_text_encoder(f"clip:{folder}")
    assert str(refused.value) == (
        f"clip:{folder}: its text side is not open_clip's own, which is not supported; take the same model in "
        "transformers' format"
    )
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(PhotoseekError) as refused:
        load_text_encoder(f"clip:{folder}")
    assert str(refused.value) == f"clip:{folder}: no weights in {folder} (open_clip_model.safetensors)"
