"""8-bit codes in a mapped file, written as they come."""

import numpy as np
import pytest

from indexer.views.byte_codes import ByteCodes, ByteCodesWriter

ROWS, WIDTH = 1500, 12


def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((ROWS, WIDTH)).astype(np.float32)


@pytest.fixture
def written(tmp_path):
    """Write a file of codes of `vectors`, block by block."""
    with ByteCodesWriter(tmp_path / "codes.u8", vectors()) as writer:
        for start, end in [(0, 300), (300, 1499), (1499, ROWS)]:
            writer.add(vectors()[start:end])
    return tmp_path / "codes.u8"


def test_codes_are_steps_from_the_lowest_value(tmp_path):
    # From -1 to 50 there are 255 steps of 0.2, from 0 to 255 of 1; what is out of the range goes to its end.
    with ByteCodesWriter(tmp_path / "codes.u8", np.array([[-1, 0], [50, 255]], np.float32)) as writer:
        writer.add(np.array([[-1, 7], [0, 8.4], [50, 999], [-3, -1]], np.float32))
    codes = ByteCodes.open(tmp_path / "codes.u8", 4)
    assert codes.codes.tolist() == [[0, 7], [5, 8], [255, 255], [0, 0]]
    assert np.allclose(codes.step, [0.2, 1])
    # 2 x 0.2 x code and 3 x 1 x code.
    assert np.allclose(codes.scores(np.array([2, 3], np.float32), np.array([0, 1, 2])), [21, 26, 867])


def test_scores_are_products_to_half_a_step_a_coordinate_less_the_same_in_all(written):
    rows, query = vectors(), vectors()[7]
    codes = ByteCodes.open(written, ROWS)
    some = np.arange(0, ROWS, 2)
    off = rows[some] @ query - codes.scores(query, some)
    assert np.abs(off - off.mean()).max() < codes.step @ np.abs(query)


def test_the_best_are_those_of_the_highest_scores_in_the_order_of_the_rows(written):
    codes, query, some = ByteCodes.open(written, ROWS), vectors()[3], np.arange(1, ROWS, 2)
    scores = codes.scores(query, some)
    assert codes.keep_best(query, some, 20).tolist() == sorted(some[np.argsort(-scores)[:20]].tolist())
    assert np.array_equal(codes.keep_best(query, some[:20], 20), some[:20])


def test_a_file_that_was_cut_or_is_of_other_rows_is_refused(written):
    whole = written.read_bytes()
    with pytest.raises(ValueError, match="no codes of 1499 rows"):
        ByteCodes.open(written, ROWS - 1)
    for broken in (whole[:-1], whole[:100], b""):
        written.write_bytes(broken)
        with pytest.raises(ValueError):
            ByteCodes.open(written, ROWS)
    written.unlink()
    with pytest.raises(FileNotFoundError):
        ByteCodes.open(written, ROWS)
