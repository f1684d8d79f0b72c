"""`hf:FOLDER` for photos against transformers' own processors and networks, on small random checkpoints."""

from pathlib import Path
from typing import Any

import pytest
import transformers

from checkpoints.tiny_huggingface import SMALL, encode_photos, forward, image_refusal, lowest_cosine
from indexer.photos.square_transform import SquareTransform

pytestmark = pytest.mark.usefixtures("seeded_cache")


def test_a_vit_gives_its_pooler_and_squashes_the_whole_photo(tmp_path: Path) -> None:
    model = transformers.ViTModel(transformers.ViTConfig(**SMALL, image_size=32, patch_size=8))
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    model.save_pretrained(tmp_path / "vit")
    processor.save_pretrained(tmp_path / "vit")
    ours = encode_photos(tmp_path / "vit", SquareTransform(32, "squash"))
    assert lowest_cosine(ours, forward(model, processor).pooler_output) > 0.9999


def test_a_classifier_without_a_pooler_gives_its_cls_token(tmp_path: Path) -> None:
    # Its checkpoint has no pooler weights; transformers would make random ones up at every load.
    model = transformers.ViTForImageClassification(transformers.ViTConfig(**SMALL, image_size=32, patch_size=8))
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32}, resample=3)
    model.save_pretrained(tmp_path / "vit")
    processor.save_pretrained(tmp_path / "vit")
    ours = encode_photos(tmp_path / "vit", SquareTransform(32, "squash", filter="bicubic"))
    assert lowest_cosine(ours, forward(model.vit, processor).last_hidden_state[:, 0]) > 0.9999


def test_a_dinov2_is_cropped_as_its_processor_crops(tmp_path: Path) -> None:
    model = transformers.Dinov2Model(transformers.Dinov2Config(**SMALL, image_size=28, patch_size=14))
    processor = transformers.BitImageProcessor(size={"shortest_edge": 40}, crop_size=28, resample=3)
    model.half().save_pretrained(tmp_path / "dino")
    processor.save_pretrained(tmp_path / "dino")
    ours = encode_photos(tmp_path / "dino", SquareTransform(28, "crop", 40, "bicubic"))
    assert lowest_cosine(ours, forward(model.float(), processor).pooler_output) > 0.9999


@pytest.mark.parametrize(
    ("edge", "transform"),
    [(56, SquareTransform(56, "crop", 64, "bicubic")), (384, SquareTransform(384, "squash", 0, "bicubic"))],
)
def test_a_convnext_crops_when_small_and_squashes_when_large(
    tmp_path: Path, edge: int, transform: SquareTransform
) -> None:
    config = transformers.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1])
    model = transformers.ConvNextModel(config)
    processor = transformers.ConvNextImageProcessor(size={"shortest_edge": edge}, crop_pct=0.875, resample=3)
    model.save_pretrained(tmp_path / "convnext")
    processor.save_pretrained(tmp_path / "convnext")
    ours = encode_photos(tmp_path / "convnext", transform)
    assert lowest_cosine(ours, forward(model, processor).pooler_output) > 0.9999


def test_a_map_without_a_pooler_is_averaged_over_space(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"depths": [1] * 4, "hidden_sizes": [8, 8, 16, 16], "decoder_hidden_size": 8}
    model = transformers.SegformerModel(transformers.SegformerConfig(**settings))
    processor = transformers.ViTImageProcessor(size={"height": 64, "width": 64})
    model.save_pretrained(tmp_path / "segformer")
    processor.save_pretrained(tmp_path / "segformer")
    ours = encode_photos(tmp_path / "segformer", SquareTransform(64, "squash"))
    assert lowest_cosine(ours, forward(model, processor).last_hidden_state.mean(dim=(2, 3))) > 0.9999


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
