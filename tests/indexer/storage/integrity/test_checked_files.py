"""Files that were seen with their checksum are read once; any change makes this machine look again."""

import hashlib
import os
from pathlib import Path

import pytest

from indexer.storage.integrity import checked_files
from indexer.storage.integrity.checked_files import has_checksum


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Return a list that grows with every reading of a file."""
    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path / "cache"))
    counted: list[int] = []
    real = checked_files.digest_of_descriptor

    def digest(file: int) -> bytes:
        counted.append(file)
        return real(file)

    monkeypatch.setattr(checked_files, "digest_of_descriptor", digest)
    return counted


def look(path: Path, content: bytes) -> bool:
    with open(path, "rb") as file:
        file.read(3)
        found = has_checksum(file.fileno(), hashlib.sha256(content).digest())
        assert file.tell() == min(3, len(content)) or path.stat().st_size != len(content)
        return found


def test_a_file_is_read_once_while_it_is_the_same(tmp_path: Path, reads: list[int]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content" * 1_000_000)
    assert [look(path, b"content" * 1_000_000) for _ in range(3)] == [True] * 3
    assert len(reads) == 1


def test_a_changed_file_and_another_checksum_are_looked_at_again(tmp_path: Path, reads: list[int]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    assert look(path, b"content")
    path.write_bytes(b"c0ntent")
    assert [look(path, b"content"), look(path, b"content"), look(path, b"c0ntent")] == [False, False, True]
    (tmp_path / "new").write_bytes(b"content")
    os.replace(tmp_path / "new", path)
    assert [look(path, b"content"), look(path, b"c0ntent")] == [True, False]
    assert len(reads) == 6


def test_without_a_place_for_a_cache_every_look_reads(
    tmp_path: Path, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file")
    (tmp_path / "file").write_bytes(b"content")
    assert [look(tmp_path / "file", b"content") for _ in range(2)] == [True, True]
    assert len(reads) == 2


def test_the_oldest_are_forgotten(tmp_path: Path, reads: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked_files, "MOST_REMEMBERED", 2)
    for i in range(4):
        (tmp_path / str(i)).write_bytes(b"%d" % i)
        assert look(tmp_path / str(i), b"%d" % i)
        stamps = sorted((tmp_path / "cache" / "checked-files").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        os.utime(stamps[-1], ns=(i, i))
    assert len(stamps) == 2
