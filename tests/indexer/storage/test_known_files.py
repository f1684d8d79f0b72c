"""Files that a catalogue knows: those that were skipped, and the digests of the others."""

import pytest

from indexer.photos.found_files import PhotoFile
from indexer.storage.catalogue import Catalogue
from indexer.storage.records import KnownFile, NewPhoto


@pytest.fixture
def catalogue(tmp_path):
    opened = Catalogue(tmp_path / "catalogue.sqlite", create=True)
    yield opened
    opened.close()


def put(catalogue: Catalogue, path: bytes, row: int) -> None:
    with catalogue.transaction():
        catalogue.add(catalogue.root_id(b"/photos"), NewPhoto(path, 5, 7, b"%d" % row, 30, 20), row, new_row=True)


def test_a_skipped_photo_is_known_with_the_word_that_says_when_to_try_it_again(catalogue):
    put(catalogue, b"a.jpg", 0)
    root = catalogue.root_id(b"/photos")
    with catalogue.transaction():
        catalogue.add_skipped(root, PhotoFile(b"b.jpg", 3, 8), "empty file", "decoder 1")
        catalogue.add_skipped(root, PhotoFile(b"c.jpg", 4, 9), "no permission", "always")
    as_skipped = {b"b.jpg": KnownFile(3, 8, None, "decoder 1"), b"c.jpg": KnownFile(4, 9, None, "always")}
    assert catalogue.known_files(root) == {b"a.jpg": KnownFile(5, 7, 0)} | as_skipped
    with catalogue.transaction():
        catalogue.add_skipped(root, PhotoFile(b"b.jpg", 3, 8), "too large", "pixels 9")
        catalogue.remove(root, [b"c.jpg"])
    put(catalogue, b"c.jpg", 1)
    assert catalogue.known_files(root) == {
        b"a.jpg": KnownFile(5, 7, 0),
        b"b.jpg": KnownFile(3, 8, None, "pixels 9"),
        b"c.jpg": KnownFile(5, 7, 1),
    }


def test_a_photo_that_an_older_version_skipped_has_no_such_word(catalogue):
    root = catalogue.root_id(b"/photos")
    with catalogue.transaction():
        catalogue.add_skipped(root, PhotoFile(b"b.jpg", 3, 8), "empty file", "always")
    catalogue._run("DELETE FROM failures")
    assert catalogue.known_files(root) == {b"b.jpg": KnownFile(3, 8, None, None)}


def test_the_beginnings_of_digests_are_sorted_numbers(catalogue):
    root = catalogue.root_id(b"/photos")
    assert catalogue.digest_beginnings().tolist() == []
    digests = [bytes([255] * 16), bytes(16), bytes([0] * 7 + [1] + [9] * 8)]
    with catalogue.transaction():
        catalogue.add_many(root, [NewPhoto(b"%d" % n, 1, 1, d, 1, 1) for n, d in enumerate(digests)], 0)
    assert catalogue.digest_beginnings().tolist() == [0, 1, 2**64 - 1]
