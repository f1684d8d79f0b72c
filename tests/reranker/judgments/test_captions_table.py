"""One table of photos and captions: what is read, what is a bad row, what is refused."""

from pathlib import Path

import pytest

from indexer.errors import PhotoseekError
from reranker.judgments.captions_table import read_captions, read_captions_table
from reranker.judgments.checks import check_judgments
from reranker.judgments.judged_folder import load_judgments
from reranker.judgments.judgments import Judgments
from reranker.judgments.tables import BadRow, GoodRow
from reranker.training.train_ranker import training_photos

TABLE = (
    "image\tsplit\tcaption\n"
    'b.jpg\ttest\t" Cafe " on a sign.\n'
    "a.jpg\ttrain\tA dog.\n"
    "c#1.jpg\tdev\tA cat \n"
    "b.jpg\ttest\tA street.\n"
)


def write(folder: Path, table: str = TABLE, photos: str = "photos") -> Path:
    (folder / photos).mkdir(parents=True, exist_ok=True)
    for name in ("a.jpg", "b.jpg", "c#1.jpg", "unnamed.jpg"):
        (folder / photos / name).write_text("")
    (folder / "captions.tsv").write_text(table)
    return folder


@pytest.mark.parametrize("photos", ["photos", "."])
def test_a_folder_with_a_table_of_captions_is_judged_data(tmp_path: Path, photos: str) -> None:
    folder = write(tmp_path, photos=photos)
    parts = {"train": ("a.jpg",), "dev": ("c#1.jpg",), "test": ("b.jpg",)}
    expected = Judgments(
        folder=folder,
        photos={name: folder / photos / name for name in ("a.jpg", "b.jpg", "c#1.jpg")},
        sets=parts,
        splits=parts,
        captions={
            "b.jpg#0": '" Cafe " on a sign.',
            "b.jpg#1": "A street.",
            "a.jpg#0": "A dog.",
            "c#1.jpg#0": "A cat",
        },
        expert=(),
        crowd=(),
    )
    assert load_judgments(folder) == expected
    assert read_captions_table(folder / "captions.tsv") == expected


def test_without_a_split_every_photo_is_to_train_on(tmp_path: Path) -> None:
    judgments = load_judgments(write(tmp_path, "caption\timage\nA dog.\ta.jpg\nA street.\tb.jpg\n"))
    assert judgments.sets == judgments.splits == {"train": ("a.jpg", "b.jpg")}
    assert judgments.captions == {"a.jpg#0": "A dog.", "b.jpg#0": "A street."}


def test_training_takes_the_train_photos_or_the_split_that_is_asked_for(tmp_path: Path) -> None:
    judgments = load_judgments(write(tmp_path))
    assert training_photos(judgments, None) == ("a.jpg",)
    assert training_photos(judgments, "dev") == ("c#1.jpg",)


BAD_ROWS = [
    ("x.jpg\ttrain\tA dog.", "unknown photos", "photo x.jpg is not in photos or beside the table"),
    ("../a.jpg\ttrain\tA dog.", "unknown photos", "photo ../a.jpg is not in photos or beside the table"),
    ("a.jpg\ttrain\t ", "captions without text", "a caption of a.jpg has no text"),
    ("a.jpg\tval\tA dog.", "malformed rows", "split 'val' is not train, dev or test"),
    ("a.jpg\t\tA dog.", "malformed rows", "split '' is not train, dev or test"),
    ("a.jpg\ttest\tA dog.", "contradictory rows", "photo a.jpg is in test, and in train before"),
    ("a.jpg\tA dog.", "malformed rows", "2 fields, the header has 3"),
    ("a.jpg\ttrain\tA dog.\tA cat.", "malformed rows", "4 fields, the header has 3"),
]


@pytest.mark.parametrize(("row", "check", "reason"), BAD_ROWS)
def test_a_bad_row_is_reported_or_refused_and_changes_nothing_else(
    tmp_path: Path, row: str, check: str, reason: str
) -> None:
    good, folder = load_judgments(write(tmp_path)), write(tmp_path, TABLE + row + "\n")
    path = folder / "captions.tsv"
    with pytest.raises(PhotoseekError) as refusal:
        load_judgments(folder)
    assert str(refusal.value) == f"{path} line 6: {reason} (--keep-going drops such rows)"
    bad: list[BadRow] = []
    assert read_captions_table(folder, bad.append) == good
    assert bad == [BadRow(check, path, 6, reason)]
    assert load_judgments(folder, keep_going=True).dropped == 1


def test_used_rows_are_reported_so_that_a_caption_that_is_there_twice_is_found(tmp_path: Path) -> None:
    folder = write(tmp_path, TABLE + "a.jpg\ttrain\tA dog.\n")
    good: list[GoodRow] = []
    read_captions_table(folder, on_good=good.append)
    assert good[1] == GoodRow(folder / "captions.tsv", 3, ("a.jpg", "A dog."), ("train",))
    assert len(good) == 5
    found = {finding.check: finding.rows for finding in check_judgments(folder, None) if finding.rows}
    assert found == {"duplicate rows": (f"{folder / 'captions.tsv'}:6: a.jpg A dog. again, as in line 3",)}


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("image\ttext\na.jpg\tA dog.\n", "no column 'caption'; it has 'image', 'text'"),
        ("image,caption\na.jpg,A dog.\n", "no column 'image'; it has 'image,caption'"),
    ],
)
def test_a_header_without_a_column_is_refused_even_with_keep_going(tmp_path: Path, table: str, problem: str) -> None:
    folder = write(tmp_path, table)
    with pytest.raises(PhotoseekError) as refusal:
        load_judgments(folder, keep_going=True)
    assert str(refusal.value) == f"{folder / 'captions.tsv'}: {problem}"


def test_a_table_without_a_usable_row_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "image\tcaption\n") / "captions.tsv"
    with pytest.raises(PhotoseekError) as refusal:
        read_captions_table(path)
    assert str(refusal.value) == f"judged data {path}: no caption of a photo"
    with pytest.raises(PhotoseekError) as refusal:
        read_captions_table(tmp_path / "no" / "table.tsv")
    assert str(refusal.value) == f"judged data {tmp_path / 'no' / 'table.tsv'}: no such file"


def test_captions_are_read_alone_without_photos(tmp_path: Path) -> None:
    table = tmp_path / "texts.tsv"
    table.write_text('image\tcaption\nx.jpg\t" Cafe " on a sign.\n\ny.jpg\t A dog.\ny.jpg\tA dog.\n')
    assert read_captions(table) == ('" Cafe " on a sign.', "A dog.", "A dog.")
    table.write_text("image\tcaption\nx.jpg\tA dog.\nx.jpg\t \n")
    with pytest.raises(PhotoseekError) as refusal:
        read_captions(table)
    assert str(refusal.value) == f"{table} line 3: no text"
    dropped: list[BadRow] = []
    assert read_captions(table, dropped.append) == ("A dog.",)
    assert [row.line for row in dropped] == [3]
    table.write_text("caption\n")
    with pytest.raises(PhotoseekError) as refusal:
        read_captions(table)
    assert str(refusal.value) == f"judged data {table}: no caption"
