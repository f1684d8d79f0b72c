"""Safetensors files that carry their checksum."""

from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import save_file

from indexer.storage.integrity.checked_tensors import load_arrays, save_arrays

ARRAYS = {"values": np.float32([0.5, 0.25, 1.0]), "prompts": np.int16([3, 1, 2])}


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    save_arrays(tmp_path / "a.safetensors", ARRAYS)
    found = load_arrays(tmp_path / "a.safetensors")
    assert sorted(found) == ["prompts", "values"]
    assert all((found[name] == array).all() and found[name].dtype == array.dtype for name, array in ARRAYS.items())


def test_any_other_bit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_arrays(path, ARRAYS)
    whole = path.read_bytes()
    for at in range(len(whole) - 18, len(whole)):  # the numbers, without the header
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(SafetensorError):
            load_arrays(path)


def test_a_file_of_an_older_version_is_taken_as_it_is(tmp_path: Path) -> None:
    save_file(ARRAYS, tmp_path / "a.safetensors")
    assert load_arrays(tmp_path / "a.safetensors")["prompts"].tolist() == [3, 1, 2]
