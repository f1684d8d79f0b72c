"""The short form of the soak with damaged bytes, and that it can fail."""

from pathlib import Path

import pytest

from experiments.soak import damaged_bytes
from experiments.soak.damaged_bytes import damageable_files, run_damages
from indexer.encoders import ImageEncoder, load_image_encoder
from indexer.index import DEFAULT_ENCODER, Index
from indexer.verification.findings import Verification
from photoseek.attach import attach_ranker
from unusual_photos.made_stacks import write_single


@pytest.fixture(scope="module")
def encoder() -> ImageEncoder:
    return load_image_encoder(DEFAULT_ENCODER)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("soak") / "photos"
    write_single(folder, "cat", "coins", "rocket")
    return folder


@pytest.fixture(scope="module")
def index(photos: Path, encoder: ImageEncoder) -> Path:
    made = Index.build(photos, photos.parent / "index", encoder=encoder)
    attach_ranker(made)
    made.close()
    return photos.parent / "index"


def test_every_damage_is_noticed_and_no_command_ends_in_a_traceback(
    index: Path, photos: Path, encoder: ImageEncoder
) -> None:
    progress: list[tuple[int, int]] = []
    outcome = run_damages(index, photos, encoder, 16, 7, lambda done, count: progress.append((done, count)))
    assert outcome.faults == []
    assert outcome.counts["noticed"] == 16
    assert (outcome.counts["unnoticed"], outcome.counts["tracebacks"]) == (0, 0)
    assert progress == [(i, 16) for i in range(1, 17)]


def test_every_file_of_an_index_is_among_those_that_are_damaged(index: Path) -> None:
    names = {path.name for path in damageable_files(index)}
    assert {"manifest.json", "catalogue.sqlite", "embeddings-1.f16", "z.f16", "candidates.faiss", "ranker.json"} < names
    assert not {name for name in names if name.endswith(("-wal", "-shm", ".lock"))}


def test_what_is_not_noticed_and_a_traceback_are_faults(
    index: Path, photos: Path, encoder: ImageEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_index: Path) -> object:
        raise KeyError("rows")

    monkeypatch.setattr(damaged_bytes, "verify_index", lambda *_: Verification())
    monkeypatch.setattr(damaged_bytes, "_facts", breaks)
    outcome = run_damages(index, photos, encoder, 1, 0, lambda *_: None)
    assert (outcome.counts["unnoticed"], outcome.counts["tracebacks"]) == (1, 1)
    assert [fault.partition(":")[0] for fault in outcome.faults if "other hits" not in fault] == ["unnoticed", "info"]
