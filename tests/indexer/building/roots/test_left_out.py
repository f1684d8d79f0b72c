"""Photos that are left out: out of the index without losing their rows, and back without being decoded."""

import os
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from indexer.callbacks import BuildCallbacks
from indexer.embedding.pipeline import Decoding
from indexer.file_checks import FileChecks
from indexer.index import Index
from indexer.photos.rules.patterns import Patterns, PhotoFolders
from search.contact_sheet import write_sheet
from search.results import Hit, SearchResult
from tiny_encoder import Refusing
from tiny_index import build, grey, last, refusal, rows

ALL = {"a.png": 0, "b.png": 1, "trip/c.png": 2, "trip/d.png": 3}


def build_with(photos, folder, exclude=(), include=(), **options):
    return build(PhotoFolders([photos], Patterns(tuple(exclude), tuple(include))), folder, **options)


def test_excluding_what_is_indexed_takes_it_out_and_keeps_its_row(photos, folder, unread, notes):
    before = build(photos, folder).embeddings().copy()
    built = build_with(photos, folder, ["trip/"], **unread())
    assert (rows(built), built.catalogue.dead_rows()) == ({"a.png": 0, "b.png": 1}, [2, 3])
    assert last(built) == {"seen": 2}
    assert notes == [
        "patterns that the index keeps now: --exclude trip/",
        "2 photos of the index left out from now on",
    ]
    facts = built.facts()
    assert (facts["photos"], facts["left_out"], facts["passed_over"], facts["exclude"], facts["include"]) == (
        2,
        2,
        {"patterns": 2},
        ["trip/"],
        [],
    )
    # A later build keeps the patterns, and leaves the photos where they are.
    notes.clear()
    built = build(photos, folder, **unread())
    assert (rows(built), notes, built.facts()["left_out"]) == ({"a.png": 0, "b.png": 1}, [], 2)
    built = build_with(photos, folder, **unread())
    assert (rows(built), built.catalogue.dead_rows(), built.facts()["left_out"]) == (ALL, [], 0)
    assert notes == ["patterns that the index keeps now: none", "2 photos taken again that had been left out"]
    assert np.array_equal(built.embeddings(), before)


def test_a_photo_that_changed_while_it_was_left_out_is_embedded_again(photos, folder):
    build(photos, folder)
    build_with(photos, folder, ["b.png", "trip/"])
    grey(photos, b=200)
    (photos / "trip/c.png").unlink()
    built = build_with(photos, folder)
    assert rows(built) == {"a.png": 0, "b.png": 4, "trip/d.png": 3}
    assert (last(built), built.facts()["left_out"]) == ({"seen": 3, "added": 1}, 0)


def test_patterns_of_another_build_replace_those_that_the_index_keeps(photos, folder):
    build_with(photos, folder, ["trip/"])
    assert rows(build_with(photos, folder, ["/a.png"])).keys() == {"b.png", "trip/c.png", "trip/d.png"}
    assert rows(build_with(photos, folder, ["*.png"], ["trip/c.png"])).keys() == {"trip/c.png"}
    facts = Index.open(folder).facts()
    assert (facts["exclude"], facts["include"]) == (["*.png"], ["trip/c.png"])


def test_an_ignore_file_and_its_end_do_the_same(photos, folder, unread):
    build(photos, folder)
    (photos / "trip/.photoseekignore").write_text("*\n!d.png\n")
    assert rows(build(photos, folder, **unread())) == {"a.png": 0, "b.png": 1, "trip/d.png": 3}
    (photos / "trip/.photoseekignore").unlink()
    assert rows(build(photos, folder, **unread())) == ALL


def test_a_nomedia_file_leaves_out_what_is_indexed(photos, folder):
    build(photos, folder)
    (photos / "trip/.nomedia").touch()
    built = build(photos, folder)
    assert (rows(built), built.facts()["passed_over"]) == ({"a.png": 0, "b.png": 1}, {"nomedia": 2})


