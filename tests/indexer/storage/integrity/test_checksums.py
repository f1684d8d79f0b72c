"""Checksums of files and of blocks of their rows."""

import hashlib
from contextlib import closing
from pathlib import Path

import numpy as np

from indexer.storage import vector_files
from indexer.storage.catalogue import Catalogue
from indexer.storage.integrity.checksums import (
    BLOCK_ROWS,
    BlockChecksum,
    blocks_of_rows,
    digest_of_bytes,
    digest_of_file,
)


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def test_parts_and_whole_files_have_the_sha_256_of_their_bytes(tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(5_000_000)
    (tmp_path / "file").write_bytes(data)
    assert digest_of_file(tmp_path / "file") == sha(data)
    assert digest_of_bytes(tmp_path / "file", 7, 4_500_000) == sha(data[7:4_500_007])
    assert digest_of_bytes(tmp_path / "file", 4_999_990, 100) == sha(data[-10:])


def test_blocks_cover_all_rows_from_one_on(tmp_path: Path) -> None:
    rows = BLOCK_ROWS + 10
    data = np.random.default_rng(0).bytes(3 * rows)
    (tmp_path / "file").write_bytes(data)
    found = list(blocks_of_rows(tmp_path / "file", 5, rows, 3))
    end = 5 + BLOCK_ROWS
    assert found == [
        BlockChecksum(5, BLOCK_ROWS, sha(data[15 : 3 * end])),
        BlockChecksum(end, 5, sha(data[3 * end :])),
    ]


def test_appended_rows_come_with_the_checksum_of_what_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    first, second = np.eye(4, dtype=np.float32)[:3], np.full((2, 4), 0.5, np.float32)
    assert vector_files.append(path, 0, first) == BlockChecksum(0, 3, digest_of_bytes(path, 0, 24))
    assert vector_files.append(path, 3, second) == BlockChecksum(3, 2, digest_of_bytes(path, 24, 16))


def test_the_table_keeps_blocks_by_file_and_drops_them_by_folder(tmp_path: Path) -> None:
    with closing(Catalogue(tmp_path / "catalogue.sqlite", create=True)) as catalogue:
        table = catalogue.checksums
        for file in ("rows", "views/a-1/z", "views/a-1/card", "views/b-2/z", "viewsother"):
            table.put(file, BlockChecksum(0, 3, b"x"))
        table.put("rows", BlockChecksum(3, 2, b"y"))
        table.put("rows", BlockChecksum(0, 3, b"new"))
        assert table.of_file("rows") == [BlockChecksum(0, 3, b"new"), BlockChecksum(3, 2, b"y")]
        table.drop("views", but="views/a-1")
        assert table.files() == ["rows", "views/a-1/card", "views/a-1/z", "viewsother"]
        table.drop()
        assert table.files() == []
