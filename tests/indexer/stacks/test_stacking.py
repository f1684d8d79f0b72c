import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from indexer.index import Index
from indexer.photos.rules.patterns import Patterns, PhotoFolders
from indexer.stacks import stacking
from indexer.storage.catalogue import Catalogue
from indexer.storage.tables.stack_tables import CURRENT_SETTING
from photo_samples import JPEG, dng
from unusual_photos.made_stacks import GENTLE, build, groups, sample_photo, write_burst, write_single

OTHERS = ("coins", "retina", "grass", "galaxies", "bricks")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two bursts and five other photos."""
    folder = tmp_path / "photos"
    for name in ("cat", "rocket"):
        write_burst(folder, name)
    write_single(folder, *OTHERS)
    return folder


def burst(name: str, *without: int) -> set[str]:
    return {f"{name}-{place}.jpg" for place in range(GENTLE.frames + len(GENTLE.copies)) if place not in without}


def test_bursts_and_copies_in_several_sizes_are_groups(root: Path, tmp_path: Path) -> None:
    assert groups(build(root, tmp_path / "index")) == [burst("cat"), burst("rocket")]


def test_builds_in_any_order_find_what_one_build_finds(root: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in root.iterdir())
    grown = tmp_path / "grown"
    grown.mkdir()
    for part in (names[::3], names[1::3], names[2::3]):
        for name in part:
            shutil.copy2(root / name, grown)
        index = build(grown, tmp_path / "index")
    assert groups(index) == [burst("cat"), burst("rocket")]
    once = build(root, tmp_path / "once")
    linked = [
        {
            frozenset(opened.catalogue.photos_of_rows([row])[row][0].path for row in pair)
            for pair in opened.catalogue.stacks.links().tolist()
        }
        for opened in (index, once)
    ]
    assert linked[0] == linked[1]
    assert len(linked[0]) > 50


def test_removed_changed_and_moved_photos_leave_and_join_groups(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    build(root, folder)
    kept = (root / "cat-0.jpg").read_bytes()
    (root / "cat-0.jpg").unlink()
    sample_photo("coffee").save(root / "cat-1.jpg")
    (root / "trip").mkdir()
    (root / "rocket-3.jpg").rename(root / "trip" / "rocket-3.jpg")
    assert groups(build(root, folder)) == [burst("cat", 0, 1), burst("rocket")]
    for path in root.glob("cat-[2-9].jpg"):
        path.unlink()
    assert groups(build(root, folder)) == [burst("rocket")]
    # What comes back finds its links again: of the cat, the first frame alone is there, then a copy of other bytes.
    (root / "cat-0.jpg").write_bytes(kept)
    with Image.open(root / "cat-0.jpg") as photo:
        photo.save(root / "again.png")
    assert groups(build(root, folder)) == [{"again.png", "cat-0.jpg"}, burst("rocket")]


def test_a_build_without_changes_leaves_the_stacks_alone(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(root, tmp_path / "index")
    monkeypatch.setattr(stacking, "group", None)
    monkeypatch.setattr(stacking, "links_of_new", None)
    assert groups(build(root, tmp_path / "index")) == [burst("cat"), burst("rocket")]


def test_the_next_build_finishes_what_was_cut_short(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as cut:
        cut.setattr("indexer.building.builder.update_stacks", None)
        with pytest.raises(TypeError):
            build(root, tmp_path / "index")
    assert groups(Index.open(tmp_path / "index")) == []
    assert groups(build(root, tmp_path / "index")) == [burst("cat"), burst("rocket")]


def test_an_index_of_an_older_version_gets_its_stacks_without_embedding(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "index"
    build(root, folder)
    with closing(Catalogue(folder / "catalogue.sqlite", writable=True)) as catalogue:
        for table in ("perceptual_hashes", "links", "stacks"):
            catalogue._run(f"DROP TABLE {table}")
        catalogue._run("DELETE FROM settings")
    assert groups(Index.open(folder)) == []
    (root / "cat-7.jpg").unlink()
    monkeypatch.setattr("indexer.building.photo_writer.embed_files", lambda *_, **__: iter_nothing())
    assert groups(build(root, folder)) == [burst("cat", 7), burst("rocket")]


def iter_nothing():
    """Yield nothing, as the pipeline does when no file is new."""
    yield from ()


def test_many_photos_are_compared_with_their_neighbours(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacking, "EVERY_PAIR_ROWS", 10)
    folder = tmp_path / "index"
    assert groups(build(root, folder)) == [burst("cat"), burst("rocket")]
    write_burst(root, "coffee", replace(GENTLE, frames=3))
    (root / "rocket-0.jpg").unlink()
    assert groups(build(root, folder)) == [
        burst("cat"),
        {f"coffee-{place}.jpg" for place in range(5)},
        burst("rocket", 0),
    ]


def test_an_index_that_grows_beyond_every_pair_is_as_one_that_was_built_at_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in root.glob("rocket-*"):
        path.rename(moved / path.name)
    monkeypatch.setattr(stacking, "EVERY_PAIR_ROWS", 20)
    index = build(root, tmp_path / "index")
    for path in moved.iterdir():
        path.rename(root / path.name)
    index, once = build(root, tmp_path / "index"), build(root, tmp_path / "once")
    assert groups(index) == groups(once) == [burst("cat"), burst("rocket")]
    assert len(index.catalogue.stacks.links()) == len(once.catalogue.stacks.links())


def test_raw_and_jpeg_of_one_name_are_a_group_whatever_they_look_like(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    write_single(root, "cat", "coins")
    (root / "cat.DNG").write_bytes(dng(JPEG, 1))
    (root / "other.dng").write_bytes(dng(JPEG + b"\0\0", 1))
    found = groups(build(root, tmp_path / "index"))
    assert {"cat.jpg", "cat.DNG"} <= next(group for group in found if "cat.jpg" in group)
    assert all("coins.jpg" not in group for group in found)


def test_flat_pictures_and_mirrored_photos_are_no_group(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    write_single(root, "rocket")
    sample_photo("rocket").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "mirrored.png")
    for grey in (40, 41, 42):
        Image.new("RGB", (90, 60), (grey, grey, grey)).save(root / f"grey{grey}.png")
    assert groups(build(root, tmp_path / "index")) == []


def test_photos_that_are_left_out_moved_or_forgotten_leave_and_join_groups(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    (root / "trip").mkdir()
    (root / "cat-2.jpg").rename(root / "trip" / "cat-2.jpg")
    build(root, folder)
    out = build(PhotoFolders([root], Patterns(exclude=("rocket-*",))), folder)
    assert groups(out) == [burst("cat")]
    assert groups(build(PhotoFolders([root], Patterns()), folder)) == [burst("cat"), burst("rocket")]
    root.rename(root.with_name("renamed"))
    moved = build(root.with_name("renamed"), folder)
    assert groups(moved) == [burst("cat"), burst("rocket")]
    assert moved.forget(root.with_name("renamed") / "trip") == 1
    assert groups(Index.open(folder)) == [burst("cat", 2), burst("rocket")]
    assert Index.open(folder).catalogue.setting(CURRENT_SETTING) == "yes"
