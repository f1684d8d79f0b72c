"""The default image encoders on their real weights: exports against their own networks, and what they see in photos."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch.nn.functional import interpolate
from torchvision.models import ResNet18_Weights

from indexer.encoders import ImageEncoder, load_image_encoder
from indexer.encoders.efficientnet import (
    PARTS,
    NetworkPart,
    dequantised,
    photo_module,
    pools_module,
    statistics_file,
    weights_file,
)
from indexer.encoders.samples import sample_photos
from indexer.errors import PhotoseekError
from indexer.photos.decode import decode_photo
from indexer.photos.square_transform import SquareTransform

# name -> width of the embedding: of the photo, 1,024 or 1,536, and of the classes, 256
DIMS = {"efficientnet-lite": 1280, "efficientnet-lite2": 1792}
IMAGES = sample_photos(260)
CLASSES = ResNet18_Weights.DEFAULT.meta["categories"]


@dataclass(frozen=True)
class Encoded:
    """The sample images through the float32 export: (16, dim) and (16, 10, 512)."""

    encoder: ImageEncoder
    photos: np.ndarray
    regions: np.ndarray


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHOTOSEEK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module", params=DIMS)
def encoded(request: pytest.FixtureRequest, _own_cache: None) -> Encoded:
    encoder = load_image_encoder(request.param, device="cpu", precision="f32")
    return Encoded(encoder, *encoder.encode_with_regions(IMAGES))


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute the cosines of rows, along the last axis."""
    return (a * b).sum(axis=-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))


def shipped(name: str) -> Path:
    """Return a photo that comes with scikit-image."""
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data" / name


# The export and the module


def test_the_export_equals_the_torch_module(encoded: Encoded) -> None:
    encoder, dim = encoded.encoder, DIMS[encoded.encoder.name]
    with torch.inference_mode():
        theirs = photo_module(encoder.name).eval()(torch.from_numpy(IMAGES)).numpy()
    assert (encoder.dim, encoder.transform, encoder.region_shape) == (dim, SquareTransform(260, "squash"), (10, 512))
    assert (encoded.photos.shape, encoded.photos.dtype) == ((16, dim), np.float32)
    assert (encoded.regions.shape, encoded.regions.dtype) == ((16, 10, 512), np.float32)
    assert cosines(encoded.photos, theirs[:, :dim]).min() > 0.9999
    assert np.abs(encoded.photos - theirs[:, :dim]).max() < 1e-4
    regions = theirs[:, dim:].reshape(16, 10, 512)
    assert cosines(encoded.regions, regions).min() > 0.9999
    assert np.abs(encoded.regions - regions).max() < 1e-4


def test_photos_regions_and_prototypes_are_unit_vectors(encoded: Encoded) -> None:
    prototypes = encoded.encoder.prototypes
    assert prototypes is not None
    for rows in (encoded.photos, encoded.regions, prototypes):
        norms = np.linalg.norm(rows, axis=-1)
        assert norms == pytest.approx(np.ones(norms.shape), abs=1e-5)


def test_a_batch_of_photos_equals_them_one_by_one(encoded: Encoded) -> None:
    encoder = encoded.encoder
    for some in (slice(4, 5), slice(0, 11)):
        photos, regions = encoder.encode_with_regions(IMAGES[some])
        assert np.abs(photos - encoded.photos[some]).max() < 1e-5
        assert np.abs(regions - encoded.regions[some]).max() < 1e-5
        assert np.array_equal(encoder.encode(IMAGES[some]), photos)
    nothing, none = encoder.encode_with_regions(IMAGES[:0])
    assert (nothing.shape, none.shape) == ((0, encoder.dim), (0, 10, 512))


def test_a_faster_precision_hardly_moves_a_photo(encoded: Encoded) -> None:
    for precision in ("bf16", "auto"):
        fast = load_image_encoder(encoded.encoder.name, device="cpu", precision=precision)
        photos, regions = fast.encode_with_regions(IMAGES)
        assert cosines(photos, encoded.photos).mean() > 0.99
        assert cosines(regions, encoded.regions).mean() > 0.99
        assert fast.precision in (("bf16",) if precision == "bf16" else ("bf16", "f32"))


@cache
def network(part: NetworkPart) -> Any:
    """Return the network as its own package builds it."""
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name(part.network)
    net.load_state_dict(torch.load(weights_file(part), weights_only=True))
    return net.eval()


def pixels(part: NetworkPart) -> torch.Tensor:
    """Four of the sample images as the network wants them."""
    scaled = (torch.from_numpy(IMAGES[::4]).permute(0, 3, 1, 2).float() - 127) / 128
    return interpolate(scaled, size=(part.size, part.size), mode="bicubic")


@pytest.mark.parametrize("name", DIMS)
def test_pools_are_means_over_each_networks_last_convolution(name: str) -> None:
    with torch.inference_mode():
        pools = pools_module(PARTS[name]).eval()(torch.from_numpy(IMAGES[::4]))
        for i, part in enumerate(PARTS[name]):
            maps = network(part).extract_features(pixels(part))
            ours = pools[:, :, i * 1280 : (i + 1) * 1280]
            assert torch.allclose(ours[:, 0], maps.mean(dim=(2, 3)), atol=1e-4)
            # The first ninth of a map of 9 x 9 is 3 x 3, of one of 7 or 8 as well: its cells end at ceil(side / 3).
            assert torch.allclose(ours[:, 1], maps[:, :, :3, :3].mean(dim=(2, 3)), atol=1e-4)
            assert torch.allclose(ours[:, 9], maps[:, :, -3:, -3:].mean(dim=(2, 3)), atol=1e-4)


