import os
import unicodedata

import pytest

from indexer.photos.folder_names import Folder, composed, existing_name, places_below

NFC, NFD = (os.fsencode(unicodedata.normalize(form, "\u00c9t\u00e9")) for form in ("NFC", "NFD"))


def encoded(path):
    return os.fsencode(path)


def is_same_folder(one, other):
    same = Folder.at(one).is_same(Folder.at(other))
    assert Folder.at(other).is_same(Folder.at(one)) is same
    return same


def path_inside(folder, root):
    return Folder.at(folder).inside(Folder.at(root))


@pytest.mark.parametrize(("typed", "there"), [(NFC, NFD), (NFD, NFC), (NFC, NFC)])
def test_a_name_is_found_on_disk_in_either_form(tmp_path, typed, there):
    root = encoded(tmp_path)
    os.makedirs(os.path.join(root, b"a", there, b"b", there))
    path = os.path.join(root, b"a", typed, b"b", typed)
    assert existing_name(path) == os.path.join(root, b"a", there, b"b", there)


def test_forms_may_be_mixed_in_one_path(tmp_path):
    root = encoded(tmp_path)
    os.makedirs(os.path.join(root, NFD, NFC))
    for typed in (os.path.join(NFC, NFC), os.path.join(NFD, NFD), os.path.join(NFC, NFD)):
        assert existing_name(os.path.join(root, typed)) == os.path.join(root, NFD, NFC)


def test_of_two_folders_the_one_that_was_typed_is_meant(tmp_path):
    root = encoded(tmp_path)
    for name in (NFC, NFD):
        os.mkdir(os.path.join(root, name))
        assert existing_name(os.path.join(root, name)) == os.path.join(root, name)
    assert not is_same_folder(os.path.join(root, NFC), os.path.join(root, NFD))


def test_a_name_that_is_nowhere_stays_as_it_is():
    assert existing_name(b"/nowhere/" + NFD + b"/\xff") == b"/nowhere/" + NFD + b"/\xff"
    assert is_same_folder(b"/nowhere/" + NFD, b"/nowhere/" + NFC)
    assert not is_same_folder(b"/nowhere/a", b"/nowhere/b")
    assert composed(b"a/\xff/" + NFD) == b"a/\xff/" + NFC


def test_links_and_bind_names_lead_to_the_same_folder(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert is_same_folder(encoded(tmp_path / "link"), encoded(tmp_path / "real"))
    assert not is_same_folder(encoded(tmp_path), encoded(tmp_path / "real"))


def test_what_is_inside_is_told_with_links_followed(tmp_path):
    (tmp_path / "real/a/b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    real, link = encoded(tmp_path / "real"), encoded(tmp_path / "link")
    assert path_inside(link + b"/a/b", real) == path_inside(real + b"/a/b", link) == b"a/b"
    assert path_inside(real, link) is None
    assert path_inside(encoded(tmp_path), real) is None
    assert path_inside(real, b"/") == real[1:]
    assert path_inside(b"/", b"/") is None
    assert path_inside(real + b"-more", real) is None


@pytest.mark.parametrize(
    ("root", "folder", "places"),
    [
        (b"/p", b"/p/a", [b"a"]),
        (b"/p", b"/p/a/../b", [b"b"]),
        (b"/p", b"a/b/", [b"a/b"]),
        (b"/p", b"/p", [b""]),
        (b"/p", b"/", [b""]),
        (b"/p", b".", [b""]),
        (b"/p", b"/q", []),
        (b"/p", b"../q", []),
        (b"/p", b"/pp/a", []),
        (b"/p", b"/p/" + NFD, [NFD, NFC]),
        (b"/" + NFD, b"/" + NFC + b"/a", [b"a"]),
    ],
)
def test_a_folder_has_its_places_below_a_root(root, folder, places):
    assert places_below(root, folder) == places


def test_a_folder_below_a_linked_root_is_found_by_its_real_name(tmp_path):
    (tmp_path / "real/a").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    real, link = encoded(tmp_path / "real"), encoded(tmp_path / "link")
    for one, other in ((link, real), (real, link)):
        assert places_below(one, other + b"/a") == places_below(one, other) == []
        assert places_below(one, other + b"/a", follow_links=True) == [b"a"]
        assert places_below(one, other, follow_links=True) == [b""]
