import os
import shutil
from dataclasses import dataclass, replace

import filelock
import numpy as np
import pytest

from indexer.building import photo_writer
from indexer.callbacks import BuildCallbacks
from indexer.index import Index
from indexer.photos.found_files import Skipped
from indexer.storage.tables import database
from tiny_encoder import TinyEncoder
from tiny_index import INTACT, build, grey, last, refusal, rows
from tiny_ranker import TinyRanker

ENCODER, RANKER = TinyEncoder(), TinyRanker()


# Building


def test_a_first_build_gives_every_photo_its_row_in_walking_order(photos, folder):
    built = build(photos, folder)
    assert rows(built) == {"a.png": 0, "b.png": 1, "trip/c.png": 2, "trip/d.png": 3}
    # Greys 0, 0.2, 0.4 and 1 beside 0.5: norms 0.5, sqrt(0.37), sqrt(0.73), sqrt(3.25)
    expected = [[0, 0, 0, 1], [0.2, 0.2, 0.2, 0.5], [0.4, 0.4, 0.4, 0.5], [1, 1, 1, 0.5]]
    expected = np.array(expected) / np.sqrt([[1], [0.37], [0.73], [3.25]])
    assert (built.embeddings().dtype, built.dim, built.rows) == (np.float16, 4, 4)
    assert np.allclose(built.embeddings(), expected, atol=5e-4)
    assert last(built) == {"seen": 4, "added": 4}


def test_a_build_with_nothing_new_embeds_nothing_and_changes_no_row(photos, folder):
    before = rows(build(photos, folder))
    seen = []
    again = build(photos, folder, callbacks=BuildCallbacks(on_progress=lambda *done: seen.append(done)))
    assert (rows(again), last(again), seen) == (before, {"seen": 4}, [])


def test_new_changed_and_removed_photos_are_told_apart(photos, folder):
    build(photos, folder)
    grey(photos, b=200, new=20)
    (photos / "a.png").unlink()
    seen = []
    built = build(photos, folder, callbacks=BuildCallbacks(on_progress=lambda *done: seen.append(done)))
    assert rows(built) == {"b.png": 4, "new.png": 5, "trip/c.png": 2, "trip/d.png": 3}
    assert last(built) == {"seen": 4, "added": 1, "changed": 1, "removed": 1}
    assert built.catalogue.dead_rows() == [0, 1]
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_a_moved_photo_keeps_its_row_and_is_not_embedded_again(photos, folder):
    build(photos, folder)
    (photos / "trip").rename(photos / "journey")
    built = build(photos, folder, encoder=Refusing())
    assert rows(built) == {"a.png": 0, "b.png": 1, "journey/c.png": 2, "journey/d.png": 3}
    assert (last(built), built.catalogue.dead_rows()) == ({"seen": 4, "added": 2, "removed": 2}, [])


@dataclass(frozen=True)
class Refusing(TinyEncoder):
    def encode(self, images: np.ndarray) -> np.ndarray:
        raise AssertionError("something was embedded")


def test_a_photo_that_comes_back_takes_its_old_row(photos, folder):
    build(photos, folder)
    kept = (photos / "a.png").rename(photos.parent / "a.png")
    assert build(photos, folder).catalogue.dead_rows() == [0]
    kept.rename(photos / "z.png")
    built = build(photos, folder)
    assert (rows(built)["z.png"], built.catalogue.dead_rows(), built.rows) == (0, [], 4)


def test_exact_duplicates_share_a_row_within_a_block_and_across_builds(photos, folder):
    shutil.copy(photos / "a.png", photos / "a2.png")
    assert rows(build(photos, folder)) == {"a.png": 0, "a2.png": 0, "b.png": 1, "trip/c.png": 2, "trip/d.png": 3}
    shutil.copy(photos / "b.png", photos / "z.png")
    assert rows(build(photos, folder))["z.png"] == 1


def test_two_roots_live_in_one_index_and_do_not_disturb_each_other(photos, folder, tmp_path):
    build(photos, folder)
    grey(tmp_path / "more", a=90)
    built = build(tmp_path / "more", folder)
    assert [(p.root, p.path, p.row) for p in built.catalogue.all_photos()] == [
        (os.fsencode(tmp_path / "more"), b"a.png", 4),
        *(
            (os.fsencode(photos), path, row)
            for row, path in enumerate([b"a.png", b"b.png", b"trip/c.png", b"trip/d.png"])
        ),
    ]


