from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from experiments.seed_project import encoder as seed_encoder
from indexer.errors import PhotoseekError


@dataclass(frozen=True)
class Loaded:
    name: str
    weights: str | None


@pytest.fixture(autouse=True)
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Encoders are named, not loaded; torch's cache and photoseek's are empty folders."""
    monkeypatch.setattr(seed_encoder, "load_image_encoder", lambda name, weights=None, device="": Loaded(name, weights))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path / "cache"))


def chosen(name: str | None = None, weights: str | None = None, random: bool = False) -> tuple[Loaded, str]:
    return seed_encoder.choose_encoder(name, {} if weights is None else {"weights": weights}, random, "cpu")


def test_weights_that_are_given_make_it_resnet() -> None:
    assert chosen(weights="w.pth") == (Loaded("torchvision:resnet18", "w.pth"), "ResNet-18")


def test_weights_that_lie_in_torchs_cache_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    file.parent.mkdir(parents=True)
    file.touch()
    assert chosen() == (Loaded("torchvision:resnet18", str(file)), "ResNet-18")


def test_without_weights_a_stand_in_is_named() -> None:
    assert chosen() == (Loaded("efficientnet-lite2", None), "EfficientNet-Lite2, standing in for ResNet-18")
    other = (Loaded("torchvision:resnet50", None), "torchvision:resnet50 in place of ResNet-18")
    assert chosen("torchvision:resnet50") == other


def test_random_weights_come_last_or_on_request_and_are_the_same_every_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "cache" / "seed-project" / "resnet18-random.safetensors"
    assert chosen(random=True) == (Loaded("torchvision:resnet18", str(file)), seed_encoder.RANDOM_TITLE)
    assert "RANDOM WEIGHTS" in seed_encoder.RANDOM_TITLE
    first = file.read_bytes()
    assert load_file(file)["fc.weight"].shape == (1000, 512)

    def missing(name: str, weights: str | None = None, device: str = "") -> Loaded:
        if name == "efficientnet-lite2":
            raise PhotoseekError("no such package")
        return Loaded(name, weights)

    file.unlink()
    monkeypatch.setattr(seed_encoder, "load_image_encoder", missing)
    assert chosen() == (Loaded("torchvision:resnet18", str(file)), seed_encoder.RANDOM_TITLE)
    assert file.read_bytes() == first
