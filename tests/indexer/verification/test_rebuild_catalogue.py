"""A damaged or lost catalogue is made anew from what lies beside it; nothing is embedded, and kills are survived."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from damaged_indexes.repairs import LOST, PHOTOS, RANKER, is_whole, lose, plan, repair, vectors, zero
from indexer.building.unfinished_build import missing_note
from indexer.callbacks import BuildCallbacks
from indexer.embedding.pipeline import Decoding
from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.storage import manifest
from indexer.verification.find_photos import find_photos
from indexer.verification.rebuild_catalogue import RebuiltCatalogue, rebuild_catalogue
from tiny_encoder import Refusing, TinyEncoder
from tiny_index import build, drop_index_entries, grey, refusal, rows


@pytest.fixture(params=[False, True], ids=["without regions", "with regions"])
def index(photos: Path, folder: Path, request: pytest.FixtureRequest) -> Path:
    """An index of a, b, trip/c and trip/d with a view and a policy."""
    with build(photos, folder, regions=request.param) as opened:
        opened.attach(RANKER)
        opened.set_policy("minors")
    return folder


def cut(folder: Path) -> None:
    os.truncate(folder / "catalogue.sqlite", 4096 * 3)


@pytest.mark.parametrize("harm", [lose, zero, cut])
def test_a_lost_catalogue_is_made_anew_and_nothing_is_embedded(index: Path, photos: Path, harm) -> None:
    before = vectors(index), (index / "digests-1.bin").read_bytes()
    harm(index)
    assert repair(index) == RebuiltCatalogue(rows=4, damaged=0, lost=LOST)
    assert (vectors(index), (index / "digests-1.bin").read_bytes()) == before
    with Index.open(index) as opened:
        assert rows(opened) == PHOTOS
        assert (opened.policy, opened.facts()["roots"], opened.facts()["dead_rows"]) == ("minors", [str(photos)], 0)
        assert opened.facts()["ranker"] == RANKER.id
    assert is_whole(index)
    assert not list(index.glob("*damaged*")) + list(index.glob(".*"))
    with build(photos, index, encoder=Refusing()) as opened:
        assert rows(opened) == PHOTOS


def change(statement: str):
    def harm(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "catalogue.sqlite")) as connection:
            connection.execute(statement)
            connection.commit()

    return harm


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE photos SET row = 2 WHERE row = 1",
        "UPDATE embeddings SET width = 9 WHERE row = 1",
        "UPDATE checksums SET digest = x'00'",
        "UPDATE roots SET path = CAST('/elsewhere' AS BLOB)",
        "UPDATE settings SET value = 'none' WHERE key = 'policy'",
        "DELETE FROM embeddings WHERE row = 3",
        "DELETE FROM metadata",
        "UPDATE table_sums SET total = x'00'",
        "UPDATE views SET rows = 2",
    ],
)
def test_a_table_that_is_changed_is_made_anew_and_the_whole_ones_are_kept(index: Path, statement: str) -> None:
    with Index.open(index) as opened:
        before = opened.history(), opened.catalogue.metadata.summary()
    change(statement)(index)
    made = repair(index)
    assert made is not None
    assert made.lost == (LOST[:1] if "table_sums" in statement else ())
    with Index.open(index) as opened:
        assert (rows(opened), opened.policy) == (PHOTOS, "minors")
        assert opened.catalogue.metadata.summary() == before[1]
        if not made.lost:
            assert opened.history()[: len(before[0])] == before[0]
    assert is_whole(index)


def test_a_damaged_index_of_a_table_loses_nothing_and_needs_no_walk(index: Path, photos: Path) -> None:
    (view,) = (index / "views").iterdir()
    with Index.open(index) as opened:
        before = opened.history()
    drop_index_entries(index)
    photos.rename(photos.parent / "unplugged")
    for path in (index / "digests-1.bin", index / "recovery.json"):
        path.unlink()  # an older version kept none
    assert repair(index) == RebuiltCatalogue(rows=4, damaged=0, lost=())
    with Index.open(index) as opened:
        assert (rows(opened), opened.history()) == (PHOTOS, before)
    assert [path.name for path in (index / "views").iterdir()] == [view.name]


def test_rows_that_do_not_fit_their_records_are_embedded_again(index: Path) -> None:
    lose(index)
    with open(index / "embeddings-1.f16", "r+b") as file:
        file.seek(8)
        file.write(bytes(8))
    assert refusal_of_embedding(index)
    made = repair(index, TinyEncoder())
    assert made is None  # the catalogue was in its place already
    with Index.open(index) as opened:
        assert rows(opened) == PHOTOS | {"b.png": 4}
        assert opened.facts()["dead_rows"] == 1
        assert np.allclose(
            np.asarray(opened.embeddings()[4], np.float32), TinyEncoder().encode(grey_photo(51))[0], atol=1e-3
        )
    assert is_whole(index)


def refusal_of_embedding(folder: Path) -> bool:
    try:
        repair(folder)
    except AssertionError as error:
        return str(error) == "something was embedded"
    return False


def grey_photo(value: int) -> np.ndarray:
    return np.full((1, 8, 8, 3), value, np.uint8)


def test_a_record_that_is_damaged_costs_its_photo_only(index: Path) -> None:
    lose(index)
    with open(index / "digests-1.bin", "r+b") as file:
        file.seek(2 * 40)
        file.write(b"\xff\xff")
    made = repair(index, TinyEncoder())
    assert made is not None
    assert made.damaged == 1
    with Index.open(index) as opened:
        assert rows(opened) == PHOTOS | {"trip/c.png": 4}
    assert is_whole(index)


def test_records_of_rows_that_were_never_committed_are_rows_and_copies_of_a_digest_are_not(
    index: Path, photos: Path
) -> None:
    lose(index)
    data = (index / "digests-1.bin").read_bytes()
    (index / "digests-1.bin").write_bytes(data + data[:40])
    for path in index.glob("*-1.[fi]*"):
        path.write_bytes(path.read_bytes() + path.read_bytes()[:8])
    made = repair(index, TinyEncoder())
    assert made is not None
    assert (made.rows, made.damaged) == (5, 1)
    with Index.open(index) as opened:
        assert rows(opened) == PHOTOS
    assert is_whole(index)


def test_folders_that_are_not_there_wait_and_are_found_by_a_later_build(
    index: Path, photos: Path, tmp_path: Path
) -> None:
    grey(tmp_path / "more", e=7)
    build(tmp_path / "more", index).close()
    photos.rename(tmp_path / "unplugged")
    lose(index)
    planned = plan(index)
    rebuild_catalogue(index, planned.described, lambda _folder: RANKER)
    with Index.open(index) as opened:
        note = "0 of about 5 photos are indexed so far; run the build again"
        assert missing_note(index, opened.catalogue) == note
    away = find_photos(index, planned.described, Refusing(), Decoding(workers=1), BuildCallbacks())
    assert away == [str(photos)]
    repair(index)
    with Index.open(index) as opened:
        assert (rows(opened), opened.facts()["dead_rows"]) == ({"e.png": 4}, 4)
        assert opened.facts()["roots"] == [str(photos), str(tmp_path / "more")]
    (tmp_path / "unplugged").rename(photos)
    with build(photos, index, encoder=Refusing()) as opened:
        assert rows(opened) == PHOTOS | {"e.png": 4}


def test_a_lost_manifest_is_written_again_alone_and_with_the_catalogue(index: Path) -> None:
    before = (index / "manifest.json").read_bytes()
    line = f"{index}/manifest.json is missing: the index is damaged; run: photoseek repair -i {index}"
    for harm in (lambda: None, lambda: lose(index)):
        (index / "manifest.json").unlink()
        harm()
        assert refusal(lambda: Index.open(index)) == line
        assert refusal(lambda: build(index.parent / "photos", index)) == line
        repair(index)
        assert (index / "manifest.json").read_bytes() == before
        assert is_whole(index)


def test_a_damaged_recovery_card_is_written_again(index: Path) -> None:
    before = (index / "recovery.json").read_text()
    (index / "recovery.json").write_text(before.replace("minors", "miners"))
    assert not is_whole(index)
    repair(index)
    assert (index / "recovery.json").read_text() == before
    assert is_whole(index)


@pytest.mark.parametrize("at", [0, 39, 40, 100])
def test_one_bit_in_a_record_is_noticed_and_mended(index: Path, at: int) -> None:
    before = (index / "digests-1.bin").read_bytes()
    (index / "digests-1.bin").write_bytes(before[:at] + bytes([before[at] ^ 4]) + before[at + 1 :])
    assert not is_whole(index)
    planned = plan(index)
    assert list(planned.lines()) == ["to do: write digests-1.bin and recovery.json again from the catalogue"]
    repair(index)
    assert (index / "digests-1.bin").read_bytes() == before


def test_without_catalogue_and_records_the_repair_is_refused_and_changes_nothing(index: Path) -> None:
    zero(index)
    (index / "digests-1.bin").unlink()
    before = {path: path.read_bytes() for path in index.rglob("*") if path.is_file() and path.name != "writer.lock"}
    line = refusal(lambda: repair(index))
    assert line.startswith(f"{index}/catalogue.sqlite cannot be made anew: its table of rows is damaged, and digests-1")
    assert line.endswith("; build another index: photoseek build PHOTOS -i FOLDER")
    assert before == {path: path.read_bytes() for path in before}
    assert {path for path in index.rglob("*") if path.is_file()} - {index / "writer.lock"} == set(before)


def test_a_catalogue_that_may_not_be_read_is_no_damaged_one(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def withheld(path: Path) -> None:
        raise PermissionError(13, os.strerror(13), str(path))

    monkeypatch.setattr("indexer.storage.tables.database.SharedDescriptor", withheld)
    with pytest.raises(PhotoseekError) as refused:
        plan(index)
    assert str(refused.value) == f"index {index}: catalogue.sqlite cannot be read: Permission denied"
    assert manifest.read(index).catalogue_file == "catalogue.sqlite"