def test_broken_photos_are_listed_named_and_tried_again(photos, folder):
    (photos / "broken.png").write_bytes(b"")
    (photos / "loop").symlink_to(photos)
    named = []
    built = build(photos, folder, callbacks=BuildCallbacks(on_skip=named.append))
    assert named == [
        Skipped(b"loop", "link loop: leads back to a folder that holds it"),
        Skipped(b"broken.png", "empty file"),
    ]
    assert rows(built) == {"a.png": 0, "b.png": 1, "broken.png": "empty file", "trip/c.png": 2, "trip/d.png": 3}
    assert last(built) == {"seen": 5, "added": 4, "skipped": 2}
    info = (photos / "broken.png").stat()
    grey(photos, broken=33)
    os.utime(photos / "broken.png", ns=(info.st_mtime_ns, info.st_mtime_ns))
    built = build(photos, folder)
    assert (rows(built)["broken.png"], last(built)) == (4, {"seen": 5, "added": 1, "skipped": 1})


@dataclass(frozen=True)
class Failing(TinyEncoder):
    """Gives zeros for a black photo and NaN for a white one."""

    def encode(self, images: np.ndarray) -> np.ndarray:
        vectors = super().encode(images)
        vectors[images.max(axis=(1, 2, 3)) == 0] = 0
        vectors[images.min(axis=(1, 2, 3)) == 255] = np.nan
        return vectors


def test_vectors_that_are_none_cost_their_photos_only(photos, folder):
    named = []
    built = build(photos, folder, encoder=Failing(), callbacks=BuildCallbacks(on_skip=named.append))
    reason = "encoder tiny gave a vector of zeros, NaN or infinity"
    assert named == [Skipped(b"a.png", reason), Skipped(b"trip/d.png", reason)]
    assert rows(built) == {"a.png": reason, "b.png": 0, "trip/c.png": 1, "trip/d.png": reason}


def test_names_that_are_not_utf8_are_indexed(photos, folder):
    odd = os.path.join(os.fsencode(photos), b"\xff\n\x1b[31m.png")
    shutil.copy(photos / "a.png", odd)
    assert rows(build(photos, folder))["\udcff\n\x1b[31m.png"] == 0


# Nothing is taken for a deletion that may not be one


