import os
import unicodedata

import pytest

from indexer.errors import PhotoseekError
from indexer.photos.found_files import PassedOver, PhotoFile, Skipped
from indexer.photos.rules.patterns import FolderRules, Patterns
from indexer.photos.scan import walk
from photo_tree import write


def taken(root, exclude=(), include=()):
    return [i.path.decode() for i in walk(root, Patterns(exclude, include)) if isinstance(i, PhotoFile)]


def left_out(root, exclude=(), include=()):
    items = [item for item in walk(root, Patterns(exclude, include)) if isinstance(item, PassedOver)]
    assert {item.kind for item in items} <= {"patterns"}
    return [item.path.decode() for item in items]


@pytest.fixture
def tree(tmp_path):
    names = ("a.jpg", "a.png", "raw/b.jpg", "raw/best/c.jpg", "2019/raw/d.jpg", "2019/e.png", "2019/f.jpg")
    write(tmp_path, *names)
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("*.png",), ["2019/f.jpg", "2019/raw/d.jpg", "a.jpg", "raw/b.jpg", "raw/best/c.jpg"]),
        (("raw/",), ["2019/e.png", "2019/f.jpg", "a.jpg", "a.png"]),
        (("/raw/",), ["2019/e.png", "2019/f.jpg", "2019/raw/d.jpg", "a.jpg", "a.png"]),
        (("raw",), ["2019/e.png", "2019/f.jpg", "a.jpg", "a.png"]),
        (("a.jpg/",), ["2019/e.png", "2019/f.jpg", "2019/raw/d.jpg", "a.jpg", "a.png", "raw/b.jpg", "raw/best/c.jpg"]),
        (("/*/*.png",), ["2019/f.jpg", "2019/raw/d.jpg", "a.jpg", "a.png", "raw/b.jpg", "raw/best/c.jpg"]),
        (("2019/**", "!2019/f.jpg"), ["2019/f.jpg", "a.jpg", "a.png", "raw/b.jpg", "raw/best/c.jpg"]),
        # As in git, nothing comes back below a folder that is left out: the folder is not looked into.
        (("/raw/", "!/raw/best/"), ["2019/e.png", "2019/f.jpg", "2019/raw/d.jpg", "a.jpg", "a.png"]),
        (("/raw/*", "!/raw/best/", "2019"), ["a.jpg", "a.png", "raw/best/c.jpg"]),
        (("# no comment", "", "*.jpg"), ["2019/e.png", "a.png"]),
    ],
)
def test_excluded_is_what_git_would_ignore(tree, patterns, expected):
    assert taken(tree, patterns) == expected


def test_a_pattern_of_an_option_that_begins_with_a_hash_is_no_comment(tmp_path):
    """Folders of NAS systems are called so."""
    write(tmp_path, "#recycle/a.jpg", "#mine/b.jpg", "c.jpg", "#mine/d.jpg")
    assert taken(tmp_path, include=("#recycle/",)) == ["#mine/b.jpg", "#mine/d.jpg", "#recycle/a.jpg", "c.jpg"]
    assert taken(tmp_path, exclude=("#mine",), include=("#recycle/",)) == ["#recycle/a.jpg", "c.jpg"]
    assert taken(tmp_path, exclude=("#mine/*", "!#mine/d.jpg", "#recycle")) == ["#mine/d.jpg", "c.jpg"]
    write(tmp_path, ".photoseekignore", content=b"#mine\n\\#mine/b.jpg\n")
    assert taken(tmp_path) == ["#mine/d.jpg", "c.jpg"]


def test_an_include_is_asked_only_of_files_that_are_left_out(tree, monkeypatch):
    asked = []
    includes = FolderRules.includes

    def asking(rules, path):
        asked.append(path)
        return includes(rules, path)

    monkeypatch.setattr(FolderRules, "includes", asking)
    assert taken(tree, ("*.png",), ("e.png",)) == [
        *("2019/e.png", "2019/f.jpg", "2019/raw/d.jpg"),
        *("a.jpg", "raw/b.jpg", "raw/best/c.jpg"),
    ]
    assert [path for path in asked if not path.endswith(b"/")] == [b"2019/e.png", b"a.png"]


def test_what_patterns_leave_out_is_counted_with_the_photos_in_folders(tree):
    found = [item for item in walk(tree, Patterns(("raw/", "/a.*"))) if isinstance(item, PassedOver)]
    assert found == [
        PassedOver(b"2019/raw", "patterns", True, 1),
        PassedOver(b"a.jpg", "patterns"),
        PassedOver(b"a.png", "patterns"),
        PassedOver(b"raw", "patterns", True, 2),
    ]


def test_an_include_wins_over_excludes_and_is_found_inside_of_folders_that_are_left_out(tree):
    assert taken(tree, ("raw/", "*.png"), ("/raw/best/", "e.png")) == [
        "2019/e.png",
        "2019/f.jpg",
        "a.jpg",
        "raw/best/c.jpg",
    ]
    expected = ["2019/raw", "2019/raw/d.jpg", "a.png", "raw", "raw/b.jpg"]
    assert left_out(tree, ("raw/", "*.png"), ("/raw/best/", "e.png")) == expected


