"""`torchvision:NAME` against torchvision's own transforms and network, on random weights."""

from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_images
from torchvision import models

from indexer.encoders import load_image_encoder
from indexer.encoders.torchvision_models import _drop_last_linear, _module, _published, _written
from indexer.errors import PhotoseekError
from indexer.inference.export import read_facts
from indexer.photos.square_transform import SquareTransform, to_square


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path / "cache"))
    torch.set_num_threads(1)


def saved(name: str, path: Path, seed: int = 0, **settings: object) -> torch.nn.Module:
    """Make a random network, and save its state dict to `path`."""
    torch.manual_seed(seed)
    net = models.get_model(name, weights=None, **settings).eval()
    torch.save(net.state_dict(), path)
    return net


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


PHOTOS = [Image.fromarray(photo[:400, :600]) for photo in load_sample_images().images]


def test_a_resnet_gives_the_unit_input_of_its_last_layer(tmp_path: Path) -> None:
    net = saved("resnet18", tmp_path / "w.pth")
    encoder = load_image_encoder("torchvision:resnet18", weights=str(tmp_path / "w.pth"), device="cpu", precision="f32")
    assert encoder.transform == SquareTransform(224, "crop", 256, "bilinear")
    assert encoder.dim == 512
    net.fc = torch.nn.Identity()
    transforms = models.ResNet18_Weights.DEFAULT.transforms()
    with torch.inference_mode():
        theirs = unit(net(torch.stack([transforms(photo) for photo in PHOTOS])).numpy())
    ours = encoder.encode(np.stack([np.asarray(to_square(photo, encoder.transform)) for photo in PHOTOS]))
    assert ours.dtype == np.float32
    assert np.linalg.norm(ours, axis=1) == pytest.approx([1, 1], abs=1e-6)
    assert (ours * theirs).sum(axis=1).min() > 0.9999
    assert np.abs(ours - theirs).max() < 1e-4

    # The export in the cache is enough the second time, and says what the encoder is.
    assert read_facts(encoder.folder)["dim"] == 512
    again = load_image_encoder("torchvision:resnet18", weights=str(tmp_path / "w.pth"), device="cpu", precision="f32")
    assert (again.fingerprint, again.folder, again.dim, again.transform) == (
        encoder.fingerprint,
        encoder.folder,
        encoder.dim,
        encoder.transform,
    )


def test_other_weights_give_another_fingerprint_and_other_rows(tmp_path: Path) -> None:
    pixels = np.stack([np.asarray(to_square(photo, SquareTransform(224))) for photo in PHOTOS])
    encoders = []
    for seed in (1, 2):
        saved("shufflenet_v2_x0_5", tmp_path / f"{seed}.pth", seed, num_classes=3)
        name, file = "torchvision:shufflenet_v2_x0_5", str(tmp_path / f"{seed}.pth")
        encoders.append(load_image_encoder(name, weights=file, device="cpu", precision="f32"))
    one, two = encoders
    assert one.fingerprint != two.fingerprint
    assert one.fingerprint.rpartition("@")[0] == two.fingerprint.rpartition("@")[0] == "torchvision:shufflenet_v2_x0_5"
    assert np.abs(one.encode(pixels) - two.encode(pixels)).max() > 0.001


@pytest.mark.parametrize(
    ("name", "last", "dim"),
    [
        ("alexnet", "classifier.6", 4096),
        ("densenet121", "classifier", 1024),
        ("efficientnet_b0", "classifier.1", 1280),
        ("mnasnet0_5", "classifier.1", 1280),
        ("mobilenet_v3_small", "classifier.3", 1024),
        ("convnext_tiny", "classifier.2", 768),
        ("swin_t", "head", 768),
        ("vit_b_32", "heads.head", 768),
    ],
)
def test_the_classifier_is_found_in_every_family(name: str, last: str, dim: int) -> None:
    with torch.device("meta"):
        net = models.get_model(name, weights=None).eval()
    assert _drop_last_linear(f"torchvision:{name}", net) == last
    assert net(torch.zeros((2, 3, 224, 224), device="meta")).shape == (2, dim)


def test_weights_named_as_torchvision_names_them_get_their_own_preprocessing() -> None:
    # resnet50 was first published for a resize to 256, then, as today's default, for 232.
    files = (None, "models/mine.pth", "models/resnet50-11ad3fa6.pth", "models/resnet50-0676ba61.pth")
    assert [_published("resnet50", file).transforms().resize_size for file in files] == [[232], [232], [232], [256]]


