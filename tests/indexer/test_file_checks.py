import os

from indexer.file_checks import FileChecks, files_to_read, unsettled_files
from indexer.photos.found_files import PhotoFile
from indexer.photos.retry import OTHER_DECODER, Limits
from indexer.storage.records import KnownFile

LIMITS = Limits(max_pixels=1000, deadline=60.0)
SAME, NEW, TOUCHED, GROWN, BROKEN, LARGE = (PhotoFile(name, 5, 7) for name in (b"s", b"n", b"t", b"g", b"b", b"l"))
KNOWN = {
    b"s": KnownFile(5, 7, 0),
    b"t": KnownFile(5, 6, 1),
    b"g": KnownFile(4, 7, 2),
    b"b": KnownFile(5, 7, None, OTHER_DECODER),
    b"l": KnownFile(5, 7, None, "pixels 1000"),
}


def test_files_that_are_as_they_were_are_not_read_unless_they_may_be_readable_by_now():
    files = [SAME, NEW, TOUCHED, GROWN, BROKEN, LARGE]
    assert files_to_read(files, KNOWN, FileChecks(), LIMITS) == [NEW, TOUCHED, GROWN, LARGE]
    assert files_to_read(files, KNOWN, FileChecks(), Limits(999, 60.0)) == [NEW, TOUCHED, GROWN]
    assert files_to_read(files, KNOWN, FileChecks(rehash=True), LIMITS) == files
    again = FileChecks(retry_skipped=True)
    assert files_to_read(files, KNOWN, again, Limits(999, 60.0)) == [NEW, TOUCHED, GROWN, BROKEN, LARGE]


def test_a_file_that_changes_or_goes_between_two_looks_is_unsettled(tmp_path, monkeypatch):
    for name in ("still", "grows", "goes"):
        (tmp_path / name).write_bytes(b"12345")
    files = [
        PhotoFile(os.fsencode(path.name), path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(tmp_path.iterdir())
    ]
    waited = []

    def meanwhile(seconds: float) -> None:
        waited.append(seconds)
        (tmp_path / "grows").write_bytes(b"123456")
        (tmp_path / "goes").unlink()

    monkeypatch.setattr("time.sleep", meanwhile)
    root = os.fsencode(tmp_path)
    assert unsettled_files(root, files, FileChecks()) == []
    assert unsettled_files(root, [], FileChecks(settle_seconds=2.5)) == []
    assert waited == []
    assert [file.path for file in unsettled_files(root, files, FileChecks(settle_seconds=2.5))] == [b"goes", b"grows"]
    assert waited == [2.5]
