"""Indexes that earlier versions wrote, one of each format: read as they are, brought up without embedding."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.compaction.compact import compact_index
from indexer.index import Index
from indexer.storage.manifest import FORMAT, READ_FORMATS
from indexer.verification.verify import Verification, VerifySettings, verify_index
from tiny_encoder import TinyEncoder
from tiny_index import build, rows
from tiny_ranker import TinyRanker

GOLDEN = Path(__file__).parents[1] / "golden"
PHOTOS = GOLDEN / "index-photos"
ROWS = {"a.png": 0, "copy of a.png": 0, "b.png": 1, "trip/c.png": 2, "trip/d.png": 3}
RANKER = TinyRanker()


class RefusingPhotos(TinyEncoder):
    """The encoder, without the means to embed photos; a format that keeps no scale of its cosines has that measured."""

    def encode_with_regions(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise AssertionError("photos were embedded")


@pytest.fixture(params=READ_FORMATS)
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Copy the index of a version; its photos were in a folder that is no more."""
    return Path(shutil.copytree(GOLDEN / f"index-format-{request.param}", tmp_path / "index"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PHOTOS, tmp_path / "photos"))


def expected() -> tuple[np.ndarray, np.ndarray]:
    """Return the embeddings (4, 4) float16, and the directions of the regions (4, 2, 4) float32, of the rows."""
    pixels = []
    for name in ("a.png", "b.png", "trip/c.png", "trip/d.png"):
        with Image.open(PHOTOS / name) as photo:
            pixels.append(np.asarray(photo))
    embeddings, regions = TinyEncoder().encode_with_regions(np.stack(pixels))
    return embeddings.astype(np.float16), regions


def verified(folder: Path) -> Verification:
    return verify_index(folder, VerifySettings(lambda _folder: RANKER, None))


def assert_is_right(opened: Index) -> None:
    embeddings, directions = expected()
    assert {path: row for path, row in rows(opened).items() if isinstance(row, int)} == ROWS
    assert opened.embeddings().tobytes() == embeddings.tobytes()
    stored = opened.regions()
    assert stored is not None
    found = stored / np.linalg.norm(stored, axis=-1, keepdims=True)
    np.testing.assert_allclose(found, directions, atol=0.01)
    view, query = opened.view(), np.array([[1, 2, 3, 1]], np.float32)
    sides = RANKER.encode_photos(np.asarray(embeddings, np.float32))
    scores = sides.z @ query[0, :-1] + sides.hubness * query[0, -1]
    assert view.search(query, 4, None)[0][0].tolist() == np.argsort(-scores, kind="stable").tolist()


def test_it_is_read_and_searched_as_it_is(index: Path) -> None:
    with Index.open(index) as opened:
        assert_is_right(opened)
        facts = opened.facts()
    assert (facts["photos"], facts["rows"], facts["skipped"], facts["ranker"]) == (5, 4, 1, RANKER.id)
    result = verified(index)
    assert result.findings == []
    has_checksums = opened.manifest.has_checksums
    assert any("has no checksums" in note for note in result.notes) is not has_checksums


def test_a_build_of_its_moved_photos_brings_it_up_without_embedding(index: Path, photos: Path) -> None:
    with build(photos, index, encoder=RefusingPhotos()) as opened:
        opened.attach(RANKER)
        assert opened.manifest.format == FORMAT
        assert opened.catalogue.roots() == [os.fsencode(photos)]
        assert_is_right(opened)
    assert (verified(index).findings, verified(index).notes) == ([], [])
    (photos / "b.png").unlink()
    build(photos, index, encoder=RefusingPhotos()).close()
    assert compact_index(index, lambda _folder: RANKER).dead_rows == 1
    with Index.open(index) as opened:
        assert opened.embeddings().tobytes() == np.delete(expected()[0], 1, axis=0).tobytes()
    assert verified(index).findings == []
