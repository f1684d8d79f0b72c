import warnings
from pathlib import Path

import pytest

from indexer.errors import PhotoseekWarning
from indexer.inference.export import export_folder, export_once, fingerprint, kept_export


def test_a_fingerprint_is_the_name_and_a_digest_of_settings_and_files(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"abc")
    # sha256(settings + sha256(b"abc")), its first 16 hex digits, as indexes and rankers keep it.
    assert fingerprint("tiny", [tmp_path / "weights"], "('v1',)") == "tiny@27c4c16f2ffc373e"
    assert fingerprint("tiny", [], "('v1',)") != fingerprint("tiny", [], "('v2',)")


def test_an_export_is_named_after_its_fingerprint(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path))
    assert export_folder("file:/a b/c.onnx@0123") == tmp_path / "encoders" / "file--a-b-c.onnx-0123"


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Exports:
    """Writes an export of two files and counts how often."""

    count = 0

    def __call__(self, folder: Path) -> None:
        self.count += 1
        (folder / "model.bin").write_bytes(b"weights %d" % self.count)
        (folder / "encoder.json").write_text("{}")


def test_an_export_is_written_once(cache: Path) -> None:
    write = Exports()
    folder = export_once("tiny@1", write)
    assert (export_once("tiny@1", write), write.count) == (folder, 1)
    assert kept_export("tiny@1") == folder
    assert sorted(path.name for path in folder.iterdir()) == ["encoder.json", "files.json", "model.bin"]


@pytest.mark.parametrize("name", ["model.bin", "encoder.json", "files.json"])
def test_a_damaged_export_is_made_again_with_a_note(cache: Path, name: str) -> None:
    write = Exports()
    folder = export_once("tiny@1", write)
    (folder / name).write_bytes((folder / name).read_bytes()[:-3])
    assert kept_export("tiny@1") is None
    with pytest.warns(PhotoseekWarning, match="tiny-1 was damaged and is made again"):
        assert export_once("tiny@1", write) == folder
    assert (write.count, (folder / "model.bin").read_bytes()) == (2, b"weights 2")
    assert kept_export("tiny@1") == folder


def test_an_export_of_an_older_version_is_made_again_where_the_cache_can_be_written(cache: Path) -> None:
    write = Exports()
    folder = export_once("tiny@1", write)
    (folder / "files.json").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (export_once("tiny@1", write), write.count) == (folder, 2)
