"""8-bit codes in a mapped file, written as they come."""

import faiss
import numpy as np
import pytest

from indexer.byte_codes import ByteCodesWriter, open_codes

ROWS, WIDTH = 1000, 12


def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)


def test_codes_written_in_blocks_are_those_that_faiss_holds_of_all_rows(tmp_path):
    rows = vectors()
    with ByteCodesWriter(tmp_path / "codes.faiss", rows, ROWS) as writer:
        for start in (0, 300, 999):
            writer.add(rows[start : {0: 300, 300: 999, 999: ROWS}[start]])
    whole = faiss.IndexScalarQuantizer(WIDTH, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    whole.train(rows)
    whole.add(rows)
    file = np.memmap(tmp_path / "codes.faiss", np.uint8, "r")
    opened = open_codes(file)
    assert bytes(file) == faiss.serialize_index(whole).tobytes()
    for found, expected in zip(opened.search(rows[:20], 7), whole.search(rows[:20], 7), strict=True):
        assert np.array_equal(found, expected)


def test_codes_are_searched_where_they_are_mapped(tmp_path):
    with ByteCodesWriter(tmp_path / "codes.faiss", vectors(), ROWS) as writer:
        writer.add(vectors())
    opened = open_codes(np.memmap(tmp_path / "codes.faiss", np.uint8, "r"))
    assert not opened.codes.is_owned


def test_a_file_that_was_cut_or_is_something_else_is_refused(tmp_path):
    with ByteCodesWriter(tmp_path / "codes.faiss", vectors(), ROWS) as writer:
        writer.add(vectors())
    whole = (tmp_path / "codes.faiss").read_bytes()
    flat = faiss.IndexFlatIP(WIDTH)
    flat.add(vectors())
    for broken in (whole[:-1], whole[:100], b"photo" + whole[5:], faiss.serialize_index(flat).tobytes()):
        with pytest.raises(RuntimeError):
            open_codes(np.frombuffer(broken, np.uint8))
