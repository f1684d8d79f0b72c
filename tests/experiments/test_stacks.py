import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import SAMPLE
from experiments import stacks
from experiments.made_bursts import BurstSettings, made_burst
from unusual_photos.made_stacks import GENTLE, sample_photo


def opened(files: list[bytes]) -> list[Image.Image]:
    return [Image.open(io.BytesIO(data)) for data in files]


def test_a_burst_has_frames_and_copies_that_differ_and_is_the_same_for_the_same_seed() -> None:
    photo = sample_photo("cat")
    files = list(made_burst(photo, np.random.default_rng(0)))
    assert files == list(made_burst(photo, np.random.default_rng(0)))
    assert len(set(files)) == 11
    sizes = [picture.size for picture in opened(files)]
    assert [size == photo.size for size in sizes] == [place not in (3, 7, 9, 10) for place in range(11)]
    assert sizes[9:] == [tuple(round(side * share) for side in photo.size) for share in (0.6, 0.3)]


def test_a_still_burst_is_the_photo_without_its_margin() -> None:
    still = BurstSettings(3, 0, 0, 1, (1, 1), (1, 1), (1, 1), 0, (0, 0), (95, 95), ())
    photo = sample_photo("coffee")
    width, height = photo.size
    box = (0.04 * width, 0.04 * height, 0.96 * width, 0.96 * height)
    expected = np.asarray(photo.resize(photo.size, Image.Resampling.BICUBIC, box), np.float32)
    for frame in opened(list(made_burst(photo, np.random.default_rng(0), still))):
        assert np.abs(np.asarray(frame, np.float32) - expected).mean() < 3


def test_what_is_merged_and_missed_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = [SAMPLE / "train_images" / f"{name}.jpg" for name in ("cat", "coins", "rocket", "bricks")]
    again = tmp_path / "coins again.jpg"
    sample_photo("coins").save(again, quality=70)
    found = stacks.real_stacks([*photos, again], tmp_path / "real", "efficientnet-lite2")
    assert found == [["coins again.jpg", "coins.jpg"]]
    monkeypatch.setattr(stacks, "BURSTS", 2)
    monkeypatch.setattr(stacks, "made_burst", lambda photo, random: made_burst(photo, random, GENTLE))
    assert stacks.missed_photos(photos, tmp_path / "gentle", "efficientnet-lite2") == (0, 0, 20)
    # Of a burst of which nothing is alike, all but one photo are missed.
    strangers = iter([*photos, again])
    monkeypatch.setattr(stacks, "BURSTS", 1)
    monkeypatch.setattr(stacks, "made_burst", lambda *_: (path.read_bytes() for path in strangers))
    assert stacks.missed_photos(photos, tmp_path / "strangers", "efficientnet-lite2") == (3, 0, 5)