def test_thumbnails_that_an_older_version_indexed_are_left_out(photos, folder, unread):
    build(photos, folder)
    (photos / "trip").rename(photos / "@eaDir")
    with closing(sqlite3.connect(folder / "catalogue.sqlite", isolation_level=None)) as catalogue:
        catalogue.execute("UPDATE photos SET path = CAST(replace(path, 'trip', '@eaDir') AS BLOB)")
    assert rows(Index.open(folder))["@eaDir/c.png"] == 2
    built = build(photos, folder, **unread())
    assert (rows(built), built.facts()["left_out"]) == ({"a.png": 0, "b.png": 1}, 2)
    assert rows(build_with(photos, folder, [], ["@eaDir"], **unread()))["@eaDir/c.png"] == 2


def test_a_row_that_a_copy_elsewhere_has_stays_alive(photos, folder):
    shutil.copy(photos / "trip/c.png", photos / "copy.png")
    build(photos, folder)
    built = build_with(photos, folder, ["trip/"])
    assert (rows(built), built.catalogue.dead_rows()) == ({"a.png": 0, "b.png": 1, "copy.png": 2}, [3])


def test_all_photos_may_be_left_out_at_once_but_not_by_mistake(photos, folder):
    build(photos, folder)
    built = build_with(photos, folder, ["*"])
    assert (rows(built), built.catalogue.dead_rows(), built.facts()["left_out"]) == ({}, [0, 1, 2, 3], 4)
    assert rows(build_with(photos, folder)) == ALL
    line = f"no photos found under '{photos}' (passed over: 4 left out by patterns (1 folder))"
    assert refusal(lambda: build_with(photos, folder.with_name("new"), ["*"])) == line
    assert not folder.with_name("new").exists()


def test_a_pattern_that_is_none_changes_nothing(photos, folder):
    build_with(photos, folder, ["b.png"])
    assert refusal(lambda: build_with(photos, folder, ["!"])) == "--exclude: '!' is no pattern of gitignore"
    assert Index.open(folder).facts()["exclude"] == ["b.png"]


def test_rows_that_wait_for_their_photos_survive_regions(photos, folder):
    build(photos, folder)
    build_with(photos, folder, ["trip/"])
    assert build(photos, folder, regions=True).manifest.has_regions
    # Their rows have no regions, so they are embedded again when they are taken back.
    built = build_with(photos, folder)
    assert rows(built) == {"a.png": 0, "b.png": 1, "trip/c.png": 4, "trip/d.png": 5}
    assert np.count_nonzero(built.regions()[4:]) > 0


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "gif"])
def test_our_own_contact_sheets_are_no_photos(photos, folder, ending):
    build(photos, folder)
    hit = Hit(1, str(photos / "b.png"), 0.5, 0.5, 8, 8)
    write_sheet([SearchResult("1", "a dog", (hit,), good_match=True)] * 3, photos / f"a.{ending}")
    built = build(photos, folder)
    assert rows(built)[f"a.{ending}"] == "a contact sheet of photoseek"
    # One of them has replaced a photo.
    assert built.catalogue.dead_rows() == ([0] if ending == "png" else [])
    assert last(built)["skipped"] == 1


def test_what_was_passed_over_is_kept_by_kind_and_root(photos, folder, tmp_path):
    for name in ("notes.txt", "film.mp4", "film2.mp4", "@eaDir/x.jpg"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).touch()
    grey(tmp_path / "more", e=9)
    (tmp_path / "more/film.mkv").touch()
    build(photos, folder)
    built = build(tmp_path / "more", folder)
    assert built.facts()["passed_over"] == {"thumbnails": 1, "videos": 3, "texts": 1}
    listed = [
        (root, f.kind, f.files, f.folders, f.photos, f.paths) for root, f in built.catalogue.unindexed.passed_over()
    ]
    assert listed == [
        (os.fsencode(photos), "texts", 1, 0, 0, [b"notes.txt"]),
        (os.fsencode(photos), "thumbnails", 0, 1, 1, [b"@eaDir/"]),
        (os.fsencode(tmp_path / "more"), "videos", 1, 0, 0, [b"film.mkv"]),
        (os.fsencode(photos), "videos", 2, 0, 0, [b"film.mp4", b"film2.mp4"]),
    ]


