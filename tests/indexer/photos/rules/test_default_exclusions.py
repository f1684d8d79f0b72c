import os

import pytest

from indexer.photos.found_files import PassedOver, PhotoFile
from indexer.photos.rules.default_exclusions import FOLDERS, kind_of_folder
from indexer.photos.rules.patterns import Patterns
from indexer.photos.scan import LOOKED_AT, walk
from photo_tree import write

KINDS = {"thumbnails", "bins", "snapshots", "caches", "hidden"}


def found(root, **options):
    """Return the paths of the photos, and what was passed over as {path: (kind, photos below)}."""
    items = list(walk(root, **options))
    over = {item.path.decode(): (item.kind, item.photos) for item in items if isinstance(item, PassedOver)}
    return [item.path.decode() for item in items if isinstance(item, PhotoFile)], over


@pytest.mark.parametrize(("name", "kind", "why"), FOLDERS)
def test_every_folder_of_the_table_is_left_out_in_any_case(tmp_path, name, kind, why):
    assert kind in KINDS
    assert why
    place = name.replace("*", "x")
    for number, written in enumerate((place, place.upper(), place.lower())):
        root = tmp_path / str(number)
        write(root, f"album/{written}/deep/a.jpg", "album/b.jpg")
        assert found(root) == (["album/b.jpg"], {f"album/{written}": (kind, 1)})


@pytest.mark.parametrize(
    "name",
    ["eaDir", "recycle", "snapshot", "thumb", "Thumbelina", "lost", "cache", "preview", "data", "Originals", "x.lrcat"],
)
def test_folders_with_similar_names_are_walked(tmp_path, name):
    write(tmp_path, f"{name}/a.jpg")
    assert found(tmp_path) == ([f"{name}/a.jpg"], {})


def test_the_photos_of_a_photo_library_are_its_originals(tmp_path):
    for library in ("A.photoslibrary", "B.PhotoLibrary", "C.aplibrary", "D.migratedphotolibrary"):
        write(
            tmp_path / library,
            "originals/1/a.heic",
            "resources/derivatives/1/a.jpg",
            "database/Photos.sqlite",
            "private/x.jpg",
        )
    write(tmp_path, "B.PhotoLibrary/Masters/2019/b.jpg")
    photos, over = found(tmp_path)
    assert photos == [
        "A.photoslibrary/originals/1/a.heic",
        "B.PhotoLibrary/Masters/2019/b.jpg",
        "B.PhotoLibrary/originals/1/a.heic",
        "C.aplibrary/originals/1/a.heic",
        "D.migratedphotolibrary/originals/1/a.heic",
    ]
    assert {kind for kind, _ in over.values()} == {"thumbnails"}
    assert over["A.photoslibrary/resources"] == ("thumbnails", 1)
    assert over["A.photoslibrary/database"] == ("thumbnails", 0)


def test_a_library_that_a_build_names_is_walked_in_its_originals_alone(tmp_path):
    library = tmp_path / "A.photoslibrary"
    write(library, "originals/a.heic", "resources/derivatives/a.jpg")
    assert found(library)[0] == ["originals/a.heic"]


def test_hidden_files_and_folders_are_left_out(tmp_path):
    write(tmp_path, ".hidden.jpg", ".cache/a.jpg", "in/.private/b.jpg", ".jpg", "._seen.jpg", ".DS_Store", "seen.jpg")
    photos, over = found(tmp_path)
    assert photos == ["seen.jpg"]
    hidden = {".hidden.jpg": 0, ".cache": 1, "in/.private": 1, ".jpg": 0, "._seen.jpg": 0, ".DS_Store": 0}
    assert over == {path: ("hidden", photos) for path, photos in hidden.items()}


