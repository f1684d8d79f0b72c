"""Small indexes of the sample: one whose ranker calls every match good, one where none is, one with regions."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from command_line import ODD, SAMPLE
from indexer.index import Index
from reranker.ranker import Ranker


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos of the sample, one twice, one under an odd name, and two files that are no photos."""
    root = tmp_path_factory.mktemp("cli") / "my photos"
    shutil.copytree(SAMPLE / "test_images", root / "crops")
    shutil.copy(SAMPLE / "test_images" / "saucer.jpg", root / "saucer again.jpg")
    shutil.copy(SAMPLE / "train_images" / "cat.jpg", root / ODD)
    (root / "broken.jpg").write_bytes(b"no photo")
    (root / "empty.png").write_bytes(b"")
    return root


def index_with(photos: Path, folder: Path, threshold: float, regions: bool = False) -> Path:
    """Return an index whose ranker calls every match good (0) or none (1.1)."""
    ranker = Ranker.default()
    ranker = replace(ranker, no_match=replace(ranker.no_match, threshold=threshold)).finished()
    Index.build(photos, folder, regions=regions).attach(ranker)
    return folder


@pytest.fixture(scope="session")
def index(photos: Path) -> Path:
    return index_with(photos, photos.parent / "index", 0.0)


@pytest.fixture(scope="session")
def regional(photos: Path) -> Path:
    return index_with(photos, photos.parent / "regional", 0.0, regions=True)


@pytest.fixture(scope="session")
def sceptic(photos: Path) -> Path:
    return index_with(photos, photos.parent / "sceptic", 1.1)
