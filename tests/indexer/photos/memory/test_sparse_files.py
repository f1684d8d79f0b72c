import os
from pathlib import Path

from indexer.photos.memory.sparse_files import stored_bytes


def stored(path: Path) -> int:
    with open(path, "rb") as file:
        found = stored_bytes(file.fileno(), path.stat().st_size)
        assert file.read(1) == path.read_bytes()[:1]  # the position is the beginning again
        return found


def test_bytes_in_holes_are_not_stored(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 65_536)
    os.truncate(path, 10_000_000)
    assert stored(path) == 65_536
    with open(path, "r+b") as file:
        file.seek(4_194_304)
        file.write(b"y" * 65_536)
    assert stored(path) == 131_072
    os.truncate(path, 0)
    os.truncate(path, 10_000_000)
    assert stored(path) == 0


def test_a_file_without_holes_is_stored_whole(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100_001)
    assert stored(path) == 100_001


def test_bytes_that_a_file_system_packs_are_stored(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100_000)

    class Packed:
        st_blocks = 8

    descriptor = os.open(path, os.O_RDONLY)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", lambda _: Packed)
        assert stored_bytes(descriptor, 100_000) == 100_000
    os.close(descriptor)
