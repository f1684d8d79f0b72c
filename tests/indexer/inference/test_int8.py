"""The trial of int8 in a separate process: whatever its outcome, a build continues and says why."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from indexer.callbacks import BuildCallbacks
from indexer.child_process import python_command
from indexer.embedding.pipeline import Decoding
from indexer.encoders import ImageEncoder
from indexer.encoders.image_encoder import IMAGE_BATCH
from indexer.encoders.torch_encoder import encoder_of_module
from indexer.index import Index
from indexer.inference import int8
from indexer.inference.openvino_runtime import openvino_core
from indexer.photos.square_transform import SquareTransform

SIZE, PHOTOS = 32, 32


class Small(torch.nn.Module):
    """A convolution and a mean; unit rows."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.ReLU())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return normalize(self.net(images.permute(0, 3, 1, 2).float() / 127.5 - 1).mean(dim=(2, 3)), dim=1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def encoder() -> ImageEncoder:
    return encoder_of_module("small", "small@1", lambda: (Small(), SquareTransform(SIZE)), "int8", "cpu")


@pytest.fixture
def pixels() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (PHOTOS, 4, 4, 3), np.uint8)
    return coarse.repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2)


@pytest.fixture
def photos(tmp_path: Path, pixels: np.ndarray) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, photo in enumerate(pixels):
        Image.fromarray(photo).save(folder / f"{number:02}.png")
    return folder


KILLED = "import os, signal; os.kill(os.getpid(), signal.{})"


@pytest.mark.parametrize(
    ("start", "reason", "for_good"),
    [
        (KILLED.format("SIGSEGV"), "the trial of int8 crashed (SIGSEGV)", True),
        (KILLED.format("SIGILL"), "the trial of int8 crashed (SIGILL)", True),
        # As the system does where memory runs out.
        (KILLED.format("SIGKILL"), "the trial of int8 crashed (SIGKILL)", False),
        ("raise RuntimeError('no such layer')", "int8 cannot be tried (RuntimeError: no such layer)", False),
        ("import time; time.sleep(60)", "the trial of int8 took over 0.5 s and was ended", False),
    ],
)
def test_a_trial_that_dies_is_a_refusal_in_one_line_and_the_build_goes_on(
    tmp_path: Path,
    photos: Path,
    encoder: ImageEncoder,
    monkeypatch: pytest.MonkeyPatch,
    start: str,
    reason: str,
    for_good: bool,
) -> None:
    monkeypatch.setattr(int8, "START", start)
    if "sleep" in start:
        monkeypatch.setattr(int8, "DEADLINE", 0.5)
    notes: list[str] = []
    one = Decoding(workers=1)
    index = Index.build(
        photos, tmp_path / "index", encoder=encoder, decoding=one, callbacks=BuildCallbacks(on_note=notes.append)
    )
    used = index.facts()["precision"]
    assert (index.rows, notes) == (PHOTOS, [f"{reason}: {used} is used"])
    assert used in ("bf16", "f32")
    assert not list(index.folder.glob("*int8*"))
    # What the network itself dies of is not tried again unasked.
    verdict = encoder.folder / int8.VERDICT
    assert verdict.exists() is for_good
    if for_good:
        assert json.loads(verdict.read_text()) == {"refused": reason}
        never = int8.try_int8(
            encoder.folder, tmp_path, "auto", encoder.dim, IMAGE_BATCH, lambda count: pytest.fail("tried")
        )
        assert never == (False, "")


def test_a_trial_leaves_a_network_of_one_batch_and_what_it_measured(
    tmp_path: Path, encoder: ImageEncoder, pixels: np.ndarray
) -> None:
    found = int8.run_trial(encoder.folder, tmp_path, encoder.dim, IMAGE_BATCH, pixels)
    # 128 of 224 photos calibrate, so 18 of 32; the others are compared.
    assert (found.agreement.rows, found.agreement.holds) == (14, True)
    assert found.speedup > 0
    assert int8.Trial.from_json(json.loads((tmp_path / int8.VERDICT).read_text())) == found
    model = openvino_core().read_model(tmp_path / "model.xml")
    assert list(model.inputs[0].get_partial_shape().to_shape()) == [IMAGE_BATCH, SIZE, SIZE, 3]
    assert "FakeQuantize" in {operation.get_type_name() for operation in model.get_ops()}
    assert not (tmp_path / int8.PIXELS).exists()


def test_a_trial_ends_with_the_process_that_started_it(
    tmp_path: Path, encoder: ImageEncoder, pixels: np.ndarray
) -> None:
    np.save(tmp_path / int8.PIXELS, pixels)
    of = [str(encoder.folder), str(tmp_path), str(encoder.dim), str(IMAGE_BATCH)]
    command = python_command(int8.START, *of)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    assert not (tmp_path / int8.VERDICT).exists()