def test_more_paths_than_are_kept_are_counted_all_the_same(photos, folder, monkeypatch):
    monkeypatch.setattr("indexer.building.changes.KEPT_PATHS", 3)
    for number in range(5):
        (photos / f"{number}.txt").touch()
    [(_, texts)] = build(photos, folder).catalogue.unindexed.passed_over()
    assert (texts.files, texts.paths) == (5, [b"0.txt", b"1.txt", b"2.txt"])


def test_what_a_walk_could_not_read_is_listed_as_skipped_until_it_can(photos, folder):
    (photos / "gone.jpg").symlink_to("nowhere")
    (photos / "loop").symlink_to(photos)
    (photos / "broken.png").write_bytes(b"")
    built = build(photos, folder)
    facts = built.facts()
    assert facts["skipped"] == last(built)["skipped"] == 3
    assert facts["photos"] == 4
    assert facts["skipped_photos"] == [
        ("broken.png", "empty file"),
        ("gone.jpg", "cannot be read: No such file or directory"),
        ("loop", "link loop: leads back to a folder that holds it"),
    ]
    (photos / "gone.jpg").unlink()
    assert build(photos, folder).facts()["skipped"] == 2


def test_rehash_reads_what_comes_back_and_finds_what_size_and_time_hide(photos, folder):
    build(photos, folder)
    build_with(photos, folder, ["trip/"])
    before = (photos / "trip/c.png").stat()
    (photos / "trip/c.png").write_bytes((photos / "b.png").read_bytes())
    os.utime(photos / "trip/c.png", ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert (photos / "trip/c.png").stat().st_size == before.st_size
    rehash = Decoding(workers=2, checks=FileChecks(rehash=True))
    built = build_with(photos, folder, decoding=rehash)
    assert (rows(built), built.catalogue.dead_rows()) == ({**ALL, "trip/c.png": 1}, [2])
    assert built.facts()["left_out"] == 0


def test_a_skipped_photo_that_is_left_out_is_tried_again_when_it_is_taken_again(photos, folder):
    (photos / "trip/broken.png").write_bytes(b"no")
    build(photos, folder)
    built = build_with(photos, folder, ["trip/"])
    assert (built.facts()["skipped"], built.facts()["left_out"], last(built)) == (0, 2, {"seen": 2})
    skipped = []
    built = build_with(photos, folder, callbacks=BuildCallbacks(on_skip=lambda item: skipped.append(item.path)))
    assert (skipped, last(built)) == ([b"trip/broken.png"], {"seen": 5, "skipped": 1})
    assert build(photos, folder, encoder=Refusing()).facts()["skipped"] == 1


def test_an_interrupted_build_tells_what_its_walk_passed_over(photos, folder):
    build(photos, folder)
    (photos / "film.mp4").touch()
    (photos / "new.png").write_bytes((photos / "a.png").read_bytes() + b"new")

    def interrupt(done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(photos, folder, callbacks=BuildCallbacks(on_progress=interrupt))
    assert Index.open(folder).facts()["passed_over"] == {"videos": 1}


def test_links_to_photos_of_the_folder_go_from_an_index_that_had_them(photos, folder):
    before = build(photos, folder)
    expected = rows(before)
    (photos / "again").symlink_to("trip")
    (photos / "z.png").symlink_to("a.png")
    built = build(photos, folder, encoder=Refusing())
    assert (rows(built), last(built)) == (expected, {"seen": 4})
    assert built.facts()["passed_over"] == {"linked": 2}
