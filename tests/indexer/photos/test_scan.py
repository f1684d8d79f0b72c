import inspect
import os
import socket
import sys
from pathlib import Path

import pytest

from indexer.errors import PhotoseekError
from indexer.photos.found_files import PassedOver, PhotoFile, Skipped
from indexer.photos.rules.patterns import Patterns
from indexer.photos.scan import NOT_REGULAR, hidden_folders, walk
from photo_tree import write

LOOP = "link loop: leads back to a folder that holds it"


def paths(root: Path) -> list[bytes]:
    found = list(walk(root))
    assert not any(isinstance(item, Skipped) for item in found), found
    return [item.path for item in found if isinstance(item, PhotoFile)]


def test_a_photo_comes_with_its_relative_path_size_and_time(tmp_path):
    write(tmp_path, "trip/one.jpg", content=b"12345")
    os.utime(tmp_path / "trip/one.jpg", ns=(7, 1_600_000_000_123_456_789))
    assert list(walk(tmp_path)) == [PhotoFile(b"trip/one.jpg", 5, 1_600_000_000_123_456_789)]


def test_folders_are_walked_to_any_depth_with_names_in_byte_order(tmp_path):
    write(tmp_path, "b.jpg", "B.jpg", "a/2.jpg", "a/10.jpg", "a/deep/x.jpg", "a.jpg", "\u00e9.jpg", "z.jpg")
    assert paths(tmp_path) == [
        b"B.jpg",  # capitals come before small letters
        b"a/10.jpg",
        b"a/2.jpg",
        b"a/deep/x.jpg",
        b"a.jpg",  # the name "a" sorts before "a.jpg"
        b"b.jpg",
        b"z.jpg",
        b"\xc3\xa9.jpg",  # bytes above 127 come last
    ]


def test_a_photo_is_told_by_its_suffix_in_any_case(tmp_path):
    write(tmp_path, "a.JPG", "b.Jpeg", "c.heic", "d.tar.webp", "e.CR2", "f.txt", "g.jpg.part", "jpg", "h.mp4", "i.svg")
    assert paths(tmp_path) == [b"a.JPG", b"b.Jpeg", b"c.heic", b"d.tar.webp", b"e.CR2"]


def test_an_empty_folder_and_a_folder_without_photos_give_no_photos(tmp_path):
    assert list(walk(tmp_path)) == []
    write(tmp_path, "notes.txt", "sub/readme.md")
    assert list(walk(tmp_path)) == [PassedOver(b"notes.txt", "texts"), PassedOver(b"sub/readme.md", "texts")]


def test_a_folder_with_a_photos_name_is_a_folder(tmp_path):
    write(tmp_path, "album.jpg/inside.png")
    assert paths(tmp_path) == [b"album.jpg/inside.png"]


@pytest.mark.parametrize(
    "name",
    [
        b"two words.jpg",
        b" .jpg",
        b"line\nbreak.jpg",
        b"not utf-8 \xff\xfe.jpg",
        b"\xe2\x80\xaegnp.jpg",  # a right-to-left override
        b"\x1b[31mred\x1b[0m.jpg",  # a terminal escape
        b"-rf.jpg",
        b"quote'\"$(x).jpg",
        "\u5199\u771f \U0001f408.jpg".encode(),
    ],
)
def test_an_odd_name_comes_out_as_the_bytes_on_disk(tmp_path, name):
    write(tmp_path, name, b"sub " + name + b"/" + name)
    assert paths(tmp_path) == sorted([name, b"sub " + name + b"/" + name])


def test_linked_folders_and_files_are_followed(tmp_path):
    write(tmp_path, "elsewhere/a.jpg", content=b"123")
    root = tmp_path / "root"
    root.mkdir()
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    (root / "file.jpg").symlink_to(tmp_path / "elsewhere/a.jpg")
    (tmp_path / "elsewhere/b.jpg").write_bytes(b"1234")
    found = [item for item in walk(root) if isinstance(item, PhotoFile)]
    assert [(item.path, item.size) for item in found] == [(b"file.jpg", 3), (b"folder/b.jpg", 4)]


def kinds(root, *arguments):
    """Return the paths of the photos, and path and kind of what is passed over."""
    found = list(walk(root, *arguments))
    assert not [item for item in found if isinstance(item, Skipped)]
    passed_over = [(item.path, item.kind) for item in found if isinstance(item, PassedOver)]
    return [item.path for item in found if isinstance(item, PhotoFile)], passed_over


