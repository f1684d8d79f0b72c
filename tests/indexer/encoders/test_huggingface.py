"""`hf:FOLDER` against transformers' own processors and networks, on small random checkpoints."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from sklearn.datasets import load_sample_images
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from indexer.encoders import load_image_encoder, load_text_encoder
from indexer.errors import PhotoseekError
from indexer.photos.decode import Fit, fit_square

PHOTOS = [Image.fromarray(photo[:400, :600]) for photo in load_sample_images().images]
LONGER = "two children play football on the beach at sunset"
WORDS = ["a", "dog", *LONGER.split(), "violin", "photo", "of", "lighthouse", "red", "jacket"]
TEXTS = ["a dog", LONGER, "violin", "the red jacket of a dog"]
END = 20
SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path / "cache"))
    torch.set_num_threads(1)
    torch.manual_seed(0)


def unit(rows: Any) -> np.ndarray:
    rows = np.asarray(rows)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def encode_photos(folder: Path, fit: Fit) -> np.ndarray:
    """The photos through photoseek's own way: fit, then the exported network."""
    encoder = load_image_encoder(f"hf:{folder}", device="cpu", precision="f32")
    assert encoder.fit == fit
    rows = encoder.encode(np.stack([np.asarray(fit_square(photo, fit)) for photo in PHOTOS]))
    assert rows.shape == (2, encoder.dim)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1], abs=1e-5)
    return rows


def lowest_cosine(ours: np.ndarray, theirs: Any) -> float:
    return float((ours * unit(theirs)).sum(axis=1).min())


def forward(model: Any, processor: Any) -> Any:
    with torch.inference_mode():
        return model.eval()(**processor(images=PHOTOS, return_tensors="pt"))


def save_tokenizer(folder: Path, **settings: Any) -> Any:
    """A word tokenizer: <pad> 0, <s> 1, <unk> 2, WORDS from 3 on, and </s> 20, the highest as in CLIP."""
    vocabulary = {word: number for number, word in enumerate(("<pad>", "<s>", "<unk>", *WORDS, "</s>"))}
    assert vocabulary["</s>"] == END
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", END)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>", **settings
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


# Images


def test_a_vit_gives_its_pooler_and_squashes_the_whole_photo(tmp_path: Path) -> None:
    model = transformers.ViTModel(transformers.ViTConfig(**SMALL, image_size=32, patch_size=8))
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    model.save_pretrained(tmp_path / "vit")
    processor.save_pretrained(tmp_path / "vit")
    ours = encode_photos(tmp_path / "vit", Fit(32, "squash"))
    assert lowest_cosine(ours, forward(model, processor).pooler_output) > 0.9999


def test_a_classifier_without_a_pooler_gives_its_cls_token(tmp_path: Path) -> None:
    # Its checkpoint has no pooler weights; transformers would make random ones up at every load.
    model = transformers.ViTForImageClassification(transformers.ViTConfig(**SMALL, image_size=32, patch_size=8))
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32}, resample=3)
    model.save_pretrained(tmp_path / "vit")
    processor.save_pretrained(tmp_path / "vit")
    ours = encode_photos(tmp_path / "vit", Fit(32, "squash", filter="bicubic"))
    assert lowest_cosine(ours, forward(model.vit, processor).last_hidden_state[:, 0]) > 0.9999


def test_a_dinov2_is_cropped_as_its_processor_crops(tmp_path: Path) -> None:
    model = transformers.Dinov2Model(transformers.Dinov2Config(**SMALL, image_size=28, patch_size=14))
    processor = transformers.BitImageProcessor(size={"shortest_edge": 40}, crop_size=28, resample=3)
    model.half().save_pretrained(tmp_path / "dino")
    processor.save_pretrained(tmp_path / "dino")
    ours = encode_photos(tmp_path / "dino", Fit(28, "crop", 40, "bicubic"))
    assert lowest_cosine(ours, forward(model.float(), processor).pooler_output) > 0.9999


@pytest.mark.parametrize(
    ("edge", "fit"), [(56, Fit(56, "crop", 64, "bicubic")), (384, Fit(384, "squash", 0, "bicubic"))]
)
def test_a_convnext_crops_when_small_and_squashes_when_large(tmp_path: Path, edge: int, fit: Fit) -> None:
    config = transformers.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1])
    model = transformers.ConvNextModel(config)
    processor = transformers.ConvNextImageProcessor(size={"shortest_edge": edge}, crop_pct=0.875, resample=3)
    model.save_pretrained(tmp_path / "convnext")
    processor.save_pretrained(tmp_path / "convnext")
    ours = encode_photos(tmp_path / "convnext", fit)
    assert lowest_cosine(ours, forward(model, processor).pooler_output) > 0.9999


