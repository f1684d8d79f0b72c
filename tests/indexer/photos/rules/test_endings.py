import os
from io import BytesIO

import pytest
from PIL import Image

from indexer.photos.content import RAW_SUFFIXES, kind_of_content
from indexer.photos.file_head import is_contact_sheet
from indexer.photos.found_files import PassedOver, PhotoFile, Skipped
from indexer.photos.rules.endings import KIND_OF_ENDING, SUFFIXES, kind_of_ending
from indexer.photos.scan import walk
from photo_tree import write


def test_an_ending_has_one_kind():
    assert not SUFFIXES & set(KIND_OF_ENDING)
    assert all(ending == ending.lower() and ending.startswith(b".") for ending in (*SUFFIXES, *KIND_OF_ENDING))
    assert {b".dng", b".cr3", b".nrw", b".x3f"} < RAW_SUFFIXES


def test_endings_that_a_decoder_reads_are_photos(tmp_path):
    names = [
        "a.HIF",
        "a.Tiff",
        "a.avif",
        "a.avifs",
        "a.cr3",
        "a.gpr",
        "a.heics",
        "a.heif",
        "a.heifs",
        "a.j2c",
        "a.jfi",
        "a.jif",
        "a.jp2",
        "a.jpc",
        "a.jps",
        "a.jxl",
        "a.mpo",
        "a.nrw",
        "a.pfm",
        "a.ppm",
        "a.psd",
        "a.raw",
    ]
    write(tmp_path, *names)
    assert [item.path.decode() for item in walk(tmp_path) if isinstance(item, PhotoFile)] == names


def test_files_that_are_no_photos_are_counted_by_kind(tmp_path):
    kinds = {
        "a.mp4": "videos",
        "b.MOV": "videos",
        "c.mp3": "sounds",
        "d.txt": "texts",
        "e.pdf": "documents",
        "f.tar.gz": "archives",
        "g.jpg.xmp": "sidecars",
        "h.AAE": "sidecars",
        "i.svg": "pictures",
        "j.xyz": "other",
    }
    write(tmp_path, *kinds)
    assert list(walk(tmp_path)) == [PassedOver(name.encode(), kind) for name, kind in kinds.items()]
    assert kind_of_ending(b"") == "other"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000", "AVIF"])
def test_a_file_without_an_ending_is_told_by_its_first_bytes(tmp_path, kind):
    picture = BytesIO()
    Image.new("RGB", (16, 16), "red").save(picture, kind)
    write(tmp_path, "IMG_0001", content=picture.getvalue())
    [found] = walk(tmp_path)
    assert (found.path, found.size) == (b"IMG_0001", len(picture.getvalue()))


def test_a_heic_file_without_an_ending_is_a_photo():
    assert kind_of_content(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic") == "HEIF"
    assert kind_of_content(b"\0\0\0\x18ftypmp42\0\0\0\0isommp42") is None


@pytest.mark.parametrize("content", [b"", b"\xff", b"#!/bin/sh\n", b"BMW is a car maker", b"RIFF\0\0\0\0WAVE", b"GIF"])
def test_any_other_file_without_an_ending_is_none(tmp_path, content):
    write(tmp_path, "README", content=content)
    assert list(walk(tmp_path)) == [PassedOver(b"README", "other")]


def test_only_files_without_an_ending_are_opened(tmp_path, monkeypatch):
    write(tmp_path, "a.jpg", "b.txt", "c.v2", "README")
    opened = []
    monkeypatch.setattr("indexer.photos.scan.holds_photo", lambda path: opened.append(os.path.basename(path)))
    monkeypatch.setattr("builtins.open", None)
    list(walk(tmp_path))
    assert opened == [b"README"]


def test_a_file_without_an_ending_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    write(tmp_path, "IMG_0001")

    def refusing(path, *_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refusing)  # a mode of 000 would not keep root out
    assert list(walk(tmp_path)) == [Skipped(b"IMG_0001", "cannot be read: Permission denied")]


def test_a_link_without_an_ending_to_a_photo_is_a_photo(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path.parent / "a.png")
    (tmp_path / "best").symlink_to("../a.png")
    (tmp_path / "notes").symlink_to("/etc/passwd")
    found = list(walk(tmp_path))
    assert [item.path for item in found if isinstance(item, PhotoFile)] == [b"best"]
    assert found[-1] == PassedOver(b"notes", "other")


def test_a_sheet_is_told_by_its_mark_at_either_end():
    mark, rest = b"photoseek contact sheet", b"\xff\xd8" + b"x" * 9000
    assert [is_contact_sheet(data) for data in (mark + rest, rest + mark, mark)] == [True] * 3
    assert [is_contact_sheet(data) for data in (rest, rest + mark + rest, b"", mark[1:])] == [False] * 4
