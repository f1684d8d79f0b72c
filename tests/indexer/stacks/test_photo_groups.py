import os
import shutil
from contextlib import closing
from pathlib import Path

from indexer.index import Index
from indexer.stacks.photo_groups import GroupedPhoto
from indexer.storage.catalogue import Catalogue
from indexer.storage.records import NewPhoto
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
    # Overlapping roots, as older versions left them.
    with closing(Catalogue(tmp_path / "index" / "catalogue.sqlite", writable=True)) as catalogue:
        (cat,) = (photo for photo in catalogue.all_photos() if photo.path == b"below/cat.jpg")
        below = catalogue.root_id(os.fsencode(root / "below"))
        with catalogue.transaction():
            photo = NewPhoto(b"cat.jpg", cat.size, cat.mtime_ns, catalogue.digests_of_rows([cat.row])[cat.row], 8, 8)
            catalogue.add(below, photo, cat.row, new_row=False)
        assert catalogue.rows_of_duplicates() == [cat.row]
    assert Index.open(tmp_path / "index").groups() == []
