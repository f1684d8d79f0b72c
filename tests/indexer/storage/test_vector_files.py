import errno
import os

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from indexer.storage.vector_files import REGION_DTYPE, append, may_be_stored, quantise_directions, read
from tiny_index import damaged

A, B, C = ([1.0, 0.0], [0.5, -0.25], [0.0, 2.0])


def test_appended_rows_are_read_back_as_little_endian_half_floats(tmp_path):
    path = tmp_path / "e.f16"
    append(path, 0, np.array([A, B], np.float32))
    append(path, 2, np.array([C], np.float32))
    # 1.0 is 0x3c00, 0.5 is 0x3800, -0.25 is 0xb400, 2.0 is 0x4000
    assert path.read_bytes() == bytes.fromhex("003c 0000 0038 00b4 0000 0040")
    rows = read(path, 3, 2)
    assert (rows.tolist(), rows.dtype, rows.flags.writeable) == ([A, B, C], np.float16, False)


def test_rows_of_bytes_are_kept_in_the_same_way(tmp_path):
    path = tmp_path / "r.i8"
    append(path, 0, np.array([[1, -127, 0]], np.int8), REGION_DTYPE)
    append(path, 1, np.array([[127, 2, 3]], np.int8), REGION_DTYPE)
    assert path.read_bytes() == bytes.fromhex("01 81 00 7f 02 03")
    rows = read(path, 2, 3, REGION_DTYPE)
    assert (rows.tolist(), rows.dtype, rows.flags.writeable) == ([[1, -127, 0], [127, 2, 3]], np.int8, False)
    os.truncate(path, 5)
    with pytest.raises(PhotoseekError, match="shorter than its 2 rows"):
        read(path, 2, 3, REGION_DTYPE)


def test_rows_that_nothing_names_are_overwritten_and_those_before_them_stay(tmp_path):
    path = tmp_path / "e.f16"
    append(path, 0, np.array([A, B, B, B], np.float32))
    before = read(path, 1, 2)
    append(path, 1, np.array([C], np.float32))
    assert read(path, 2, 2).tolist() == [A, C]
    assert before.tolist() == [A]
    assert path.stat().st_size == 4 * 2 * 2  # what lay beyond is still there and dead


def test_a_half_written_row_at_the_end_is_overwritten(tmp_path):
    path = tmp_path / "e.f16"
    append(path, 0, np.array([A], np.float32))
    with path.open("ab") as file:
        file.write(b"\xff\xff\xff")
    append(path, 1, np.array([B, C], np.float32))
    assert read(path, 3, 2).tolist() == [A, B, C]


def test_no_rows_are_an_empty_array_even_without_a_file(tmp_path):
    assert read(tmp_path / "none.f16", 0, 7).shape == (0, 7)


def test_a_file_that_is_too_short_is_refused_for_reading_and_for_writing(tmp_path):
    path = tmp_path / "e.f16"
    append(path, 0, np.array([A, B], np.float32))
    os.truncate(path, 7)
    message = f"{path} is shorter than its 2 rows: {damaged(tmp_path)}"
    for act in (lambda: read(path, 2, 2), lambda: append(path, 2, np.array([C], np.float32))):
        with pytest.raises(PhotoseekError) as refusal:
            act()
        assert str(refusal.value) == message
    assert path.stat().st_size == 7


def test_a_file_that_is_missing_is_refused_and_not_made_anew(tmp_path):
    path = tmp_path / "e.f16"
    with pytest.raises(PhotoseekError) as refusal:
        read(path, 2, 2)
    reason = f"No such file or directory: {damaged(tmp_path)}"
    assert str(refusal.value) == f"{path}: {reason}"
    with pytest.raises(PhotoseekError) as refusal:
        append(path, 2, np.array([C], np.float32))
    assert str(refusal.value) == f"{path} is shorter than its 2 rows: {damaged(tmp_path)}"
    assert not path.exists()


def test_a_disk_that_fills_up_while_writing_leaves_the_rows_before(tmp_path, monkeypatch):
    path = tmp_path / "e.f16"
    append(path, 0, np.array([A, B], np.float32))

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as refusal:
        append(path, 2, np.array([C], np.float32))
    assert refusal.value.errno == errno.ENOSPC
    assert read(path, 2, 2).tolist() == [A, B]


@pytest.mark.parametrize(
    ("row", "fine"),
    [
        ([0.6, 0.8], True),
        ([0.0, 1e-7], True),  # the smallest half float is 6e-8
        ([0.0, 0.0], False),
        ([0.0, 1e-9], False),  # zero as a half float
        ([float("nan"), 1.0], False),
        ([float("inf"), 1.0], False),
        ([float("-inf"), 1.0], False),
        ([65504.0, 0.0], True),  # the largest half float
        ([70000.0, 0.0], False),  # infinite as a half float
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_row_may_be_stored_if_it_is_finite_and_not_zero_as_half_floats(row, fine):
    assert may_be_stored(np.array([[1.0, 0.0], row, [0.0, 1.0]], np.float32)).tolist() == [True, fine, True]


def test_checking_no_rows_gives_none():
    assert may_be_stored(np.zeros((0, 3), np.float32)).tolist() == []


def test_a_direction_is_a_vector_by_its_own_largest_coordinate_in_127ths():
    # 0.6 / 0.8 * 127 = 95.25; a vector's length does not show, and one of zeros stays so.
    vectors = np.array([[[0.6, -0.8], [6, -8], [0, 0]], [[1, 0], [-1e-3, 1e-3], [0.004, 1]]], np.float32)
    stored = quantise_directions(vectors)
    assert (stored.dtype, stored.tolist()) == (
        np.int8,
        [[[95, -127], [95, -127], [0, 0]], [[127, 0], [-127, 127], [1, 127]]],
    )
    assert quantise_directions(np.zeros((0, 10, 4), np.float32)).shape == (0, 10, 4)


def test_a_direction_keeps_its_cosines():
    vectors = np.random.default_rng(0).normal(size=(20, 10, 128)).astype(np.float32)
    stored = quantise_directions(vectors).astype(np.float32)
    norms = np.linalg.norm(stored, axis=-1) * np.linalg.norm(vectors, axis=-1)
    assert ((stored * vectors).sum(axis=-1) / norms).min() > 0.9999
