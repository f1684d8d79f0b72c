"""Sealed folders: whole as long as every listed file has its checksum."""

from pathlib import Path

import pytest

from indexer.storage.integrity.sealed_folder import LIST, is_sealed, seal_folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "export"
    (folder / "inner").mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"weights" * 1000)
    (folder / "facts.json").write_text("{}")
    (folder / "inner" / "later").write_text("not listed")
    seal_folder(folder)
    return folder


def test_a_folder_is_sealed_while_its_files_are_as_they_were(folder: Path) -> None:
    assert is_sealed(folder)
    (folder / "inner" / "later").write_text("changed")
    (folder / "another").write_text("new")
    assert is_sealed(folder)


@pytest.mark.parametrize("name", ["model.bin", "facts.json", LIST])
def test_a_changed_cut_or_missing_file_breaks_the_seal(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    for other in (data[:-3], b"", bytes([data[0] ^ 1]) + data[1:], data[:-3] + b"x" + data[-2:]):
        (folder / name).write_bytes(other)
        assert not is_sealed(folder), other[-20:]
    (folder / name).write_bytes(data)
    assert is_sealed(folder)
    (folder / name).unlink()
    assert not is_sealed(folder)


def test_a_folder_that_was_never_sealed_or_is_not_there_is_not(tmp_path: Path) -> None:
    assert not is_sealed(tmp_path)
    assert not is_sealed(tmp_path / "none")
