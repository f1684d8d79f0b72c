"""Photos of a folder, and of the photo folders of judged data."""

import os
from pathlib import Path

from reranker.judgments.photo_folders import find_photos, photo_files


def put(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


def test_photos_are_files_with_a_photo_suffix_and_links_to_nothing_by_name(tmp_path: Path) -> None:
    put(tmp_path / "b.JPG", tmp_path / "a.webp", tmp_path / "notes.txt", tmp_path / "below" / "c.png")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpeg").symlink_to(tmp_path / "nowhere.jpeg")
    found = photo_files(tmp_path)
    assert list(found.items()) == [(name, tmp_path / name) for name in ("a.webp", "b.JPG", "gone.jpeg")]


def test_of_two_photos_of_one_name_the_first_folder_is_read(tmp_path: Path) -> None:
    train, test = tmp_path / "train_images", tmp_path / "test_images"
    put(test / "b.png", test / "a.png", train / "b.png", train / "c.png", tmp_path / "other" / "d.png")
    photos, sets = find_photos(tmp_path)
    assert list(photos.items()) == [("b.png", train / "b.png"), ("c.png", train / "c.png"), ("a.png", test / "a.png")]
    assert sets == {"train_images": ("b.png", "c.png"), "test_images": ("a.png", "b.png")}