def test_a_root_without_photos_that_was_never_indexed_is_refused_and_makes_no_index(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    assert refusal(lambda: build(tmp_path / "empty", folder)) == f"no photos found under '{tmp_path}/empty'"
    assert not folder.exists()


def test_a_root_that_is_missing_or_suddenly_empty_is_refused_and_nothing_is_deleted(photos, folder):
    before = rows(build(photos, folder))
    photos.rename(photos.parent / "elsewhere")
    line = f"photo folder '{photos}' cannot be read: No such file or directory"
    assert refusal(lambda: build(photos, folder)) == line
    photos.mkdir()
    assert refusal(lambda: build(photos, folder)) == (
        f"no photos found under '{photos}', where the index knows 4; is a disk not mounted? Nothing was changed"
    )
    assert rows(Index.open(folder)) == before


def test_photos_of_a_folder_that_cannot_be_listed_stay(photos, folder, monkeypatch):
    before = rows(build(photos, folder))
    scandir = os.scandir

    def refusing(path):
        if os.fsencode(path).endswith(b"trip"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    named = []
    built = build(photos, folder, callbacks=BuildCallbacks(on_skip=named.append))
    assert rows(built) == before
    assert named == [Skipped(b"trip", "folder cannot be read: Permission denied", is_folder=True)]


@pytest.mark.parametrize("name", ["disk", "disk.jpg"])
def test_photos_below_a_link_to_a_disk_that_is_not_mounted_stay(photos, folder, tmp_path, name):
    grey(tmp_path / "mount", x=30, deep__er__y=40)
    (photos / name).symlink_to(tmp_path / "mount")
    before = rows(build(photos, folder))
    assert len(before) == 6
    (tmp_path / "mount").rename(tmp_path / "unmounted")
    named = []
    built = build(photos, folder, callbacks=BuildCallbacks(on_skip=named.append))
    assert rows(built) == before
    assert last(built) == {"seen": 4, "skipped": len(named)}
    assert named[-1] == Skipped(os.fsencode(name), "link leads nowhere; the photos known below it are kept", True)
    (tmp_path / "unmounted").rename(tmp_path / "mount")
    assert last(build(photos, folder)) == {"seen": 6}
    (photos / name).unlink()
    assert last(build(photos, folder)) == {"seen": 4, "removed": 2}


def test_a_folder_that_is_gone_is_a_deletion(photos, folder):
    build(photos, folder)
    shutil.rmtree(photos / "trip")
    assert last(build(photos, folder)) == {"seen": 2, "removed": 2}


# Where the index lies


def test_an_index_inside_the_photo_folder_is_no_trouble(photos):
    inside = photos / "my index"
    before = rows(build(photos, inside))
    assert before == {"a.png": 0, "b.png": 1, "trip/c.png": 2, "trip/d.png": 3}
    Index.open(inside).attach(RANKER)
    assert rows(build(photos, inside)) == before


def test_a_folder_that_holds_something_else_is_refused_and_left_as_it_is(photos):
    before = sorted(photos.rglob("*"))
    line = f"{photos} is not an index and not empty; give another folder with -i"
    assert refusal(lambda: build(photos, photos)) == line
    assert refusal(lambda: build(photos, photos / "a.png")) == (
        f"{photos}/a.png is a file; give a folder for the index with -i"
    )
    assert sorted(photos.rglob("*")) == before


def test_an_index_that_was_hardly_begun_is_begun_again(photos, folder):
    folder.mkdir()
    for name in ("writer.lock", "catalogue.sqlite", "catalogue.sqlite-wal", ".manifest.json"):
        (folder / name).write_bytes(b"half")
    assert len(rows(build(photos, folder))) == 4


# Refusals


def test_an_index_of_another_encoder_is_refused_and_left_as_it_is(photos, folder):
    before = rows(build(photos, folder))
    grey(photos, new=1)
    assert refusal(lambda: build(photos, folder, encoder=replace(ENCODER, fingerprint="other@2"))) == (
        f"index {folder} holds embeddings of tiny@1, not of other@2; "
        "give another folder with -i, or that encoder with --encoder"
    )
    assert rows(Index.open(folder)) == before


# A full disk


def full(*_, **__):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("what", ["fsync", "commit", "lock"])
def test_a_disk_that_is_full_is_one_line_and_the_index_stays_whole(photos, folder, monkeypatch, what):
    before = rows(build(photos, folder))
    grey(photos, new=1, newer=2)
    with monkeypatch.context() as patch:
        if what == "fsync":
            patch.setattr(os, "fsync", full)
        elif what == "commit":
            # As many pages as it has are as many as it may have.
            connect = database.connect

            def cramped(*asked):
                db = connect(*asked)
                [pages] = db.execute("PRAGMA page_count").fetchone()
                db.execute(f"PRAGMA max_page_count = {pages}")
                return db

            patch.setattr(database, "connect", cramped)
            grey(photos, **{"x" * 200 + f"{number:03}": number for number in range(120)})
        else:
            patch.setattr(filelock.FileLock, "acquire", full)
        line = refusal(lambda: build(photos, folder))
    assert (
        line
        == {
            "fsync": f"index {folder}: disk is full; {INTACT}",
            "commit": f"index {folder}: disk is full; {INTACT}",
            "lock": f"index {folder} cannot be written: No space left on device",
        }[what]
    )
    opened = Index.open(folder)
    assert (rows(opened), len(opened.embeddings())) == (before, 4)
    assert {path: row for path, row in rows(build(photos, folder)).items() if path in before} == before


def test_a_progress_line_that_nobody_reads_is_not_a_matter_of_the_disk(photos, folder):
    def gone(*_):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        build(photos, folder, callbacks=BuildCallbacks(on_progress=gone))
    assert len(rows(build(photos, folder))) == 4
    with pytest.raises(BrokenPipeError):
        Index.open(folder).attach(RANKER, on_progress=gone)


def test_what_is_committed_at_a_time_does_not_show(photos, folder, monkeypatch):
    monkeypatch.setattr(photo_writer, "COMMIT_ROWS", 1)
    shutil.copy(photos / "a.png", photos / "z.png")
    built = build(photos, folder)
    assert rows(built) == {"a.png": 0, "b.png": 1, "trip/c.png": 2, "trip/d.png": 3, "z.png": 0}
    whole = build(photos, folder.with_name("whole")).embeddings()
    assert np.array_equal(built.embeddings(), whole)
