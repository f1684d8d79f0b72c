"""Write and read safetensors files that carry their own checksum."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

# The entry of a file's metadata that holds the checksum of its arrays.
CHECKSUM = "sha256"


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays with their checksum.

    Args:
        path: The file, which is written in place.
        arrays: The arrays by name.

    Raises:
        OSError: The file cannot be written.
        SafetensorError: The file cannot be written.
    """
    save_file(dict(arrays), path, metadata={CHECKSUM: _checksum(arrays)})


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read arrays and check them; a file of an older version has no checksum and is taken as it is.

    Args:
        path: What `save_arrays` wrote.

    Raises:
        OSError: The file cannot be read.
        SafetensorError: The file is damaged.
    """
    with safe_open(path, framework="numpy") as file:
        kept = (file.metadata() or {}).get(CHECKSUM)
        arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
    if kept not in (None, _checksum(arrays)):
        raise SafetensorError(f"{path.name} has not the checksum that it was written with")
    return arrays


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of arrays with their names, types and shapes, in hex digits."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
