"""`clip:FOLDER` against transformers' own networks, on small random checkpoints: vectors, prompts, logits, refusals."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import transformers

from checkpoints.tiny_huggingface import END, LONGER, PHOTOS, SMALL, encode_photos, lowest_cosine, save_tokenizer
from checkpoints.tiny_joint import JointCheckpoint, make_clip, make_siglip
from indexer.encoders import is_joint_name, load_image_encoder, load_text_encoder, open_text_encoder
from indexer.encoders.prompts import PROMPTS
from indexer.encoders.text_encoder import PairLogits
from indexer.errors import PhotoseekError
from indexer.photos.square_transform import SquareTransform

pytestmark = pytest.mark.usefixtures("seeded_cache")

LONG = [LONGER, "the red jacket of a dog", "a violin on the beach at sunset"]
Make = Callable[[Path], JointCheckpoint]


@pytest.mark.parametrize(
    ("make", "transform"),
    [
        (make_clip, SquareTransform(32, "crop", 32, "bicubic")),
        (make_siglip, SquareTransform(32, "squash", filter="bicubic")),
    ],
)
def test_both_sides_give_the_librarys_own_vectors(tmp_path: Path, make: Make, transform: SquareTransform) -> None:
    own = make(tmp_path / "joint")
    photos = encode_photos(own.folder, transform, "clip")
    texts = load_text_encoder(f"clip:{own.folder}", precision="f32").encode(LONG)
    assert lowest_cosine(photos, own.photo_rows(PHOTOS)) > 0.9999
    assert lowest_cosine(texts, own.text_rows(LONG)) > 0.9999
    assert photos.shape[1] == texts.shape[1]


@pytest.mark.parametrize("make", [make_clip, make_siglip])
def test_a_short_text_is_the_mean_over_its_forms(tmp_path: Path, make: Make) -> None:
    own = make(tmp_path / "joint")
    encoder = load_text_encoder(f"clip:{own.folder}", precision="f32")
    assert encoder.prompts == PROMPTS
    forms = ["a dog", "a photo of dog", "a photo of a dog", "a photo of the dog"]
    mean = own.text_rows(forms).mean(axis=0, keepdims=True)
    rows = encoder.encode([LONGER, "a dog", "violin"])
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(3), abs=1e-6)
    assert lowest_cosine(rows[1:2], mean) > 0.9999
    assert lowest_cosine(rows[:1], own.text_rows([LONGER])) > 0.9999
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_a_siglip_reads_texts_in_lower_case_as_it_was_trained(tmp_path: Path) -> None:
    own = make_siglip(tmp_path / "joint")
    assert own.tokenizer("DOG").input_ids == [1, 2, END]  # unknown: this tokenizer does not lower-case, as Gemma's
    rows = load_text_encoder(f"clip:{own.folder}", precision="f32").encode([LONGER.upper(), "The DOG"])
    lower = load_text_encoder(f"clip:{own.folder}", precision="f32").encode([LONGER, "the dog"])
    assert rows == pytest.approx(lower, abs=1e-6)
    assert lowest_cosine(rows[:1], own.text_rows([LONGER])) > 0.9999


def test_the_pair_logits_are_the_models_own(tmp_path: Path) -> None:
    clip, siglip = make_clip(tmp_path / "clip"), make_siglip(tmp_path / "siglip")
    of_clip = load_text_encoder(f"clip:{clip.folder}").pair_logits
    assert of_clip == PairLogits(pytest.approx(1 / 0.07, rel=1e-4), None)
    of_siglip = load_text_encoder(f"clip:{siglip.folder}").pair_logits
    assert of_siglip == PairLogits(pytest.approx(12, rel=1e-5), -6.0)
    # The same checkpoint as a plain text encoder has neither prompts nor logits, and another fingerprint.
    plain = load_text_encoder(f"hf:{clip.folder}")
    assert (plain.prompts, plain.pair_logits) == ((), None)
    assert plain.fingerprint != load_text_encoder(f"clip:{clip.folder}").fingerprint


def test_an_export_opens_by_its_fingerprint_without_torch(tmp_path: Path) -> None:
    own = make_siglip(tmp_path / "siglip")
    name = f"clip:{own.folder}"
    encoder = load_text_encoder(name)
    reopened = open_text_encoder(encoder.fingerprint, name)
    assert (reopened.prompts, reopened.pair_logits) == (encoder.prompts, encoder.pair_logits)
    image = load_image_encoder(name, device="cpu").fingerprint
    assert image.startswith("clip:siglip@")
    assert image != encoder.fingerprint
    program = (
        "import sys; from indexer.encoders import load_image_encoder, open_text_encoder; "
        f"load_image_encoder({name!r}, device='cpu'); "
        f"row = open_text_encoder({encoder.fingerprint!r}, {name!r}).encode(['a dog']); "
        "print({'torch', 'transformers', 'open_clip'} & set(sys.modules), row.shape)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout == "set() (1, 32)\n"


def test_what_is_not_joint_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    save_tokenizer(folder)
    config = transformers.BertConfig(**SMALL, vocab_size=40, max_position_embeddings=16)
    transformers.BertModel(config).save_pretrained(folder)
    with pytest.raises(PhotoseekError) as refused:
        load_text_encoder(f"clip:{folder}")
    assert str(refused.value) == (
        f"clip:{folder}: BertModel is no joint encoder of photos and texts, such as CLIP or SigLIP; "
        f"load it as hf:{folder}"
    )
    assert is_joint_name(f"clip:{folder}")
    assert not is_joint_name(f"hf:{folder}")


def test_a_siglip_2_that_keeps_each_photos_own_shape_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "naflex"
    text = {**SMALL, "vocab_size": 40, "max_position_embeddings": 16, "projection_size": 32}
    config = transformers.Siglip2Config(text_config=text, vision_config={**SMALL, "patch_size": 8, "num_patches": 16})
    transformers.Siglip2Model(config).save_pretrained(folder)
    transformers.Siglip2ImageProcessor(patch_size=8, max_num_patches=16).save_pretrained(folder)
    with pytest.raises(PhotoseekError) as refused:
        load_image_encoder(f"clip:{folder}", device="cpu")
    assert str(refused.value).startswith(f"clip:{folder}: its image processor asks for what is not offered: ")
