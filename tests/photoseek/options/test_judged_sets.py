"""Arguments of `train`: FOLDER, FOLDER:PHOTOS, FOLDER:PHOTOS=WEIGHT, tables of captions; and the names of sets."""

from pathlib import Path

import click
import pytest

from photoseek.options.judged_sets import JUDGED_FOLDER, JUDGED_SET, JudgedSet, set_names


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("flickr", "a=2", "b:c"):
        (tmp_path / name).mkdir()
    (tmp_path / "words.tsv").write_text("caption\na dog\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flickr", JudgedSet(Path("flickr"))),
        ("flickr:train", JudgedSet(Path("flickr"), "train")),
        ("flickr=2.5", JudgedSet(Path("flickr"), None, 2.5)),
        ("flickr:train=0.5", JudgedSet(Path("flickr"), "train", 0.5)),
        ("flickr=100", JudgedSet(Path("flickr"), None, 100.0)),
        ("words.tsv", JudgedSet(Path("words.tsv"))),
        # A folder whose name has these signs is taken as it is.
        ("a=2", JudgedSet(Path("a=2"))),
        ("b:c", JudgedSet(Path("b:c"))),
        ("b:c=3", JudgedSet(Path("b:c"), None, 3.0)),
        ("b:c:train=3", JudgedSet(Path("b:c"), "train", 3.0)),
        ("a=2:dev=3", JudgedSet(Path("a=2"), "dev", 3.0)),
        ("a=2=3", JudgedSet(Path("a=2"), None, 3.0)),
    ],
)
def test_a_judged_set_is_a_folder_perhaps_with_photos_and_a_weight(root: Path, text: str, expected: JudgedSet) -> None:
    assert JUDGED_SET.convert(text, None, None) == expected
    assert JUDGED_SET.convert(expected, None, None) is expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("none", "no such folder; give a judged folder, FOLDER[:PHOTOS][=WEIGHT]"),
        ("none:train=2", "no such folder; give a judged folder, FOLDER[:PHOTOS][=WEIGHT]"),
        ("flickr=much", "weight 'much' is not a number"),
        ("flickr:train=", "weight '' is not a number"),
        ("flickr=0", "a weight is above 0 and at most 100"),
        ("flickr=-1", "a weight is above 0 and at most 100"),
        ("flickr=101", "a weight is above 0 and at most 100"),
        ("flickr=nan", "a weight is above 0 and at most 100"),
        ("flickr=inf", "a weight is above 0 and at most 100"),
    ],
)
def test_what_is_no_judged_set_is_misuse(root: Path, text: str, reason: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        JUDGED_SET.convert(text, None, None)
    assert caught.value.message == f"{text!r}: {reason}"


def test_sets_are_named_after_their_folders_and_no_two_alike() -> None:
    sets = [
        JudgedSet(Path("x/flickr")),
        JudgedSet(Path("y/flickr")),
        JudgedSet(Path("x/flickr"), "dev"),
        JudgedSet(Path("x/flickr"), "dev", 2.0),
        JudgedSet(Path("y/flickr")),
        JudgedSet(Path("coco"), "train"),
    ]
    assert set_names(sets) == ["flickr", "flickr-2", "flickr-dev", "flickr-dev-2", "flickr-3", "coco"]


def test_a_folder_that_is_named_by_a_dot_has_its_own_name(root: Path) -> None:
    assert set_names([JudgedSet(Path())]) == [root.name]


def test_where_photos_are_needed_a_table_of_captions_is_misuse(root: Path) -> None:
    assert JUDGED_FOLDER.convert("flickr:train=2", None, None) == JudgedSet(Path("flickr"), "train", 2.0)
    with pytest.raises(click.BadParameter) as caught:
        JUDGED_FOLDER.convert("words.tsv", None, None)
    assert caught.value.message == ("'words.tsv' is a file; give a judged folder with photos, FOLDER[:PHOTOS][=WEIGHT]")
