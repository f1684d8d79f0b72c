import os
from pathlib import Path

import pytest

from indexer.photos.metadata import file_bytes
from indexer.photos.metadata.file_bytes import HEAD, OpenFileParts


@pytest.mark.parametrize("size", [0, 10, HEAD, HEAD + 100])
def test_parts_are_those_of_the_bytes(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    with open(tmp_path / "file", "rb") as file:
        parts = OpenFileParts(file.fileno())
        assert len(parts) == size
        for start, stop in [
            (0, 4),
            (3, 3),
            (5, 2),
            (HEAD - 2, HEAD + 2),
            (HEAD, HEAD + 500),
            (size, size + 9),
            (1 << 40, 1 << 41),
        ]:
            assert parts[start:stop] == data[start:stop]


def test_a_part_that_claims_to_be_huge_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_bytes, "LONGEST_PART", 7)
    (tmp_path / "file").write_bytes(bytes(HEAD) + b"0123456789")
    with open(tmp_path / "file", "rb") as file:
        assert OpenFileParts(file.fileno())[HEAD : HEAD + 1_000] == b"0123456"
