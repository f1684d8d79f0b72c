"""Region vectors through the index: stored, filled in, moved, damaged, refused."""

import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from indexer.building import photo_writer
from indexer.callbacks import BuildCallbacks
from indexer.embedding import regions as regions_module
from indexer.index import Index
from indexer.storage import manifest
from indexer.storage.recovery import row_records
from indexer.verification.verify import VerifySettings, verify_index
from tiny_encoder import Refusing, TinyEncoder
from tiny_index import INTACT, build, grey, halves, last, refusal, rows
from tiny_ranker import TinyRanker

CHECKOUT = Path(__file__).parents[3]
ENCODER, RANKER = TinyEncoder(), TinyRanker()

# Black: (0, 0, 0, 0.5), grey 51: (0.2, 0.2, 0.2, 0.5), white: (1, 1, 1, 0.5), each with its largest at 127.
BLACK, DARK, WHITE = [0, 0, 0, 127], [51, 51, 51, 127], [127, 127, 127, 64]


@pytest.fixture
def photos(tmp_path):
    root = tmp_path / "photos"
    halves(root, a=(0, 51), b=(255, 0), c=(51, 255))
    return root


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "index"


def by_path(opened: Index) -> dict[str, list]:
    """path -> its region vectors."""
    stored = opened.regions()
    return {path: stored[row].tolist() for path, row in rows(opened).items()}


# Stored from the beginning


def test_a_new_index_keeps_the_regions_of_every_row_beside_the_embeddings(photos, folder):
    built = build(photos, folder, regions=True)
    assert by_path(built) == {"a.png": [BLACK, DARK], "b.png": [WHITE, BLACK], "c.png": [DARK, WHITE]}
    assert (built.regions().dtype, built.regions().shape, built.regions().flags.writeable) == (
        np.int8,
        (3, 2, 4),
        False,
    )
    assert (folder / "regions-1.i8").stat().st_size == 3 * 2 * 4
    assert json.loads((folder / "manifest.json").read_text())["regions"] == [2, 4]
    assert built.facts()["regions"] is True
    without = build(photos, folder.with_name("without"))
    assert np.array_equal(built.embeddings(), without.embeddings())
    assert (without.regions(), without.facts()["regions"]) == (None, False)
    assert not (without.folder / "regions-1.i8").exists()


