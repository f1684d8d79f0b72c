"""The precision of an index: int8 calibrated on its photos, refused if it changes the embeddings, kept."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from indexer.callbacks import BuildCallbacks
from indexer.embedding import index_precision
from indexer.embedding.pipeline import Decoding
from indexer.encoders import ImageEncoder
from indexer.encoders.torch_encoder import encoder_of_module
from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.inference import int8, precision
from indexer.photos.square_transform import SquareTransform

SIZE = 32
PHOTOS = 48


class Small(torch.nn.Module):
    """Two convolutions and a mean; unit rows. Random weights: of precisions they tell as much as trained ones."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 3), torch.nn.ReLU()
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return normalize(self.net(images.permute(0, 3, 1, 2).float() / 127.5 - 1).mean(dim=(2, 3)), dim=1)


def small(asked: str = "int8") -> ImageEncoder:
    return encoder_of_module("small", "small@1", lambda: (Small(), SquareTransform(SIZE)), asked, "cpu")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(PHOTOS):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
        coarse.resize((SIZE, SIZE)).save(folder / f"{number:02}.png")
    return folder


def cosines(a: Index, b: Index) -> np.ndarray:
    return (a.embeddings().astype(np.float64) * b.embeddings()).sum(axis=1)


def test_an_int8_index_is_near_the_exact_one_and_later_photos_are_computed_alike(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    synced: list[Path] = []
    monkeypatch.setattr(index_precision, "fsync", synced.append)
    one = Decoding(workers=1)
    index = Index.build(
        photos, tmp_path / "i8", encoder=small(), decoding=one, callbacks=BuildCallbacks(on_note=notes.append)
    )
    assert (index.facts()["precision"], notes) == ("int8", [])
    # All of the network, then its name, are on the disk before the catalogue names it.
    network = index.folder / index_precision.INT8_FOLDER
    assert {path.name for path in synced} >= {path.name for path in network.iterdir()}
    assert synced[-1] == index.folder
    record = json.loads((network / int8.VERDICT).read_text())
    assert record["cosine_mean"] >= 0.99
    exact = Index.build(photos, tmp_path / "f32", encoder=small("f32"), decoding=one)
    assert exact.facts()["precision"] == "f32"
    near = cosines(index, exact)
    assert near.min() > 0.97
    assert not np.array_equal(index.embeddings(), exact.embeddings())
    # A copy under another name has the same bytes; one pixel less and it is a photo of its own.
    Image.open(photos / "00.png").crop((0, 0, SIZE - 1, SIZE)).resize((SIZE, SIZE)).save(photos / "99.png")
    again = Index.build(photos, tmp_path / "i8", encoder=small("auto"), decoding=one)
    assert (again.facts()["precision"], again.rows) == ("int8", PHOTOS + 1)


def test_an_index_refuses_another_precision_than_its_own(tmp_path: Path, photos: Path) -> None:
    Index.build(photos, tmp_path / "f32", encoder=small("f32"), decoding=Decoding(workers=1))
    with pytest.raises(PhotoseekError, match=r"was computed in f32, not in int8; give another folder with -i"):
        Index.build(photos, tmp_path / "f32", encoder=small("int8"), decoding=Decoding(workers=1))


def test_a_precision_that_moves_the_embeddings_is_refused_and_says_so(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "LEAST_MEAN", 1.01)
    notes: list[str] = []
    one = Decoding(workers=1)
    index = Index.build(
        photos, tmp_path / "i8", encoder=small(), decoding=one, callbacks=BuildCallbacks(on_note=notes.append)
    )
    used = index.facts()["precision"]
    assert used in ("bf16", "f32")
    [note] = notes
    assert note.startswith("int8 moves the embeddings too far (cosine to float32 0.99")
    assert note.endswith(f": {used} is used")
    assert not (index.folder / index_precision.INT8_FOLDER).exists()
    assert not list(index.folder.glob(".int8-*"))


def test_int8_takes_photos_to_calibrate_on(tmp_path: Path, photos: Path) -> None:
    for number in range(15, PHOTOS):
        (photos / f"{number:02}.png").unlink()
    with pytest.raises(PhotoseekError, match="is calibrated on photos, and takes 16 or more"):
        Index.build(photos, tmp_path / "i8", encoder=small(), decoding=Decoding(workers=1))


def test_an_encoder_that_is_asked_for_int8_gives_every_index_a_network_of_its_own(tmp_path: Path, photos: Path) -> None:
    encoder = small()
    for name in ("one", "other"):
        index = Index.build(photos, tmp_path / name, encoder=encoder, decoding=Decoding(workers=1))
        assert (index.facts()["precision"], encoder.asked_precision) == ("int8", "int8")
        assert encoder.int8_folder == tmp_path / name / index_precision.INT8_FOLDER


def test_an_encoder_with_one_indexs_int8_network_is_free_for_another(tmp_path: Path, photos: Path) -> None:
    Index.build(photos, tmp_path / "i8", encoder=small(), decoding=Decoding(workers=1))
    encoder = small("auto")
    Index.build(photos, tmp_path / "i8", encoder=encoder, decoding=Decoding(workers=1))
    assert (encoder.precision, encoder.asked_precision) == ("int8", "auto")
    other = Index.build(photos, tmp_path / "other", encoder=encoder, decoding=Decoding(workers=1))
    assert other.facts()["precision"] in ("bf16", "f32")
    exact = Index.build(photos, tmp_path / "f32", encoder=small("f32"), decoding=Decoding(workers=1))
    assert cosines(other, exact).min() > 0.995


@pytest.mark.parametrize(
    ("angles", "holds"),
    [([0.0] * 100, True), ([0.3] + [0.0] * 99, True), ([0.3] * 3 + [0.0] * 97, False), ([0.15] * 100, False)],
)
def test_agreement_bounds_the_mean_and_the_first_percentile(angles: list[float], holds: bool) -> None:
    exact = np.tile(np.array([2.0, 0.0], np.float32), (100, 1))
    turned = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = precision.Agreement.between(exact, turned)
    assert found.cosine_mean == pytest.approx(np.cos(angles).mean(), abs=1e-6)
    assert found.holds is holds
