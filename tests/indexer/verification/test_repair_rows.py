"""A repair embeds the photos of damaged rows again, and touches nothing that is right."""

import os
from pathlib import Path

import numpy as np
import pytest

from indexer.building.roots.removals import MOST_REMOVED
from indexer.embedding.pipeline import Decoding
from indexer.index import Index
from indexer.verification import repair_rows as module
from indexer.verification.plan_repair import plan_repair
from indexer.verification.repair_rows import RepairedRows, repair_rows
from indexer.verification.verify import VerifySettings, verify_index
from tiny_encoder import TinyEncoder
from tiny_index import build, grey, refusal, rows, take_checksums_away
from tiny_ranker import TinyRanker

RANKER = TinyRanker()


@pytest.fixture
def index(photos: Path, folder: Path) -> Path:
    """An index of a, b, trip/c and trip/d with regions and a view."""
    index = build(photos, folder, regions=True)
    index.attach(RANKER)
    index.close()
    return folder


def problems(folder: Path) -> list[tuple[str, str]]:
    found = verify_index(folder, VerifySettings(lambda _folder: RANKER, None))
    return [(finding.file, finding.problem) for finding in found.findings]


def plan(folder: Path):
    return plan_repair(folder, verify_index(folder, VerifySettings(lambda _folder: RANKER, None)))


def repair(folder: Path) -> RepairedRows:
    """Repair rows and view as the command does."""
    planned = plan(folder)
    done = repair_rows(folder, planned.rows, TinyEncoder(), Decoding(workers=1), lambda *_: None)
    with Index.open(folder) as opened:
        opened.attach(RANKER, anew=True)
    return done


