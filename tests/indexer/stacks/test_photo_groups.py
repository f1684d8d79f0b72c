import shutil
from pathlib import Path

from indexer.stacks.photo_groups import GroupedPhoto
from unusual_photos.made_stacks import build, sample_photo, write_single


def test_the_best_copy_comes_first_and_exact_duplicates_belong_to_their_group(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    write_single(root, "cat", "coins", "rocket")
    photo = sample_photo("cat")
    half = photo.resize((photo.width // 2, photo.height // 2))
    half.save(root / "half.jpg", quality=60)
    photo.save(root / "cat.png")
    shutil.copy(root / "half.jpg", root / "a half again.jpg")
    shutil.copy(root / "coins.jpg", root / "coins again.jpg")
    index = build(root, tmp_path / "index")

    def grouped(name: str, size: tuple[int, int]) -> GroupedPhoto:
        return GroupedPhoto(str(root / name), *size, (root / name).stat().st_size)

    coins = sample_photo("coins").size
    assert (root / "cat.png").stat().st_size > (root / "cat.jpg").stat().st_size
    assert index.groups() == [
        (
            grouped("cat.png", photo.size),
            grouped("cat.jpg", photo.size),
            grouped("a half again.jpg", half.size),
            grouped("half.jpg", half.size),
        ),
        (grouped("coins again.jpg", coins), grouped("coins.jpg", coins)),
    ]


def test_a_file_below_two_roots_is_one_photo(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    write_single(root / "below", "cat")
    write_single(root, "coins")
    build(root, tmp_path / "index")
    assert build(root / "below", tmp_path / "index").groups() == []
