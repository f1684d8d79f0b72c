"""The files of rows of an index, held open, so that a reader keeps them whatever becomes of their names."""

from contextlib import suppress
from pathlib import Path

import numpy as np

from indexer.storage import vector_files
from indexer.storage.manifest import Manifest
from indexer.storage.tables.shared_descriptor import SharedDescriptor


class RowFiles:
    """The open files of rows of an index; after `close` a file is read by its name.

    Args:
        folder: The index folder.
        described: Its manifest.
    """

    def __init__(self, folder: Path, described: Manifest) -> None:
        self._folder = folder
        self._files: dict[str, SharedDescriptor] = {}
        for name in described.row_bytes:
            with suppress(OSError):  # a missing file is reported when its rows are read
                self._files[name] = SharedDescriptor(folder / name)

    def read(self, name: str, rows: int, width: int, dtype: np.dtype) -> np.ndarray:
        """Map the first rows of a file into memory, as `vector_files.read`.

        Args:
            name: The file.
            rows: How many rows it has.
            width: Numbers of a row.
            dtype: What the file holds.
        """
        file = self._files.get(name)
        return vector_files.read(self._folder / name, rows, width, dtype, None if file is None else file.descriptor)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files = {}