def test_a_photo_is_counted_once_however_many_links_lead_to_it(tmp_path):
    write(tmp_path, "m/one.jpg", "m/IMG")
    (tmp_path / "m/IMG").write_bytes(b"\xff\xd8\xff\xe0")
    os.link(tmp_path / "m/one.jpg", tmp_path / "hard.jpg")
    links = {"a": "m", "a.jpg": "m/one.jpg", "m/self.jpg": "one.jpg", "z": "m", "img.jpg": "m/IMG"}
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    photos, passed_over = kinds(tmp_path)
    assert photos == [b"hard.jpg", b"m/IMG", b"m/one.jpg"]
    assert sorted(passed_over) == sorted((name.encode(), "linked") for name in links)
    # A part of the folder has no other photos than the whole.
    assert kinds(tmp_path, None, frozenset(), b"m") == ([b"m/IMG", b"m/one.jpg"], [(b"m/self.jpg", "linked")])


def test_a_link_to_what_is_left_out_or_no_photo_by_its_name_is_the_only_way_to_it(tmp_path):
    write(tmp_path, ".git/annex/a1", ".git/annex/a2", "blobs/1.bin", "raw/x.jpg", "raw/y.jpg")
    links = {"a.jpg": ".git/annex/a1", "again.jpg": ".git/annex/a1", "b.jpg": ".git/annex/a2", "c.jpg": "blobs/1.bin"}
    for name, target in (links | {"x.jpg": "raw/x.jpg", "rest": "raw"}).items():
        (tmp_path / name).symlink_to(target)
    photos, passed_over = kinds(tmp_path, Patterns(exclude=("/raw/",)))
    assert photos == [b"a.jpg", b"b.jpg", b"c.jpg", b"rest/x.jpg", b"rest/y.jpg"]
    assert (b"again.jpg", "linked") in passed_over
    assert (b"x.jpg", "linked") in passed_over


def test_folders_behind_links_are_counted_once(tmp_path):
    write(tmp_path, "disk/one.jpg", "disk/sub/two.jpg", "disk/.hidden/three.jpg")
    root = tmp_path / "root"
    root.mkdir()
    links = {"a": "disk/sub", "b": "disk", "c": "disk", "d": "disk/sub", "e.jpg": "disk/one.jpg"}
    for name, target in (links | {"f": "disk/.hidden"}).items():
        (root / name).symlink_to(tmp_path / target)
    photos, passed_over = kinds(root)
    assert photos == [b"a/two.jpg", b"b/one.jpg", b"f/three.jpg"]
    linked = [b"b/sub", b"c", b"d", b"e.jpg"]
    assert sorted(passed_over) == [(b"b/.hidden", "hidden"), *((path, "linked") for path in linked)]


def test_a_link_loop_is_skipped_and_named(tmp_path):
    write(tmp_path, "a/b/one.jpg")
    (tmp_path / "a/b/up").symlink_to(tmp_path / "a")
    (tmp_path / "a/b/self").symlink_to(".")
    (tmp_path / "top").symlink_to(tmp_path)
    one, *loops = walk(tmp_path)
    assert one.path == b"a/b/one.jpg"
    assert loops == [Skipped(b"a/b/self", LOOP), Skipped(b"a/b/up", LOOP), Skipped(b"top", LOOP)]


def test_two_folders_that_link_to_each_other_end(tmp_path):
    write(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a/to_b").symlink_to(tmp_path / "b")
    (tmp_path / "b/to_a").symlink_to(tmp_path / "a")
    assert kinds(tmp_path) == ([b"a/1.jpg", b"b/2.jpg"], [(b"a/to_b", "linked"), (b"b/to_a", "linked")])
    # From outside, each is behind the other.
    for name in ("x", "y"):
        write(tmp_path, f"{name}/root/own.jpg")
    (tmp_path / "x/root/in").symlink_to(tmp_path / "y")
    (tmp_path / "y/out").symlink_to(tmp_path / "x")
    assert [item for item in walk(tmp_path / "x/root") if not isinstance(item, PhotoFile)] == [
        Skipped(b"in/out/root", LOOP)
    ]


def test_a_link_that_leads_to_itself_is_named_whatever_its_name(tmp_path):
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "round.jpg").symlink_to("round.jpg")
    reason = "cannot be read: Too many levels of symbolic links"
    assert list(walk(tmp_path)) == [Skipped(b"round", reason, is_folder=True), Skipped(b"round.jpg", reason)]


def test_a_broken_link_is_skipped_only_if_it_stood_for_a_photo(tmp_path):
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "gone.txt").symlink_to("nowhere")
    (tmp_path / "gone").symlink_to("nowhere")
    assert list(walk(tmp_path)) == [
        PassedOver(b"gone", "links"),
        Skipped(b"gone.jpg", "cannot be read: No such file or directory"),
        PassedOver(b"gone.txt", "links"),
    ]


