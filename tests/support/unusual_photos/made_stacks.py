"""Write folders in which photos belong together: bursts of the sample's photos, and other photos of the sample."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from command_line import SAMPLE
from experiments.made_bursts import BurstSettings, made_burst
from indexer.embedding.pipeline import Decoding
from indexer.index import Index
from indexer.photos.rules.patterns import PhotoFolders
from indexer.photos.square_transform import SquareTransform
from tiny_encoder import TinyEncoder

# Bursts that no rule could miss, so that a test sees what is done with a stack and not where its limits are.
GENTLE = BurstSettings(shift=0.008, turn=0.4, zoom=1.01, subject_shift=(0.02, 0.01), copies=(1.0, 0.5))


@dataclass(frozen=True, slots=True)
class SquareEncoder(TinyEncoder):
    """The tiny encoder with a square that is large enough to see what photos show."""

    transform: SquareTransform = field(default_factory=lambda: SquareTransform(96))


def sample_photo(name: str) -> Image.Image:
    """Open a photo of the sample."""
    with Image.open(SAMPLE / "train_images" / f"{name}.jpg") as photo:
        return photo.convert("RGB")


def write_burst(root: Path, name: str, settings: BurstSettings = GENTLE) -> list[str]:
    """Write a burst of a photo of the sample, its copies last, and return the names of the files."""
    root.mkdir(parents=True, exist_ok=True)
    names = []
    for place, data in enumerate(made_burst(sample_photo(name), np.random.default_rng(0), settings)):
        names.append(f"{name}-{place}.jpg")
        (root / names[-1]).write_bytes(data)
    return names


def write_single(root: Path, *names: str) -> list[str]:
    """Write photos of the sample as they are, and return the names of the files."""
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        (root / f"{name}.jpg").write_bytes((SAMPLE / "train_images" / f"{name}.jpg").read_bytes())
    return [f"{name}.jpg" for name in names]


def build(root: Path | PhotoFolders, folder: Path) -> Index:
    """Build an index with the encoder of these tests."""
    return Index.build(root, folder, encoder=SquareEncoder(), decoding=Decoding(workers=2))


def groups(index: Index) -> list[set[str]]:
    """Return the names of the photos of each group."""
    return [{Path(photo.path).name for photo in group} for group in index.groups()]
