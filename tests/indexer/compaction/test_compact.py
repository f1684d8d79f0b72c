"""A compaction takes dead rows out of every file, and leaves an index of the old rows or of the new, never of both."""

import os
import shutil
import sqlite3
from collections import namedtuple
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from indexer.compaction import compact as module
from indexer.compaction.compact import compact_index
from indexer.compaction.plan import CompactionPlan
from indexer.index import Index
from indexer.photos.rules.patterns import Patterns, PhotoFolders
from indexer.storage import manifest
from indexer.storage.manifest import Manifest
from indexer.verification.plan_repair import plan_repair
from indexer.verification.rebuild_catalogue import finish_rebuild, rebuild_catalogue
from indexer.verification.verify import VerifySettings, verify_index
from tiny_encoder import Refusing
from tiny_index import build, grey, refusal, rows, take_checksums_away
from tiny_ranker import TinyRanker

RANKER = TinyRanker()
NAMES = "abcdefgh"
# Tables that a compacted index has as an index has that was built of the same photos, but for the times in them.
SAME_TABLES = ("embeddings", "photos", "metadata", "perceptual_hashes", "links", "stacks", "left_out", "checksums")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    grey(root, **{name: 30 * place for place, name in enumerate(NAMES)})
    shutil.copy(root / "h.png", root / "copy of h.png")
    (root / "broken.png").write_bytes(b"no picture")
    return root


@pytest.fixture
def index(photos: Path, folder: Path) -> Path:
    """An index with regions and a view, whose rows of a, c and d are dead."""
    build(photos, folder, regions=True).attach(RANKER)
    for name in "acd":
        (photos / f"{name}.png").unlink()
    build(photos, folder).attach(RANKER)
    return folder


def compacted(folder: Path) -> CompactionPlan:
    return compact_index(folder, lambda _folder: RANKER)


