import pytest

from indexer.stacks.same_shot import rows_of_one_shot
from indexer.storage.records import CataloguedPhoto


def shots(*paths: str, root: bytes = b"/photos") -> list[tuple[int, ...]]:
    """Give each path a row, in their order, and return the rows of the shots."""
    return rows_of_one_shot(CataloguedPhoto(root, path.encode(), 5, 7, row, None) for row, path in enumerate(paths))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("IMG_1.CR2", "IMG_1.JPG"),
        ("IMG_1.HEIC", "IMG_1.JPG"),
        ("img_1.dng", "IMG_1.heic"),
        ("trip/DSC1.NEF", "trip/DSC1.jpeg"),
        ("PXL_2025.RAW-01.COVER.jpg", "PXL_2025.RAW-02.ORIGINAL.dng"),
        ("PXL_2025.RAW-01.MP.COVER.jpg", "PXL_2025.RAW-02.ORIGINAL.dng"),
    ],
)
def test_two_formats_of_one_name_are_one_shot(one: str, other: str) -> None:
    assert shots("a.jpg", one, other) == [(1, 2)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("IMG_1.CR2", "IMG_2.JPG"),
        ("a/IMG_1.CR2", "b/IMG_1.JPG"),
        ("IMG_1.jpg", "IMG_1.jpeg"),
        ("IMG_1.jpg", "IMG_1.png"),
        ("IMG_1.CR2", "IMG_1.DNG"),
        ("2025.05.01.jpg", "2025.05.02.dng"),
    ],
)
def test_other_names_folders_and_formats_are_not(one: str, other: str) -> None:
    assert shots("a.jpg", one, other) == []


def test_three_formats_are_one_shot() -> None:
    assert shots("1.heic", "1.jpg", "2.jpg", "1.dng") == [(0, 1, 3)]


def test_skipped_photos_and_copies_count_once() -> None:
    skipped = CataloguedPhoto(b"/photos", b"1.cr2", 5, 7, None, "broken")
    copy = [CataloguedPhoto(b"/photos", name, 5, 7, 4, None) for name in (b"2.cr2", b"2.jpg")]
    assert rows_of_one_shot([skipped, CataloguedPhoto(b"/photos", b"1.jpg", 5, 7, 0, None), *copy]) == []