def test_an_include_does_not_make_photos_of_other_files(tmp_path):
    write(tmp_path, "a.xyz", "b.jpg")
    assert taken(tmp_path, include=("*.xyz",)) == ["b.jpg"]


def test_an_ignore_file_holds_below_its_folder_and_the_deepest_decides(tree):
    write(tree, ".photoseekignore", content=b"# mine\n\n*.png\nraw/\n")
    assert taken(tree) == ["2019/f.jpg", "a.jpg"]
    write(tree, "2019/.photoseekignore", content=b"!e.png\r\n/f.jpg\r\n")
    assert taken(tree) == ["2019/e.png", "a.jpg"]
    # Options go before files: what one says is what a build does.
    assert taken(tree, exclude=("e.png", "!/a.png")) == ["a.jpg", "a.png"]
    assert taken(tree, include=("raw/best/",)) == ["2019/e.png", "a.jpg", "raw/best/c.jpg"]


def test_an_ignore_file_takes_back_what_the_defaults_leave_out(tmp_path):
    write(tmp_path, "thumbs/a.jpg", ".old/b.jpg", "c/.nomedia", "c/d.jpg", ".photoseekignore", content=b"")
    write(tmp_path, ".photoseekignore", content=b"!thumbs/\n!/.old/\n!c/\n")
    assert taken(tmp_path) == [".old/b.jpg", "c/d.jpg", "thumbs/a.jpg"]


def test_an_ignore_file_that_begins_with_a_byte_order_mark_is_read(tmp_path):
    write(tmp_path, "a.jpg", "b.jpg")
    write(tmp_path, ".photoseekignore", content=b"\xef\xbb\xbfa.jpg\n")
    assert taken(tmp_path) == ["b.jpg"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_fit_in_either_form(tmp_path, form):
    name = unicodedata.normalize(form, "\u00c9t\u00e9")
    write(tmp_path, f"{name}/a.jpg", "b.jpg")
    for typed in ("NFC", "NFD"):
        assert taken(tmp_path, (unicodedata.normalize(typed, "\u00c9t\u00e9/"),)) == ["b.jpg"]


def test_names_that_are_not_utf8_are_left_out_by_patterns_too(tmp_path):
    write(tmp_path, b"\xff.png", b"\xff.jpg", b"\xfe/a.jpg")
    found = [item.path for item in walk(tmp_path, Patterns(("*.png", "\udcfe/"))) if isinstance(item, PhotoFile)]
    assert found == [b"\xff.jpg"]


def test_an_ignore_file_that_cannot_be_read_hides_its_folder_and_leaves_the_rest(tmp_path, monkeypatch):
    write(tmp_path, "a/1.jpg", "b/2.jpg", "b/.photoseekignore", "c/3.jpg")
    (tmp_path / "c/.photoseekignore").mkdir()
    os.mkfifo(tmp_path / "a/.photoseekignore")
    write(tmp_path, "b/.photoseekignore", content=b"good\n!\n")
    assert list(walk(tmp_path)) == [
        Skipped(b"a", ".photoseekignore in it cannot be read: not a regular file", is_folder=True),
        Skipped(b"b", "b/.photoseekignore: '!' is no pattern of gitignore", is_folder=True),
        Skipped(b"c", ".photoseekignore in it cannot be read: Is a directory", is_folder=True),
    ]


def test_an_ignore_file_of_the_root_that_cannot_be_read_refuses_the_root(tmp_path):
    write(tmp_path, "a.jpg", ".photoseekignore", content=b"[z-a]\n")
    with pytest.raises(PhotoseekError) as refusal:
        list(walk(tmp_path))
    line = f"photo folder '{tmp_path}': .photoseekignore: '[z-a]' is no pattern of gitignore"
    assert str(refusal.value) == line


@pytest.mark.parametrize("option", ["exclude", "include"])
@pytest.mark.parametrize("bad", ["!", "\\", "[z-a]"])
def test_an_option_that_is_no_pattern_is_refused(tmp_path, option, bad):
    with pytest.raises(PhotoseekError) as refusal:
        list(walk(tmp_path, Patterns(**{option: ("*.jpg", bad)})))
    assert str(refusal.value) == f"--{option}: {bad!r} is no pattern of gitignore"


def test_patterns_come_back_from_the_text_that_keeps_them():
    patterns = Patterns(("a b/", "!\u00e9"), ("*.\udcff",))
    assert Patterns.from_json(patterns.to_json()) == patterns
    assert Patterns.from_json(None) == Patterns()
    assert patterns.described() == "--exclude 'a b/' --exclude '!\u00e9' --include '*.\udcff'"
    assert Patterns().described() == "none"
