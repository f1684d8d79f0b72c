"""Builds of folders that were built before: failures that are remembered, files whose time is another."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from indexer.callbacks import BuildCallbacks
from indexer.embedding.pipeline import Decoding, embed_files
from indexer.file_checks import FileChecks
from indexer.index import Index
from indexer.photos import retry
from indexer.photos.found_files import PhotoFile, Skipped
from tiny_encoder import Refusing, TinyEncoder
from tiny_index import build, grey, last, rows

REHASH = Decoding(workers=2, checks=FileChecks(rehash=True))


def replaced(path: Path, content: bytes) -> None:
    """Write other bytes of the same number into a file and leave its time as it is."""
    before = path.stat()
    assert len(content) == before.st_size
    path.write_bytes(content)
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))


def named(photos: Path, folder: Path, **options) -> tuple[Index, list[Skipped]]:
    """Build, and return the index with the photos that were named as skipped."""
    skipped: list[Skipped] = []
    return build(photos, folder, callbacks=BuildCallbacks(on_skip=skipped.append), **options), skipped


def test_a_broken_photo_is_not_decoded_again_until_the_decoder_is_another(photos, folder, monkeypatch):
    whole = (photos / "b.png").read_bytes()
    (photos / "broken.png").write_bytes(b"no" + whole[2:])
    built, skipped = named(photos, folder)
    assert [item.path for item in skipped] == [b"broken.png"]
    # A decoder that looked at it again would see a photo.
    replaced(photos / "broken.png", whole)
    built, skipped = named(photos, folder)
    assert (skipped, last(built)) == ([], {"seen": 5, "skipped": 1})
    assert rows(built)["broken.png"] == "not an image, or of a kind that is not read"
    monkeypatch.setattr(retry, "OTHER_DECODER", "decoder 999")
    built, skipped = named(photos, folder)
    assert (skipped, last(built), rows(built)["broken.png"]) == ([], {"seen": 5, "added": 1}, 1)


def test_a_broken_photo_is_tried_again_when_its_time_changes_and_by_rehash(photos, folder):
    whole = (photos / "b.png").read_bytes()
    for name in ("one.png", "two.png"):
        (photos / name).write_bytes(b"no" + whole[2:])
    build(photos, folder)
    for name in ("one.png", "two.png"):
        replaced(photos / name, whole)
    os.utime(photos / "one.png")
    assert last(build(photos, folder)) == {"seen": 6, "added": 1, "skipped": 1}
    assert last(build(photos, folder, decoding=REHASH)) == {"seen": 6, "added": 1}


def test_all_that_was_skipped_is_tried_again_when_asked_for(photos, folder):
    whole = (photos / "b.png").read_bytes()
    for name in ("one.png", "two.png"):
        (photos / name).write_bytes(b"no" + whole[2:])
    build(photos, folder)
    replaced(photos / "one.png", whole)  # a decoder that looks at it again sees a photo
    assert named(photos, folder)[1] == []
    built, skipped = named(photos, folder, decoding=Decoding(workers=2, checks=FileChecks(retry_skipped=True)))
    assert ([item.path for item in skipped], last(built)) == ([b"two.png"], {"seen": 6, "added": 1, "skipped": 1})


def test_a_photo_that_was_too_large_is_tried_again_when_it_no_longer_is(photos, folder):
    def limited(pixels: int) -> Decoding:
        return Decoding(workers=2, max_pixels=pixels)

    built, skipped = named(photos, folder, decoding=limited(63))
    assert len(skipped) == 4
    assert named(photos, folder, decoding=limited(60))[1] == []
    built, skipped = named(photos, folder, decoding=limited(64))
    assert (skipped, last(built)) == ([], {"seen": 4, "added": 4})


def test_what_may_go_away_by_itself_is_tried_in_every_build(photos):
    files = [PhotoFile(b"gone.png", 5, 7), PhotoFile(b"trip", 5, 7)]
    results = [result for _, result in embed_files(os.fsencode(photos), files, TinyEncoder(), Decoding(workers=2))]
    assert results == [
        Skipped(b"gone.png", "cannot be read: No such file or directory"),
        Skipped(b"trip", "not a regular file"),
    ]
    assert [result.retry for result in results] == [retry.ALWAYS, retry.ALWAYS]


@dataclass(frozen=True)
class Counting(TinyEncoder):
    """Notes every batch that it gets."""

    def encode(self, images: np.ndarray) -> np.ndarray:
        SEEN.append(len(images))
        return super().encode(images)


SEEN: list[int] = []


def test_files_whose_time_alone_changed_are_no_change_and_known_by_their_time_from_then_on(photos, folder):
    before = rows(build(photos, folder))
    for path in photos.rglob("*.png"):
        os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 3600 * 10**9))
    done: list[tuple[int, int]] = []
    progress = BuildCallbacks(on_progress=lambda *step: done.append(step))
    built = build(photos, folder, encoder=Refusing(), callbacks=progress)
    assert (rows(built), last(built), done[-1]) == (before, {"seen": 4}, (4, 4))
    built = build(photos, folder, encoder=Refusing(), callbacks=progress)
    assert (last(built), len(done)) == ({"seen": 4}, 5)


def test_rehash_finds_what_size_and_time_hide_and_embeds_that_alone(photos, folder):
    build(photos, folder)
    grey(photos.parent, other=77)  # it has the same number of bytes
    replaced(photos / "b.png", (photos.parent / "other.png").read_bytes())
    assert last(build(photos, folder)) == {"seen": 4}
    SEEN.clear()
    built = build(photos, folder, encoder=Counting(), decoding=REHASH)
    assert (last(built), len(SEEN), rows(built)["b.png"]) == ({"seen": 4, "changed": 1}, 1, 4)
    assert built.catalogue.dead_rows() == [1]


@pytest.mark.parametrize("settle", [0.0, 0.01])
def test_a_file_that_is_still_being_written_is_left_to_the_next_build(photos, folder, settle, monkeypatch):
    build(photos, folder)
    grey(photos, growing=9, whole=10)
    content = (photos / "growing.png").read_bytes()
    (photos / "growing.png").write_bytes(content[:40])
    unsettled = []
    callbacks = BuildCallbacks(on_unsettled=lambda file: unsettled.append(file.path))
    decoding = Decoding(workers=2, checks=FileChecks(settle_seconds=settle))
    with monkeypatch.context() as patch:
        patch.setattr("time.sleep", lambda _seconds: (photos / "growing.png").write_bytes(content))
        built = build(photos, folder, decoding=decoding, callbacks=callbacks)
    if not settle:
        assert (unsettled, last(built)) == ([], {"seen": 6, "added": 1, "skipped": 1})
        return
    assert (unsettled, last(built)) == ([b"growing.png"], {"seen": 6, "added": 1})
    assert "growing.png" not in rows(built)
    assert last(build(photos, folder, decoding=decoding)) == {"seen": 6, "added": 1}