def test_an_index_of_an_older_version_has_no_regions(photos, folder):
    build(photos, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["regions"], manifest["sha256"]
    manifest["format"] = 2
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert Index.open(folder).regions() is None
    assert build(photos, folder).regions() is None


@pytest.mark.parametrize("again", [None, True])
def test_an_update_gives_new_and_changed_photos_their_regions_too(photos, folder, again):
    before = build(photos, folder, regions=True)
    stored = before.regions()
    halves(photos, a=(255, 255), d=(0, 0))
    built = build(photos, folder, regions=again)
    assert by_path(built) == {
        "a.png": [WHITE, WHITE],
        "b.png": [WHITE, BLACK],
        "c.png": [DARK, WHITE],
        "d.png": [BLACK, BLACK],
    }
    assert stored.tolist() == [[BLACK, DARK], [WHITE, BLACK], [DARK, WHITE]]


def test_a_moved_photo_and_one_that_comes_back_keep_their_regions(photos, folder):
    build(photos, folder, regions=True)
    (photos / "a.png").rename(photos / "z.png")
    kept = (photos / "b.png").rename(photos.parent / "b.png")
    build(photos, folder, encoder=Refusing())
    kept.rename(photos / "b.png")
    built = build(photos, folder, encoder=Refusing())
    assert rows(built) == {"b.png": 1, "c.png": 2, "z.png": 0}
    assert by_path(built) == {"z.png": [BLACK, DARK], "b.png": [WHITE, BLACK], "c.png": [DARK, WHITE]}


def test_copies_share_a_row_and_commits_of_any_size_give_the_same(photos, folder, monkeypatch):
    shutil.copy(photos / "a.png", photos / "a2.png")
    whole = build(photos, folder, regions=True)
    monkeypatch.setattr(photo_writer, "COMMIT_ROWS", 1)
    built = build(photos, folder.with_name("ones"), regions=True)
    assert rows(built) == {"a.png": 0, "a2.png": 0, "b.png": 1, "c.png": 2}
    assert np.array_equal(built.regions(), whole.regions())


@dataclass(frozen=True)
class Failing(TinyEncoder):
    """Gives a region of zeros for a black left half, one of NaN for a white one."""

    def encode_with_regions(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        vectors, regions = super().encode_with_regions(images)
        regions[regions[:, 0, 0] == 0, 0] = 0
        regions[images[:, 0, 0, 0] == 255, 0] = np.nan
        return vectors, regions


def test_a_region_may_say_nothing_and_one_that_is_no_number_costs_its_photo(photos, folder):
    built = build(photos, folder, encoder=Failing(), regions=True)
    assert rows(built) == {"a.png": 0, "b.png": "encoder tiny gave a vector of zeros, NaN or infinity", "c.png": 1}
    assert built.regions().tolist() == [[[0, 0, 0, 0], DARK], [DARK, WHITE]]


# Filled in


def test_an_index_that_was_begun_without_regions_gets_them_for_the_photos_it_has(photos, folder, tmp_path):
    grey(tmp_path / "more", d=255)
    build(tmp_path / "more", folder)
    (photos / "broken.png").write_bytes(b"")
    before = build(photos, folder)
    embeddings = np.array(before.embeddings())
    halves(photos, e=(0, 0))
    seen = []
    built = build(photos, folder, regions=True, callbacks=BuildCallbacks(on_progress=lambda *done: seen.append(done)))
    assert by_path_without_broken(built) == {
        "a.png": [BLACK, DARK],
        "b.png": [WHITE, BLACK],
        "c.png": [DARK, WHITE],
        "d.png": [WHITE, WHITE],
        "e.png": [BLACK, BLACK],
    }
    assert {path: rows(built)[path] for path in rows(before)} == rows(before)
    assert np.array_equal(built.embeddings()[:4], embeddings)
    assert (built.manifest.region_shape, built.facts()["regions"]) == ((2, 4), True)
    assert last(built) == {"seen": 5, "added": 1, "skipped": 1}
    assert seen == [(0, 1), (1, 1), (5, 5)]  # the broken photo is not read again
    again = build(photos, folder, encoder=Refusing(), regions=True)
    assert by_path_without_broken(again) == by_path_without_broken(built)


def by_path_without_broken(opened: Index) -> dict[str, list]:
    return {path: opened.regions()[row].tolist() for path, row in rows(opened).items() if isinstance(row, int)}


def test_a_row_that_no_file_gives_any_more_has_zeros_and_its_photo_gets_a_new_row_later(photos, folder, tmp_path):
    more = tmp_path / "more"
    halves(more, gone=(255, 51), changed=(255, 255), there=(0, 255))
    build(more, folder)  # rows: changed 0, gone 1, there 2
    build(photos, folder)
    kept = (photos / "a.png").rename(tmp_path / "a.png")
    build(photos, folder)  # row 3 is dead
    away = (more / "gone.png").rename(tmp_path / "gone.png")
    halves(more, changed=(0, 0))
    named = []
    built = build(photos, folder, regions=True, callbacks=BuildCallbacks(on_skip=named.append))
    nothing = [[0] * 4] * 2
    assert built.regions().tolist() == [nothing, nothing, [BLACK, WHITE], nothing, [WHITE, BLACK], [DARK, WHITE]]
    line = "no region vectors before the next build of its folder: "
    assert [(os.fsdecode(item.path), item.reason) for item in named] == [
        (f"{more}/changed.png", line + "it was changed"),
        (f"{more}/gone.png", line + "cannot be read: No such file or directory"),
    ]
    # Those that come back get rows of their own; nothing else is embedded again.
    away.rename(more / "gone.png")
    kept.rename(photos / "a.png")
    assert last(build(more, folder)) == {"seen": 3, "changed": 2}
    built = build(photos, folder)
    assert last(built) == {"seen": 3, "added": 1}
    assert rows(built) == {"a.png": 8, "b.png": 4, "c.png": 5, "changed.png": 6, "gone.png": 7, "there.png": 2}
    assert built.regions()[6:].tolist() == [[BLACK, BLACK], [WHITE, DARK], [BLACK, DARK]]
    assert built.catalogue.dead_rows() == [0, 1, 3]


def test_a_row_is_filled_from_any_copy_that_can_be_read(photos, folder, monkeypatch):
    monkeypatch.setattr(regions_module, "BLOCK_ROWS", 1)
    copies = photos.parent / "copies"
    shutil.copytree(photos, copies)
    build(copies, folder)
    build(photos, folder)
    shutil.rmtree(copies)
    built = build(photos, folder, regions=True)
    assert by_path(built) == {"a.png": [BLACK, DARK], "b.png": [WHITE, BLACK], "c.png": [DARK, WHITE]}
    assert built.rows == 3


def test_a_disk_that_is_full_while_regions_are_filled_in_leaves_an_index_without(photos, folder, monkeypatch):
    before = rows(build(photos, folder))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert refusal(lambda: build(photos, folder, regions=True)) == f"index {folder}: disk is full; {INTACT}"
    assert (rows(Index.open(folder)), Index.open(folder).regions()) == (before, None)
    assert build(photos, folder, regions=True).regions().tolist() == [[BLACK, DARK], [WHITE, BLACK], [DARK, WHITE]]


def test_a_build_killed_before_the_records_of_its_regions_leaves_a_whole_index(photos, folder, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    build(photos, folder)
    with monkeypatch.context() as patch:
        patch.setattr(row_records, "write_all", die)
        with pytest.raises(Killed):
            build(photos, folder, regions=True)
    assert Index.open(folder).regions().tolist() == [[BLACK, DARK], [WHITE, BLACK], [DARK, WHITE]]
    found = verify_index(folder, VerifySettings(lambda _folder: RANKER, None))
    line = "digests-1.bin says nothing of the region vectors of 3 rows; the next build does"
    assert (found.findings, line in found.notes) == ([], True)
    records = row_records.read(folder / "digests-1.bin")
    stored = row_records.stored_rows(folder, manifest.read(folder), 3)
    assert row_records.right_records(records, *stored).tolist() == [True, True, True]
    build(photos, folder, encoder=Refusing())
    assert not row_records.lacks_region_sum(row_records.read(folder / "digests-1.bin")).any()
    found = verify_index(folder, VerifySettings(lambda _folder: RANKER, None))
    assert (found.findings, line in found.notes) == ([], False)


# Refusals and damage


def test_regions_of_an_encoder_without_are_refused_and_make_no_index(photos, folder):
    line = "image encoder tiny gives no region vectors; encoders that do: efficientnet-lite, efficientnet-lite2"
    assert refusal(lambda: build(photos, folder, encoder=replace(ENCODER, region_shape=(0, 0)), regions=True)) == line
    assert not folder.exists()


def test_an_index_does_not_lose_its_regions(photos, folder):
    build(photos, folder, regions=True)
    line = f"index {folder} keeps region vectors; give another folder for one without"
    assert refusal(lambda: build(photos, folder, regions=False)) == line
    assert build(photos, folder.with_name("without"), regions=False).regions() is None


def test_regions_that_are_cut_or_missing_are_damage(photos, folder):
    build(photos, folder, regions=True)
    file = folder / "regions-1.i8"
    os.truncate(file, 23)
    line = (
        f"index {folder} is damaged: regions-1.i8 is shorter than its 3 rows; nothing was written; "
        f"run: photoseek verify -i {folder}"
    )
    assert refusal(lambda: Index.open(folder)) == line
    halves(photos, new=(0, 0))
    assert refusal(lambda: build(photos, folder)) == line
    file.unlink()
    assert refusal(lambda: build(photos, folder)) == line


# Views of them


def test_attaching_gives_the_view_what_the_ranker_makes_of_the_regions(photos, folder):
    opened = build(photos, folder, regions=True)
    opened.attach(RANKER)
    view = opened.view()
    ends = [[[0, 127], [51, 127]], [[127, 64], [0, 127]], [[51, 127], [127, 64]]]
    assert view.gather(np.array([2, 0, 1])).regions.tolist() == [ends[2], ends[0], ends[1]]
    opened.attach(RANKER)
    assert opened.view().folder == view.folder


def test_attaching_again_after_regions_came_builds_a_view_with_them(photos, folder):
    opened = build(photos, folder)
    opened.attach(RANKER)
    reader = Index.open(folder)
    before = reader.view()
    assert before.gather(np.arange(3)).regions is None
    build(photos, folder, regions=True)
    assert reader.view().folder == before.folder
    assert reader.regions().shape == (3, 2, 4)
    opened.attach(RANKER)
    assert opened.view().folder != before.folder
    assert opened.view().regions.shape == (3, 2, 2)


@dataclass(frozen=True)
class Blind(TinyRanker):
    def encode_photos(self, embeddings, regions=None):
        return super().encode_photos(embeddings)


def test_a_ranker_that_makes_nothing_of_regions_has_its_view_built_once(photos, folder):
    opened = build(photos, folder, regions=True)
    opened.attach(Blind())
    before = opened.view()
    assert (before.regions, before.built_with_regions) == (None, True)
    opened.attach(Blind())
    assert opened.view().folder == before.folder