def test_a_map_without_a_pooler_is_averaged_over_space(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"depths": [1] * 4, "hidden_sizes": [8, 8, 16, 16], "decoder_hidden_size": 8}
    model = transformers.SegformerModel(transformers.SegformerConfig(**settings))
    processor = transformers.ViTImageProcessor(size={"height": 64, "width": 64})
    model.save_pretrained(tmp_path / "segformer")
    processor.save_pretrained(tmp_path / "segformer")
    ours = encode_photos(tmp_path / "segformer", Fit(64, "squash"))
    assert lowest_cosine(ours, forward(model, processor).last_hidden_state.mean(dim=(2, 3))) > 0.9999


def image_refusal(folder: Path | str) -> str:
    with pytest.raises(PhotoseekError) as caught:
        load_image_encoder(f"hf:{folder}", device="cpu")
    return str(caught.value)


def test_processors_that_cannot_be_followed_are_refused(tmp_path: Path) -> None:
    transformers.ViTModel(transformers.ViTConfig(**SMALL, image_size=32, patch_size=8)).save_pretrained(tmp_path / "v")
    transformers.ViTImageProcessor(size={"height": 32, "width": 48}).save_pretrained(tmp_path / "v")
    assert image_refusal(tmp_path / "v") == (
        f"hf:{tmp_path}/v: its image processor asks for what is not offered: "
        '{"do_resize": true, "size": {"height": 32, "width": 48}, "do_center_crop": null, "crop_size": null}'
    )
    transformers.CLIPImageProcessor(size={"shortest_edge": 32}, do_center_crop=False).save_pretrained(tmp_path / "v")
    assert image_refusal(tmp_path / "v") == (
        f"hf:{tmp_path}/v: its image processor asks for what is not offered: "
        '{"do_resize": true, "size": {"shortest_edge": 32}, "do_center_crop": false, "crop_size": '
        '{"height": 224, "width": 224}}'
    )


def test_a_processor_that_does_more_than_fit_and_normalise_is_refused(tmp_path: Path) -> None:
    transformers.ViTModel(transformers.ViTConfig(**SMALL, image_size=32, patch_size=8)).save_pretrained(tmp_path / "v")
    settings = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}
    # Blue first, as MobileViT wants it.
    transformers.MobileViTImageProcessor(**settings).save_pretrained(tmp_path / "v")
    assert image_refusal(tmp_path / "v") == (
        f"hf:{tmp_path}/v: its MobileViTImageProcessor does more than resize, crop and normalise a photo"
    )


def test_a_network_that_draws_at_random_is_refused(tmp_path: Path) -> None:
    config = transformers.ViTMAEConfig(**SMALL, image_size=32, patch_size=8)
    transformers.ViTMAEModel(config).save_pretrained(tmp_path / "mae")
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "mae")
    assert image_refusal(tmp_path / "mae") == (
        f"hf:{tmp_path}/mae: its OpenVINO export gives other vectors than the network itself; it cannot be used"
    )


# Text


def encode_alone_and_together(folder: Path) -> np.ndarray:
    """TEXTS through photoseek's own way, which must not depend on what else is in the batch."""
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
    photos = encode_photos(tmp_path / "clip", Fit(32, "crop", 32, "bicubic"))
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
    photos = encode_photos(tmp_path / "siglip", Fit(32, "squash", filter="bicubic"))
    texts = encode_alone_and_together(tmp_path / "siglip")
    with torch.inference_mode():
        own_photos = model.get_image_features(**processor(images=PHOTOS, return_tensors="pt")).pooler_output
        ids = tokenizer(TEXTS, padding="max_length", max_length=16, return_tensors="pt").input_ids
        own_texts = model.get_text_features(input_ids=ids).pooler_output
    assert lowest_cosine(photos, own_photos) > 0.9999
    assert lowest_cosine(texts, own_texts) > 0.9999


def save_sentence_model(folder: Path, pooling: str, *more: Any, **settings: Any) -> Any:
    """A sentence-transformers folder as that library saves it."""
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


def text_refusal(folder: Path | str) -> str:
    with pytest.raises(PhotoseekError) as caught:
        load_text_encoder(f"hf:{folder}")
    return str(caught.value)


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


# Both


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
