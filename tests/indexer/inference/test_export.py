from pathlib import Path

from indexer.inference.export import export_folder, fingerprint


def test_a_fingerprint_is_the_name_and_a_digest_of_settings_and_files(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"abc")
    # sha256(settings + sha256(b"abc")), its first 16 hex digits, as indexes and rankers keep it.
    assert fingerprint("tiny", [tmp_path / "weights"], "('v1',)") == "tiny@27c4c16f2ffc373e"
    assert fingerprint("tiny", [], "('v1',)") != fingerprint("tiny", [], "('v2',)")


def test_an_export_is_named_after_its_fingerprint(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path))
    assert export_folder("file:/a b/c.onnx@0123") == tmp_path / "encoders" / "file--a-b-c.onnx-0123"