def damage(path: Path, row: int, row_bytes: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(row * row_bytes)
        file.write(data)


def test_a_damaged_row_is_written_again_and_the_others_stay(index: Path) -> None:
    before = (index / "embeddings-1.f16").read_bytes()
    damage(index / "embeddings-1.f16", 2, 8, bytes(8))
    assert repair(index) == RepairedRows(written=1, right=3)
    assert (index / "embeddings-1.f16").read_bytes() == before
    assert problems(index) == []


def test_damaged_regions_are_written_again(index: Path) -> None:
    before = (index / "regions-1.i8").read_bytes()
    damage(index / "regions-1.i8", 1, 8, b"\x7f" * 8)
    assert repair(index) == RepairedRows(written=1, right=3)
    assert (index / "regions-1.i8").read_bytes() == before
    assert problems(index) == []


@pytest.mark.parametrize("size", [0, 13])
def test_a_cut_file_is_made_whole(index: Path, size: int) -> None:
    before = (index / "embeddings-1.f16").read_bytes()
    os.truncate(index / "embeddings-1.f16", size)
    assert repair(index).written == 4 - size // 8
    assert (index / "embeddings-1.f16").read_bytes() == before
    assert problems(index) == []


def test_a_file_that_is_gone_is_made_again(index: Path) -> None:
    before = (index / "regions-1.i8").read_bytes()
    (index / "regions-1.i8").unlink()
    assert repair(index) == RepairedRows(written=4)
    assert (index / "regions-1.i8").read_bytes() == before
    assert problems(index) == []


def test_a_row_whose_photo_is_not_there_waits_and_is_repaired_when_it_is(index: Path, photos: Path) -> None:
    before = (index / "embeddings-1.f16").read_bytes()
    damage(index / "embeddings-1.f16", 0, 8, bytes(8))
    damage(index / "embeddings-1.f16", 3, 8, bytes(8))
    (photos / "trip").rename(photos.parent / "unplugged")
    assert repair(index) == RepairedRows(written=1, right=1, waiting=2)
    assert ("embeddings-1.f16", "1 row not of unit length") in problems(index)
    (photos.parent / "unplugged").rename(photos / "trip")
    assert repair(index) == RepairedRows(written=1, right=3)
    assert (index / "embeddings-1.f16").read_bytes() == before
    assert problems(index) == []


def test_a_photo_that_has_changed_says_nothing_of_its_old_row(index: Path, photos: Path) -> None:
    damage(index / "embeddings-1.f16", 0, 8, bytes(8))
    grey(photos, a=200)
    assert repair(index) == RepairedRows(right=3, waiting=1)
    # The next build reads the photo again, and its old row is dead then.
    build(photos, index, regions=True).close()
    assert repair(index) == RepairedRows(written=1, right=3)
    assert problems(index) == []


def test_a_dead_row_gets_unit_length_and_never_lives_again(index: Path, photos: Path) -> None:
    content = (photos / "b.png").read_bytes()
    (photos / "b.png").unlink()
    assert MOST_REMOVED > 1
    build(photos, index, regions=True).close()
    damage(index / "embeddings-1.f16", 1, 8, bytes(8))
    assert repair(index) == RepairedRows(written=1, right=3)
    assert problems(index) == []
    (photos / "b.png").write_bytes(content)
    assert rows(build(photos, index, regions=True))["b.png"] == 4


def test_a_repair_that_is_killed_goes_on(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (index / "embeddings-1.f16").read_bytes()
    damage(index / "embeddings-1.f16", 0, 8, bytes(32))

    class Killed(BaseException):
        pass

    def dies(*_: object) -> bytes:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, "digest_of_bytes", dies)
        with pytest.raises(Killed):
            repair(index)
    # The rows were written, and have the checksum that they had before.
    assert (index / "embeddings-1.f16").read_bytes() == before
    assert problems(index) == []


def test_a_damaged_view_is_built_again_although_it_is_of_the_same_ranker(index: Path) -> None:
    (view,) = (index / "views").iterdir()
    damage(view / "hidden.f16", 0, 1, b"\x99")
    planned = plan(index)
    assert (planned.rows, planned.view, list(planned.lines())) == ((), True, ["to do: build the view again"])
    repair(index)
    assert problems(index) == []


def test_a_whole_index_needs_nothing(index: Path) -> None:
    planned = plan(index)
    assert (planned.has_work, list(planned.lines())) == (False, ["nothing to repair"])


def test_a_manifest_without_its_copy_is_refused_with_what_to_do(index: Path) -> None:
    os.truncate(index / "manifest.json", 50)
    (index / "recovery.json").unlink()
    line = refusal(lambda: plan(index))
    assert line.startswith(f"{index / 'manifest.json'} cannot be repaired (")
    assert line.endswith("; build another index: photoseek build PHOTOS -i FOLDER")


def test_files_that_may_not_be_read_are_not_damaged_and_not_repaired(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def withheld(path: Path, *_: object) -> bytes:
        raise PermissionError(13, os.strerror(13), str(path))

    monkeypatch.setattr("indexer.verification.stored_rows.digest_of_bytes", withheld)
    line = f"{index}/embeddings-1.f16: cannot be read: Permission denied; repair it as a user who may read it"
    assert refusal(lambda: plan(index)) == line


def test_a_catalogue_with_right_values_is_sealed_again(index: Path) -> None:
    (index / "catalogue.sqlite.seal").write_text("x")
    planned = plan(index)
    assert list(planned.lines()) == ["to do: seal the catalogue again, whose values are right"]
    assert problems(index) != []
    planned.renew_seal()
    assert problems(index) == []
    assert len((index / "catalogue.sqlite.seal").read_text().split()) == 3


def test_an_index_without_checksums_is_not_repaired_by_guess(index: Path) -> None:
    take_checksums_away(index)
    damage(index / "embeddings-1.f16", 2, 8, bytes(8))
    assert "has no checksums by which it could be repaired" in refusal(lambda: plan(index))


def test_the_last_bit_of_a_number_is_mended_where_the_checksum_tells_which_is_right(index: Path) -> None:
    before = (index / "embeddings-1.f16").read_bytes()
    damage(index / "embeddings-1.f16", 1, 8, bytes([before[8] ^ 1]))
    assert repair(index) == RepairedRows(written=1, right=3)
    assert (index / "embeddings-1.f16").read_bytes() == before


def test_rows_that_another_processor_computes_a_little_otherwise_are_right(index: Path) -> None:
    class Otherwise(TinyEncoder):
        def encode_with_regions(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            vectors, regions = TinyEncoder.encode_with_regions(self, images)
            vectors[:, 0] *= 1.002
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), regions

    before = (index / "embeddings-1.f16").read_bytes()
    damage(index / "embeddings-1.f16", 3, 8, bytes(8))
    done = repair_rows(index, plan(index).rows, Otherwise(), Decoding(workers=1), lambda *_: None)
    assert done == RepairedRows(written=1, right=3)
    after = (index / "embeddings-1.f16").read_bytes()
    assert (after[:24], after[24:] == before[24:]) == (before[:24], False)
    assert [problem for problem in problems(index) if problem[0] == "embeddings-1.f16"] == []
