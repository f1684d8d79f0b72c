import errno
import os

import pytest

from indexer.errors import PhotoseekError
from indexer.storage.atomic_files import (
    atomic_write,
    explain_disk_errors,
    make_folder_durably,
    publish_folder,
    scratch_folder,
    write_text_durably,
)


def test_a_text_is_replaced_whole_and_fsynced_before_its_name_and_after(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("old")
    seen = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        seen.append((os.readlink(f"/proc/self/fd/{descriptor}"), path.read_text()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    write_text_durably(path, "n\u00e9w")
    assert seen == [(str(tmp_path / ".a.json"), "old"), (str(tmp_path), "n\u00e9w")]
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_file_takes_its_name_when_the_block_ends(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with atomic_write(path) as scratch:
        scratch.write_text("new")
        assert (scratch.parent, scratch.suffix, path.read_text()) == (tmp_path, ".csv", "old")
    assert (path.read_text(), os.listdir(tmp_path)) == ("new", ["a.csv"])


def test_a_file_whose_block_fails_stays_as_it_was(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(FileExistsError), atomic_write(path) as scratch:
        scratch.touch(exist_ok=bool(scratch.write_text("")))
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["a.csv"])


def test_a_published_folder_stays_and_may_be_read_by_others(tmp_path):
    with scratch_folder(tmp_path, ".new-") as scratch:
        assert (scratch.name.startswith(".new-"), scratch.stat().st_mode & 0o777) == (True, 0o700)
        (scratch / "file").write_text("x")
        publish_folder(scratch, tmp_path / "name")
    assert os.listdir(tmp_path) == ["name"]
    assert ((tmp_path / "name").stat().st_mode & 0o777, os.listdir(tmp_path / "name")) == (0o755, ["file"])


def test_every_folder_that_is_made_is_fsynced_in_the_one_above(tmp_path, monkeypatch):
    seen = []

    def watched(descriptor: int) -> None:
        folder = os.readlink(f"/proc/self/fd/{descriptor}")
        seen.append((folder, os.listdir(folder)))

    monkeypatch.setattr(os, "fsync", watched)
    (tmp_path / "a").mkdir()
    make_folder_durably(tmp_path / "a/b/c")
    assert seen == [(f"{tmp_path}/a", ["b"]), (f"{tmp_path}/a/b", ["c"])]
    make_folder_durably(tmp_path / "a/b/c")
    assert len(seen) == 2


def test_a_folder_is_not_made_in_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match=r"exists|Not a directory"):
        make_folder_durably(tmp_path / "file/inner")


def test_a_scratch_folder_that_is_not_published_is_removed(tmp_path):
    with scratch_folder(tmp_path, ".new-") as scratch:
        (scratch / "file").write_text("x")
    with pytest.raises(ZeroDivisionError), scratch_folder(tmp_path, ".new-"):
        _ = 1 / 0
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (OSError("odd"), "odd"),
    ],
)
def test_what_the_disk_refuses_is_one_line_that_names_the_index(tmp_path, error, what):
    with pytest.raises(PhotoseekError) as refusal, explain_disk_errors(tmp_path):
        raise error
    assert str(refusal.value) == f"index {tmp_path}: {what}; what was committed is intact, run the build again"


def test_a_broken_pipe_and_mistakes_of_ours_are_not_of_the_disk(tmp_path):
    for kind in (BrokenPipeError, KeyError):
        with pytest.raises(kind), explain_disk_errors(tmp_path):
            raise kind


def test_a_new_folder_and_its_parents_have_their_names_on_the_disk(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    make_folder_durably(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert sorted(seen) == [str(tmp_path), str(tmp_path / "a")]
    make_folder_durably(tmp_path / "a" / "b")
    assert len(seen) == 2