# What its classifiers say


def test_prototypes_are_zero_outside_the_class_part(encoded: Encoded) -> None:
    encoder = encoded.encoder
    assert encoder.prototypes is not None
    assert (encoder.class_dim, encoder.prototypes.shape) == (256, (1000, encoder.dim))
    assert not encoder.prototypes[:, :-256].any()


def test_the_class_part_weighs_half_as_much_as_the_photo(encoded: Encoded) -> None:
    # Two unit parts, the second times 0.5, divided by sqrt(1 + 0.25).
    assert np.linalg.norm(encoded.photos[:, :-256], axis=1) == pytest.approx(np.full(16, 1.25**-0.5), abs=1e-5)
    assert np.linalg.norm(encoded.photos[:, -256:], axis=1) == pytest.approx(np.full(16, 0.5 * 1.25**-0.5), abs=1e-5)


def test_the_class_part_is_what_the_networks_own_classifiers_say(encoded: Encoded) -> None:
    name = encoded.encoder.name
    with torch.inference_mode():
        logits = torch.stack([network(part)(pixels(part)) for part in PARTS[name]]).mean(dim=0)
    rows = logits.softmax(dim=1).sqrt().numpy() @ dequantised(load_file(statistics_file(name)), "classes")
    expected = 0.5 * 1.25**-0.5 * rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.abs(encoded.photos[::4, -256:] - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        ("chelsea.png", {"tabby", "tiger cat", "Egyptian cat"}),
        ("coffee.png", {"espresso", "cup", "coffee mug"}),
        ("rocket.jpg", {"missile", "projectile", "drilling platform"}),
    ],
)
def test_the_nearest_class_of_a_photo_is_what_it_shows(encoded: Encoded, photo: str, expected: set[str]) -> None:
    encoder = encoded.encoder
    assert encoder.prototypes is not None
    (row,) = encoder.encode(decode_photo(bytes(shipped(photo)), encoder.transform).pixels[None])
    near = encoder.prototypes @ row
    assert CLASSES[near.argmax()] in expected


# What it sees


def test_crops_of_one_photo_are_nearer_to_each_other_than_to_the_other_photo(encoded: Encoded) -> None:
    near = encoded.photos @ encoded.photos.T
    assert near[:8, :8].mean() > near[:8, 8:].mean() + 0.1
    assert near[8:, 8:].mean() > near[:8, 8:].mean() + 0.1


def test_a_region_tells_where_in_the_photo_something_is(encoded: Encoded) -> None:
    # A cat in the top left ninth: of all regions of a grey photo, that one is most like the whole photo of the cat.
    encoder = encoded.encoder
    cat = decode_photo(bytes(shipped("chelsea.png")), encoder.transform).pixels
    grey = np.full_like(cat, 127)
    grey[:87, :87] = cat[::3, ::3]
    _, (whole, corner) = encoder.encode_with_regions(np.stack([cat, grey]))
    assert (corner[1:] @ whole[0]).argmax() == 0


# Names, fingerprints, the cache


def test_fingerprints_are_the_same_every_time(encoded: Encoded) -> None:
    name = encoded.encoder.name
    assert load_image_encoder(name, device="cpu").fingerprint == encoded.encoder.fingerprint
    assert encoded.encoder.fingerprint.startswith(f"{name}@")


def test_a_fingerprint_changes_with_what_was_measured_over_photos(
    encoded: Encoded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from indexer.encoders import efficientnet

    name = encoded.encoder.name
    kept = load_file(efficientnet.statistics_file(name))
    kept["middle.mean"][0] += 1
    save_file(kept, tmp_path / "other.safetensors")
    monkeypatch.setattr(efficientnet, "statistics_file", lambda _name: tmp_path / "other.safetensors")
    monkeypatch.setattr(efficientnet, "export_once", lambda key, write: tmp_path)
    assert load_image_encoder(name, device="cpu").fingerprint != encoded.encoder.fingerprint


def test_a_cached_encoder_needs_no_torch_and_no_reporter(encoded: Encoded) -> None:
    program = (
        "import sys, numpy; from indexer.encoders import load_image_encoder; "
        f"load_image_encoder({encoded.encoder.name!r}, device='cpu', precision='f32')"
        ".encode(numpy.zeros((1, 260, 260, 3), numpy.uint8)); "
        "print([name for name in ('torch', 'transformers', 'sklearn', 'openvino_telemetry') if sys.modules.get(name)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert done.stderr == ""


def test_an_unknown_encoder_is_refused_with_the_list() -> None:
    with pytest.raises(PhotoseekError) as image:
        load_image_encoder("resnet18")
    assert str(image.value) == (
        "no image encoder 'resnet18'; there are: efficientnet-lite, efficientnet-lite2, clip:NAME-OR-FOLDER, "
        "torchvision:NAME, hf:NAME-OR-FOLDER, file:PATH"
    )