def test_a_folder_that_cannot_be_listed_is_named_and_the_rest_is_seen(tmp_path, monkeypatch):
    write(tmp_path, "a/1.jpg", "locked/2.jpg", "z/3.jpg")
    scandir = os.scandir

    def refusing(folder):
        if os.fsencode(folder).endswith(b"locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)  # a mode of 000 would not keep root out
    first, locked, last = walk(tmp_path)
    assert (first.path, last.path) == (b"a/1.jpg", b"z/3.jpg")
    assert locked == Skipped(b"locked", "folder cannot be read: Permission denied", is_folder=True)


def test_what_cannot_be_looked_at_is_named_and_may_be_a_folder(tmp_path, monkeypatch):
    write(tmp_path, "1.jpg", "share/2.jpg", "stale.jpg")
    look = os.stat

    def failing(path, **options):
        if os.path.basename(os.fsencode(path)) in (b"share", b"stale.jpg"):
            raise OSError(5, "Input/output error")
        return look(path, **options)

    monkeypatch.setattr(os, "stat", failing)
    first, share, stale = walk(tmp_path)
    assert first.path == b"1.jpg"
    assert share == Skipped(b"share", "cannot be read: Input/output error", is_folder=True)
    assert stale == Skipped(b"stale.jpg", "cannot be read: Input/output error")


def test_pipes_sockets_and_devices_with_a_photos_name_are_named_and_never_opened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    monkeypatch.chdir(tmp_path)  # a socket's whole path may have 107 bytes only
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.gif")
        monkeypatch.setattr(os, "open", None)
        monkeypatch.setattr("builtins.open", None)
        found = list(walk("."))
    assert found == [
        Skipped(b"device.png", NOT_REGULAR),
        PassedOver(b"pipe", "other"),
        Skipped(b"pipe.jpg", NOT_REGULAR),
        Skipped(b"socket.gif", NOT_REGULAR),
    ]


def test_folders_nested_deeper_than_python_recurses_are_walked(tmp_path):
    deep = "d/" * 100 + "y.jpg"
    write(tmp_path, "x.jpg", deep)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 60)
    try:
        found = [item.path for item in walk(tmp_path)]
    finally:
        sys.setrecursionlimit(limit)
    assert found == [os.fsencode(deep), b"x.jpg"]


def test_a_root_may_be_a_link_and_may_be_hidden(tmp_path):
    write(tmp_path, ".real/a.jpg")
    (tmp_path / "link").symlink_to(".real")
    assert paths(tmp_path / "link") == paths(tmp_path / ".real") == [b"a.jpg"]
    assert [item.path for item in walk(f"{tmp_path}/link/")] == [b"a.jpg"]


def test_a_missing_root_is_refused(tmp_path):
    with pytest.raises(PhotoseekError) as refusal:
        list(walk(tmp_path / "nowhere"))
    assert str(refusal.value) == f"photo folder '{tmp_path}/nowhere' cannot be read: No such file or directory"


def test_a_root_that_is_a_file_or_a_pipe_is_refused(tmp_path):
    write(tmp_path, "photo.jpg")
    os.mkfifo(tmp_path / "pipe")
    for name in ("photo.jpg", "pipe"):
        with pytest.raises(PhotoseekError) as refusal:
            list(walk(tmp_path / name))
        assert str(refusal.value) == f"photo folder '{tmp_path}/{name}' cannot be read: Not a directory"


def test_a_root_that_cannot_be_listed_is_refused(tmp_path, monkeypatch):
    def refusing(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(PhotoseekError) as refusal:
        list(walk(tmp_path))
    assert str(refusal.value) == f"photo folder '{tmp_path}' cannot be read: Permission denied"


def test_a_refusal_escapes_what_a_terminal_would_obey(tmp_path):
    with pytest.raises(PhotoseekError) as refusal:
        list(walk("\x1b[31m\u202e\udcff"))
    assert str(refusal.value) == r"photo folder '\x1b[31m\u202e\udcff' cannot be read: No such file or directory"


def test_folders_of_known_photos_that_became_links_to_nowhere_are_hidden_and_not_gone(tmp_path):
    write(tmp_path, "here/1.jpg", "2.jpg")
    for name in ("disk", "here/disk.jpg"):
        (tmp_path / name).symlink_to("/not/mounted")
    (tmp_path / "unknown").symlink_to("/not/mounted")
    known = [b"2.jpg", b"here/1.jpg", b"disk/a/b/3.jpg", b"disk/4.jpg", b"here/disk.jpg/5.jpg", b"gone/6.jpg"]
    reason = "link leads nowhere; the photos known below it are kept"
    found = [item for item in walk(tmp_path) if isinstance(item, PhotoFile)]
    missing = [path for path in known if path not in (b"2.jpg", b"here/1.jpg")]
    assert hidden_folders(os.fsencode(tmp_path), missing, found) == [
        Skipped(b"disk", reason, is_folder=True),
        Skipped(b"here/disk.jpg", reason, is_folder=True),
    ]
