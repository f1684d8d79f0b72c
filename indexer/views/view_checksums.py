"""The checksums of a view's files: by blocks of those that have a row per photo, of every other file as a whole."""

from collections.abc import Iterator
from math import prod
from pathlib import Path

from indexer.storage.integrity.checksums import BlockChecksum, blocks_of_rows, digest_of_file
from indexer.views.view_files import CARD, CODES, DTYPES, MEANS, RANKER, STRUCTURE, read_card


def view_checksums(folder: Path, first_row: int, rows: int) -> Iterator[tuple[str, BlockChecksum]]:
    """Yield the checksums of a view's files.

    Args:
        folder: Its folder, whose files are whole.
        first_row: The first row that has none yet; from 0 on the files without rows have none either.
        rows: How many rows it has.

    Yields:
        Path of a file below the index folder, and the checksum of one of its blocks.

    Raises:
        OSError: A file cannot be read.
    """
    card = read_card(folder)
    for name, dtype in DTYPES.items():
        row_bytes = prod(card.row_shape(name)) * dtype.itemsize
        if row_bytes:
            for block in blocks_of_rows(folder / name, first_row, rows, row_bytes):
                yield file_of_view(folder.name, name), block
    if first_row == 0:
        for path in _whole_files(folder):
            name = file_of_view(folder.name, path.relative_to(folder).as_posix())
            yield name, BlockChecksum(0, 0, digest_of_file(path))


def file_of_view(view: str, name: str) -> str:
    """Return the path of a view's file below the index folder."""
    return f"views/{view}/{name}"


def _whole_files(folder: Path) -> list[Path]:
    """Return the files of a view that have no row per photo."""
    files = [folder / name for name in (CARD, STRUCTURE, CODES, MEANS)]
    return [path for path in files if path.exists()] + sorted((folder / RANKER).iterdir())
