"""Indexes of an older version: opened as they are, brought up by a build without embedding."""

import json
import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from indexer.building import missing_metadata
from indexer.callbacks import BuildCallbacks
from indexer.index import Index
from indexer.storage.manifest import FORMAT
from indexer.storage.tables.schema import ADDED_TABLES
from tiny_encoder import Refusing
from tiny_index import build, rows
from unusual_photos.exif_blocks import photo_of


def make_older(folder: Path) -> None:
    """Turn an index into one of format 1, which has none of the newer tables."""
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as connection:
        for table in ADDED_TABLES:
            connection.execute(f"DROP TABLE {table}")
        connection.commit()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest.pop("format") == FORMAT
    del manifest["sha256"]
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 1}))


@pytest.fixture
def library(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for i in range(5):
        photo_of(root / f"{i}.jpg", f"201{i}:07:14 12:00:00", grey=40 * i)
    return root


def taken(index: Index) -> dict[int, datetime | None]:
    return {row: known.taken for row, known in index.catalogue.metadata.of_rows(range(index.rows)).items()}


def test_an_older_index_is_read_as_it_is_and_brought_up_without_embedding(library: Path, folder: Path) -> None:
    before = build(library, folder)
    expected, vectors = taken(before), before.embeddings().copy()
    assert expected == {i: datetime(2010 + i, 7, 14, 12) for i in range(5)}
    make_older(folder)
    older = Index.open(folder)
    assert (taken(older), older.catalogue.metadata.is_empty(), len(rows(older))) == ({}, True, 5)
    progress: list[tuple[int, int]] = []
    notes: list[str] = []
    callbacks = BuildCallbacks(
        on_progress=lambda done, total: progress.append((done, total)), on_note=lambda line: notes.append(line)
    )
    after = build(library, folder, encoder=Refusing(), callbacks=callbacks)
    assert taken(after) == expected
    assert progress == [(0, 5), (5, 5), (0, 5), (5, 5)]  # the metadata, then the hashes
    assert json.loads((folder / "manifest.json").read_text())["format"] == FORMAT
    assert (after.embeddings() == vectors).all()
    assert build(library, folder, encoder=Refusing(), callbacks=callbacks).rows == 5
    assert len(progress) == 4
    assert notes == [
        "the index of an older version was brought up to date: metadata of 5 photos read, 5 photos decoded for stacks, "
        "none embedded again"
    ]


def test_a_bringing_up_that_is_cut_short_goes_on_where_it_stopped(
    library: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = taken(build(library, folder))
    make_older(folder)
    monkeypatch.setattr(missing_metadata, "BLOCK_ROWS", 2)
    done_before: list[int] = []

    def stop(done: int, total: int) -> None:
        done_before.append(done)
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(library, folder, encoder=Refusing(), callbacks=BuildCallbacks(on_progress=stop))
    assert (done_before, len(taken(Index.open(folder)))) == ([0, 2, 4], 4)
    progress: list[tuple[int, int]] = []
    callbacks = BuildCallbacks(on_progress=lambda done, total: progress.append((done, total)))
    assert taken(build(library, folder, encoder=Refusing(), callbacks=callbacks)) == expected
    assert progress == [(0, 1), (1, 1), (0, 5), (5, 5)]  # the metadata, then the hashes


def test_files_that_are_gone_or_changed_stay_without_until_they_are_back(
    library: Path, tmp_path: Path, folder: Path
) -> None:
    other = tmp_path / "other"
    photo_of(other / "a.jpg", "2001:01:01 00:00:00", grey=250)
    photo_of(other / "b.jpg", "2002:01:01 00:00:00", grey=230)
    build(library, folder)
    build(other, folder)
    make_older(folder)
    (other / "a.jpg").rename(tmp_path / "a.jpg")
    os.utime(other / "b.jpg", ns=(0, 0))
    index = build(library, folder)
    assert sorted(taken(index)) == [0, 1, 2, 3, 4]
    assert index.catalogue.metadata.missing_rows() == [5, 6]
    (tmp_path / "a.jpg").rename(other / "a.jpg")
    index = build(other, folder)
    assert taken(index)[5] == datetime(2001, 1, 1)
    assert taken(index)[6] == datetime(2002, 1, 1)
    assert index.catalogue.metadata.missing_rows() == []


def test_a_photo_that_says_nothing_has_the_time_of_its_file(tmp_path: Path, folder: Path) -> None:
    from PIL import Image

    (tmp_path / "photos").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "photos" / "a.png")
    os.utime(tmp_path / "photos" / "a.png", ns=(0, 1_594_722_659_000_000_000))
    known = build(tmp_path / "photos", folder).catalogue.metadata.of_rows([0])[0]
    assert known.taken is not None
    assert (known.taken.timestamp(), known.taken_from) == (1_594_722_659, "file")