def test_synologys_thumbnails_are_told_by_their_names_outside_of_their_folder_too(tmp_path):
    write(tmp_path, "SYNOPHOTO_THUMB_XL.jpg", "SYNOFILE_THUMB_M.jpg", "photo.jpg")
    thumbnails = dict.fromkeys(("SYNOPHOTO_THUMB_XL.jpg", "SYNOFILE_THUMB_M.jpg"), ("thumbnails", 0))
    assert found(tmp_path) == (["photo.jpg"], thumbnails)


def test_a_folder_with_nomedia_is_left_out_with_all_below_it(tmp_path):
    write(tmp_path, "chat/.nomedia", "chat/a.jpg", "chat/deep/b.jpg", "c.jpg")
    assert found(tmp_path) == (["c.jpg"], {"chat": ("nomedia", 2)})


def test_our_own_index_folders_are_left_out(tmp_path):
    write(tmp_path, "idx/manifest.json", "idx/catalogue.sqlite", "idx/views/x.jpg", "site/manifest.json", "site/a.jpg")
    assert found(tmp_path) == (["site/a.jpg"], {"idx": ("indexes", 1), "site/manifest.json": ("texts", 0)})


@pytest.mark.parametrize("name", ["@eaDir", ".hidden", "thumbs", "plain"])
def test_a_folder_that_a_build_names_is_walked_whatever_it_is(tmp_path, name):
    write(tmp_path / name, ".nomedia", "a.jpg")
    assert found(tmp_path / name) == (["a.jpg"], {})


def test_a_linked_folder_is_left_out_by_the_name_of_the_link(tmp_path):
    write(tmp_path, "elsewhere/a.jpg")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "@eaDir").symlink_to(tmp_path / "elsewhere")
    assert found(tmp_path / "root") == ([], {"@eaDir": ("thumbnails", 1)})


def test_folders_that_are_left_out_are_not_looked_into_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("indexer.photos.scan.LOOKED_AT", 5)
    assert LOOKED_AT == 10_000
    write(tmp_path, *(f"@eaDir/{number}.jpg" for number in range(4)), *(f"thumbs/{n}.jpg" for n in range(3)))
    write(tmp_path, "trashbox/a.jpg")
    items = [item for item in walk(tmp_path) if isinstance(item, PassedOver)]
    assert items == [
        PassedOver(b"@eaDir", "thumbnails", True, 4, True),
        PassedOver(b"thumbs", "thumbnails", True, 2, False),
        PassedOver(b"trashbox", "bins", True, 1, False),
    ]


def test_what_a_folder_that_is_left_out_links_to_is_not_counted(tmp_path):
    write(tmp_path, "@eaDir/a.jpg", "elsewhere/b.jpg")
    (tmp_path / "@eaDir" / "link").symlink_to(tmp_path / "elsewhere")
    os.symlink("nowhere", tmp_path / "@eaDir" / "gone")
    assert found(tmp_path) == (["elsewhere/b.jpg"], {"@eaDir": ("thumbnails", 1)})


def test_includes_win_over_the_defaults(tmp_path):
    write(
        tmp_path, "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "thumbs/b.jpg", "thumbs/keep/c.jpg", ".hidden.jpg", "x/.nomedia"
    )
    write(tmp_path, "x/d.jpg", "x/.nomedia")
    photos, over = found(tmp_path, patterns=Patterns(include=("thumbs/keep/", "/x/", ".hidden.jpg")))
    assert photos == [".hidden.jpg", "thumbs/keep/c.jpg", "x/d.jpg"]
    # Folders that are left out are looked through, so what is left out in them is counted one by one.
    left_out = ("@eaDir", "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "thumbs", "thumbs/b.jpg")
    assert over == dict.fromkeys(left_out, ("thumbnails", 0))


def test_the_parent_decides_where_a_name_alone_says_nothing():
    assert kind_of_folder(b"cache", b"storage") == "caches"
    assert kind_of_folder(b"cache", b"music") is None
    assert kind_of_folder(b"Masters", b"x.photoslibrary") is None
    assert kind_of_folder(b"Thumbnails", b"x.photoslibrary") == "thumbnails"