def files(folder: Path) -> dict[str, bytes]:
    """Return the files of an index but those that locks come and go with."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("writer.") and not path.name.endswith(("-shm", "-wal", ".seal"))
    }


def problems(folder: Path) -> list[str]:
    return [f.problem for f in verify_index(folder, VerifySettings(lambda _folder: RANKER, None)).findings]


def tables(folder: Path) -> dict[str, list[tuple]]:
    described = manifest.read(folder)
    with closing(sqlite3.connect(folder / described.catalogue_file)) as connection:
        found = {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in SAME_TABLES}
    in_view = [entry for entry in found.pop("checksums") if not entry[0].startswith("views/")]
    return found | {"checksums": [(name.split("-")[0], *rest) for name, *rest in in_view]}


def vectors(opened: Index) -> dict[str, bytes]:
    """Return the embedding and the regions of every photo, by path."""
    regions = opened.regions()
    return {
        path: opened.embeddings()[row].tobytes() + (b"" if regions is None else regions[row].tobytes())
        for path, row in rows(opened).items()
        if isinstance(row, int)
    }


def test_the_index_is_that_of_a_new_build_of_the_same_photos(photos: Path, index: Path, tmp_path: Path) -> None:
    before = vectors(Index.open(index))
    done = compacted(index)
    assert (done.rows, done.dead_rows, done.left_out) == (8, 3, 0)
    build(photos, tmp_path / "fresh", regions=True).attach(RANKER)
    opened = Index.open(index)
    assert vectors(opened) == before
    found = rows(opened)
    assert isinstance(found.pop("broken.png"), str)
    assert found == {"b.png": 0, "copy of h.png": 1, "e.png": 2, "f.png": 3, "g.png": 4, "h.png": 1}
    assert tables(index) == tables(tmp_path / "fresh")
    fresh = Index.open(tmp_path / "fresh")
    assert opened.embeddings().tobytes() == fresh.embeddings().tobytes()
    query = np.ones((1, 4), np.float32)
    assert [part.tolist() for part in opened.view().search(query, 9, None)] == [
        part.tolist() for part in fresh.view().search(query, 9, None)
    ]
    assert problems(index) == []


def test_the_plan_says_what_room_is_needed_and_given_back(index: Path) -> None:
    catalogue = (index / "catalogue.sqlite").stat().st_size
    view = Index.open(index).view().folder
    in_view = sum(path.stat().st_size for path in view.iterdir() if path.is_file())
    ranker = (view / "ranker" / "ranker.json").stat().st_size
    of_rows = 8 * (8 + 8 + 40) + in_view
    plan = compacted(index)
    assert plan.needed_bytes == int(5 / 8 * (of_rows + 2 * catalogue)) + ranker
    assert plan.freed_bytes == int(3 / 8 * (of_rows + catalogue))
    assert list(plan.lines()) == [
        "to do: write 5 of 8 rows anew, without 3 that no photo has; "
        f"needs {plan.needed_bytes / 1e6:.1f} MB beside the index, and gives {plan.freed_bytes / 1e6:.1f} MB back"
    ]


def test_it_is_proposed_from_a_quarter_of_dead_rows_on() -> None:
    assert [CompactionPlan(8, dead, 0, 0, 0).is_worthwhile for dead in (0, 1, 2, 8)] == [False, False, True, True]
    assert not CompactionPlan(0, 0, 0, 0, 0).is_worthwhile
    # Photos that are left out may come back, and are embedded again without their rows.
    assert not CompactionPlan(8, 3, 2, 0, 0).is_worthwhile


def test_no_photo_is_embedded_again_and_later_ones_are_appended(photos: Path, index: Path) -> None:
    compacted(index)
    build(photos, index, encoder=Refusing())
    grey(photos, new=7)
    opened = build(photos, index)
    assert (rows(opened)["new.png"], opened.rows) == (5, 6)
    opened.attach(RANKER)
    assert problems(index) == []
    (photos / "new.png").unlink()
    build(photos, index)
    assert compacted(index).dead_rows == 1
    assert manifest.read(index).generation == 3
    assert sorted(name for name in os.listdir(index) if "-" in name) == [
        "catalogue-3.sqlite", "catalogue-3.sqlite.seal", "digests-3.bin", "embeddings-3.f16", "regions-3.i8",
    ]  # fmt: skip
    assert problems(index) == []


def test_an_index_without_dead_rows_stays_as_it_is(photos: Path, folder: Path) -> None:
    build(photos, folder).attach(RANKER)
    before = files(folder)
    plan = compacted(folder)
    assert list(plan.lines()) == ["nothing to compact: every row has a photo"]
    assert files(folder) == before


def test_an_index_without_any_photo_left_is_emptied(photos: Path, index: Path) -> None:
    Index.open(index).forget(photos)
    assert compacted(index).dead_rows == 8
    opened = Index.open(index)
    assert (opened.rows, opened.catalogue.roots(), os.listdir(index / "views")) == (0, [], [])
    assert opened.embeddings().shape == (0, 4)
    assert problems(index) == []
    assert build(photos, index).rows == 5


def test_readers_keep_the_old_rows_until_they_are_opened_again(photos: Path, index: Path) -> None:
    reader = Index.open(index)
    view, by_row = reader.view(), reader.catalogue.photos_of_rows(range(8))
    old, before = reader.embeddings().tobytes(), rows(reader)
    late = Index.open(index)
    assert not reader.changed
    compacted(index)
    query = np.ones((1, 4), np.float32)
    assert sorted(view.search(query, 9, None)[0][0].tolist()) == list(range(8))
    assert (reader.embeddings().tobytes(), rows(reader)) == (old, before)
    regions = reader.regions()
    assert regions is not None
    assert regions.shape == (8, 2, 4)
    assert reader.catalogue.photos_of_rows(range(8)) == by_row
    assert reader.changed
    # What was opened and not yet asked for a view takes the new one, with its rows.
    assert (late.view().rows, late.rows, len(late.embeddings()), rows(late)["h.png"]) == (5, 5, 5, 1)
    assert not late.changed
    reader.refresh()
    assert (rows(reader), reader.rows, reader.changed) == (rows(late), 5, False)


def test_a_reader_that_was_closed_says_that_the_index_was_compacted(index: Path) -> None:
    reader = Index.open(index)
    reader.close()
    compacted(index)
    line = f"index {index} has no catalogue.sqlite any more, as when it was compacted since; open it again"
    assert refusal(lambda: reader.catalogue.row_count()) == line
    assert reader.changed
    reader.refresh()
    assert reader.rows == 5


@pytest.mark.parametrize("stage", ["rows", "catalogue", "ranker's view"])
def test_an_interruption_at_any_stage_leaves_the_index_as_it_was(index: Path, stage: str) -> None:
    before = files(index)

    def interrupt(now: str, _done: int, _total: int) -> None:
        if now == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compact_index(index, lambda _folder: RANKER, on_stage=interrupt)
    assert files(index) == before
    assert problems(index) == []


def test_what_a_killed_compaction_left_goes_with_the_next_build(photos: Path, index: Path) -> None:
    for name in ("embeddings-2.f16", "regions-2.i8", "catalogue-2.sqlite", "catalogue-2.sqlite-wal"):
        (index / name).write_bytes(b"left")
    (index / "views" / ".building-left").mkdir()
    build(photos, index).attach(RANKER)
    assert [name for name in os.listdir(index) if "-2." in name] == []
    assert [name for name in os.listdir(index / "views") if "left" in name] == []


def test_what_was_left_after_the_switch_goes_with_the_next_build(
    photos: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    remove = module._remove_others

    def die(folder: Path, kept: Manifest, *others: object) -> None:
        if kept.generation > 1:
            raise Killed
        remove(folder, kept, *others)

    with monkeypatch.context() as patched:
        patched.setattr(module, "_remove_others", die)
        with pytest.raises(Killed):
            compacted(index)
    assert (index / "embeddings-1.f16").exists()
    assert Index.open(index).rows == 5
    build(photos, index, encoder=Refusing()).attach(RANKER)
    assert not list(index.glob("*-1.*"))
    assert not list(index.glob("catalogue.sqlite*"))
    assert problems(index) == []


def test_the_view_that_a_killed_compaction_left_goes_with_the_next_one(index: Path) -> None:
    compacted(index)
    (view,) = os.listdir(index / "views")
    shutil.copytree(index / "views" / view, index / "views" / "0123456789ab-left")
    assert compacted(index).dead_rows == 0
    assert os.listdir(index / "views") == [view]


@pytest.mark.parametrize("name", ["embeddings-1.f16", "regions-1.i8"])
def test_damaged_rows_are_refused_and_not_given_a_new_checksum(index: Path, name: str) -> None:
    data = bytearray((index / name).read_bytes())
    data[2 * len(data) // 8] ^= 1  # a dead row counts, too: its block is what has a checksum
    (index / name).write_bytes(data)
    before = files(index)
    assert refusal(lambda: compacted(index)) == (
        f"index {index} is damaged: rows 0 to 7 of {name} are not as they were written; nothing was written; run: "
        f"photoseek verify -i {index}"
    )
    assert files(index) == before


def test_a_damaged_catalogue_is_refused(index: Path) -> None:
    with closing(sqlite3.connect(index / "catalogue.sqlite")) as connection:
        connection.execute("UPDATE photos SET size = size + 1 WHERE path = x'622e706e67'")
        connection.commit()
    assert "table photos is not as it was written" in refusal(lambda: compacted(index))
    assert not list(index.glob("*-2.*"))


def test_a_disk_without_room_is_refused_before_anything_is_written(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _folder: usage(1000))
    before = files(index)
    line = refusal(lambda: compacted(index))
    assert line.endswith("MB are needed beside the index, and 0.0 MB are free; nothing was changed")
    assert files(index) == before


def test_an_index_of_an_older_version_is_built_first(photos: Path, index: Path) -> None:
    take_checksums_away(index)
    assert refusal(lambda: compacted(index)).startswith(f"index {index} is of an older version; photoseek build PHOTOS")
    build(photos, index, encoder=Refusing())
    compacted(index)
    assert problems(index) == []


@pytest.mark.parametrize("lost", ["manifest.json", "catalogue-2.sqlite"])
def test_what_is_lost_after_a_compaction_is_made_anew(photos: Path, index: Path, lost: str) -> None:
    compacted(index)
    before = vectors(Index.open(index))
    (index / lost).unlink()
    load = VerifySettings(lambda _folder: RANKER, None)
    assert [finding.file for finding in verify_index(index, load).findings] == [lost]
    plan = plan_repair(index, verify_index(index, load))
    assert (plan.manifest, plan.catalogue) == (lost == "manifest.json", lost != "manifest.json")
    if plan.manifest:
        plan.restore_manifest()
    if plan.catalogue:
        rebuild_catalogue(index, plan.described, lambda _folder: RANKER)
        build(photos, index, encoder=Refusing()).attach(RANKER, anew=True)
        finish_rebuild(index, plan.described)
    assert vectors(Index.open(index)) == before
    assert problems(index) == []


def test_rows_that_wait_for_a_disk_that_is_not_mounted_are_kept(photos: Path, index: Path) -> None:
    (index / "catalogue.sqlite").unlink()
    photos.rename(photos.parent / "unplugged")
    described = manifest.read(index)
    rebuild_catalogue(index, described, lambda _folder: RANKER)
    line = f"index {index}: rows may wait for photos that are not found yet; run photoseek repair -i {index}"
    assert refusal(lambda: compacted(index)).startswith(line)
    finish_rebuild(index, described)
    assert refusal(lambda: compacted(index)) == (
        f"index {index}: rows may wait for the photos of {photos}, none of which is found yet; "
        "build that folder, or give it up with photoseek forget"
    )
    (photos.parent / "unplugged").rename(photos)
    build(photos, index, encoder=Refusing()).attach(RANKER, anew=True)
    assert compacted(index).dead_rows == 3
    assert problems(index) == []


def test_rows_of_folders_that_nothing_names_any_more_are_kept(photos: Path, index: Path) -> None:
    for name in ("catalogue.sqlite", "recovery.json"):
        (index / name).unlink()
    described = manifest.read(index)
    made = rebuild_catalogue(index, described, lambda _folder: RANKER)
    assert made.lost == (
        "the photo folders, which a build by their names finds again",
        "patterns and policy, which a build takes anew",
        "the history of builds",
        "the notes on damaged photos",
    )
    finish_rebuild(index, described)
    line = f"index {index}: rows may wait for photos that are not found yet; run photoseek repair -i {index}"
    assert refusal(lambda: compacted(index)).startswith(line)
    opened = build(photos, index)
    assert opened.rows == 8  # no photo is embedded again
    opened.attach(RANKER, anew=True)
    assert compacted(index).dead_rows == 3


def test_photos_that_are_left_out_lose_their_rows_and_are_embedded_when_they_come_back(
    photos: Path, folder: Path
) -> None:
    build(photos, folder)
    build(PhotoFolders([photos], Patterns(("a.png", "b.png"))), folder)
    plan = compacted(folder)
    assert (plan.dead_rows, plan.left_out) == (2, 2)
    assert list(plan.lines())[1].strip() == (
        "of these 2 rows of photos that are left out: taken in again, they are embedded anew"
    )
    opened = build(PhotoFolders([photos], Patterns()), folder)
    assert (opened.rows, rows(opened)["a.png"], rows(opened)["b.png"]) == (8, 6, 7)
    assert problems(folder) == []
