"""Region vectors of an image encoder: one network gives both, each caller gets its part."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from indexer.encoders import ImageEncoder
from indexer.encoders.samples import sample_photos
from indexer.encoders.torch_encoder import _module_rows, encoder_of_module
from indexer.inference.export import read_facts
from indexer.photos.square_transform import SquareTransform

SIZE = 8
IMAGES = sample_photos(SIZE)


class Halves(torch.nn.Module):
    """[mean colour of the photo | of its left half | of its right half], each with a 1 behind it, as unit vectors."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = images.float() / 255
        parts = [x.mean(dim=(1, 2)), x[:, :, : SIZE // 2].mean(dim=(1, 2)), x[:, :, SIZE // 2 :].mean(dim=(1, 2))]
        return torch.cat([normalize(torch.nn.functional.pad(part, (0, 1), value=1.0), dim=1) for part in parts], dim=1)


def halves(precision: str = "f32", build=lambda: (Halves(), SquareTransform(SIZE))) -> ImageEncoder:
    return encoder_of_module("halves", "halves@1", build, precision, "cpu", region_shape=(2, 4))


def expected(images: np.ndarray) -> np.ndarray:
    """(n, 4) float32: mean colours beside 1, unit."""
    colours = images.reshape(len(images), -1, 3).mean(axis=1) / 255
    rows = np.concatenate([colours, np.ones((len(images), 1))], axis=1)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path / "cache"))


def test_the_embeddings_and_the_regions_come_from_one_network() -> None:
    encoder = halves()
    embeddings, regions = encoder.encode_with_regions(IMAGES)
    assert (encoder.dim, encoder.region_shape) == (4, (2, 4))
    assert (embeddings.shape, embeddings.dtype, regions.shape, regions.dtype) == (
        (16, 4),
        np.float32,
        (16, 2, 4),
        np.float32,
    )
    assert np.allclose(embeddings, expected(IMAGES), atol=1e-5)
    assert np.allclose(regions[:, 0], expected(IMAGES[:, :, :4]), atol=1e-5)
    assert np.allclose(regions[:, 1], expected(IMAGES[:, :, 4:]), atol=1e-5)
    assert np.array_equal(encoder.encode(IMAGES), embeddings)
    assert [part.shape for part in encoder.encode_with_regions(IMAGES[:0])] == [(0, 4), (0, 2, 4)]
    assert encoder.encode(IMAGES[:0]).shape == (0, 4)


def test_an_export_in_the_cache_says_what_its_rows_hold() -> None:
    first = halves()
    again = halves(build=lambda: pytest.fail("it is in the cache"))
    assert (again.dim, again.region_shape, again.folder) == (4, (2, 4), first.folder)
    assert read_facts(first.folder) == {
        "dim": 4,
        "fit": {"size": 8, "mode": "squash", "resize": 0, "filter": "bilinear"},
        "regions": [2, 4],
    }
    assert np.array_equal(again.encode(IMAGES), first.encode(IMAGES))


def test_rows_of_a_module_are_cut_as_those_of_its_export(monkeypatch: pytest.MonkeyPatch) -> None:
    # What runs on CUDA, here on the CPU.
    monkeypatch.setattr("indexer.encoders.image_encoder._run_on_cuda", _module_rows)
    encoder = ImageEncoder(
        "halves", "halves@1", 4, SquareTransform(SIZE), Path(), cuda_module=Halves(), region_shape=(2, 4)
    )
    ours, exported = encoder.encode_with_regions(IMAGES), halves().encode_with_regions(IMAGES)
    assert np.array_equal(encoder.encode(IMAGES), ours[0])
    for own, other in zip(ours, exported, strict=True):
        assert np.allclose(own, other, atol=1e-5)


def test_an_encoder_without_regions_gives_none_of_them() -> None:
    encoder = encoder_of_module("halves", "halves@1", lambda: (Halves(), SquareTransform(SIZE)), "f32", "cpu")
    embeddings, regions = encoder.encode_with_regions(IMAGES)
    assert (encoder.dim, encoder.region_shape, embeddings.shape, regions.shape) == (12, (0, 0), (16, 12), (16, 0, 0))


class Turned:
    """Rows of [1, 0 | 1, 0], of which the last two turn by a right angle in bfloat16."""

    def __init__(self, folder: Path, precision: str, *_: object) -> None:
        self.precision = precision

    def __call__(self, images: np.ndarray) -> np.ndarray:
        region = [0.0, 1.0] if self.precision == "bf16" else [1.0, 0.0]
        return np.tile(np.array([1.0, 0.0, *region], np.float32), (len(images), 1))

    run_blocks = __call__


def test_a_precision_is_chosen_by_the_embeddings_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("inference.precision", "encoders.image_encoder"):
        monkeypatch.setattr(f"indexer.{module}.Network", Turned)
    monkeypatch.setattr("openvino.Core.get_property", lambda *_: ["FP32", "BF16"])
    for name, dim, regions, precision in (("a", 2, (1, 2), "bf16"), ("b", 4, (0, 0), "f32")):
        (tmp_path / name).mkdir()
        encoder = ImageEncoder(name, f"{name}@1", dim, SquareTransform(SIZE), tmp_path / name, region_shape=regions)
        assert encoder.encode(IMAGES).shape == (16, dim)
        assert encoder.precision == precision