def test_files_of_old_formats_load_too(tmp_path: Path) -> None:
    # DenseNet was published with norm.1 for norm1 and without the batch counters; safetensors keeps no format versions.
    for name, rename in (("densenet121", (".norm1.", ".norm.1.")), ("mnasnet0_5", ("", ""))):
        net = saved(name, tmp_path / "new.pth")
        old = {key.replace(*rename): value for key, value in net.state_dict().items() if "num_batches" not in key}
        save_file(old, tmp_path / "old.safetensors")
        preset = models.get_model_weights(name).DEFAULT.transforms()
        images = torch.from_numpy(np.stack([np.asarray(to_square(PHOTOS[0], SquareTransform(224)))]))
        with torch.inference_mode():
            new, same = (
                _module(f"torchvision:{name}", tmp_path / file, preset)(images)
                for file in ("new.pth", "old.safetensors")
            )
        assert torch.equal(new, same)


def test_googlenet_takes_its_pixels_as_its_published_weights_want_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = models.googlenet(weights=None, transform_input=True, init_weights=False).eval()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    preset = models.GoogLeNet_Weights.DEFAULT.transforms()
    preset.resize_size = [224]
    pixels = torch.from_numpy(np.array(to_square(PHOTOS[0], SquareTransform(224, "crop", 256))))
    net.fc = torch.nn.Identity()
    with torch.inference_mode():
        theirs = unit(net(preset(pixels.permute(2, 0, 1)[None])).numpy())
        ours = _module("torchvision:googlenet", tmp_path / "w.pth", preset)(pixels[None]).numpy()
    assert np.abs(ours - theirs).max() < 1e-5


def refusal(name: str, weights: Path | None = None) -> str:
    with pytest.raises(PhotoseekError) as caught:
        load_image_encoder(name, weights=None if weights is None else str(weights), device="cpu")
    return str(caught.value)


def test_an_unknown_model_and_one_without_a_linear_classifier_are_refused(tmp_path: Path) -> None:
    assert refusal("torchvision:resnet") == (
        "torchvision has no classification model 'resnet'; e.g. torchvision:resnet18"
    )
    torch.save(models.squeezenet1_1().state_dict(), tmp_path / "w.pth")
    assert refusal("torchvision:squeezenet1_1", tmp_path / "w.pth") == (
        "torchvision:squeezenet1_1: has no linear classifier to take off, so no pooled vector; choose another model"
    )


def test_weights_that_do_not_fit_are_refused_by_the_first_difference(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    name = "torchvision:shufflenet_v2_x0_5"
    assert refusal(name, path) == f"--weights {path}: no such file"
    no_state = f"--weights {path}: not a state dict (a .pth of tensors by name, or .safetensors)"
    # The second is taken for a pickle that takes more from its stack than there is.
    for damaged in (b"not a checkpoint", b"sg\n\0d`\0?h\0"):
        path.write_bytes(damaged)
        assert refusal(name, path) == no_state
    torch.save({"epoch": 3, "model": {}}, path)
    assert refusal(name, path) == no_state

    state = models.shufflenet_v2_x0_5().state_dict()
    torch.save({key: value for key, value in state.items() if key != "conv5.0.weight"}, path)
    assert refusal(name, path) == f"--weights {path}: does not fit {name}: it lacks conv5.0.weight"
    torch.save({**state, "conv5.0.weight": torch.zeros(2, 3)}, path)
    assert refusal(name, path) == (
        f"--weights {path}: does not fit {name}: conv5.0.weight is (2, 3) where (1024, 192, 1, 1) is wanted"
    )
    torch.save({**state, "extra": torch.zeros(1)}, path)
    assert refusal(name, path) == f"--weights {path}: does not fit {name}, which knows no extra"


def test_without_a_network_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert refusal("torchvision:resnet18") == (
        "torchvision:resnet18: its weights cannot be downloaded (<urlopen error no route to host>); "
        "fetch https://download.pytorch.org/models/resnet18-f37072fd.pth elsewhere and give it with --weights FILE"
    )


def test_the_transform_is_in_fingerprints_as_it_was_first_written() -> None:
    transform = SquareTransform(224, "crop", 256, "bicubic")
    assert _written(transform) == "Fit(size=224, mode='crop', resize=256, filter='bicubic')"
