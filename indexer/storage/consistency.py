"""Cheap checks that the parts of an index fit together, at every open and before every write."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from indexer.errors import DamageError
from indexer.storage.catalogue import Catalogue
from indexer.storage.manifest import Manifest


def check_consistency(folder: Path, manifest: Manifest, catalogue: Catalogue) -> None:
    """Refuse an index whose catalogue has lost rows, or whose files are shorter than the catalogue says.

    Args:
        folder: The index folder.
        manifest: Its manifest.
        catalogue: Its catalogue, opened after the manifest was read.

    Raises:
        PhotoseekError: The parts do not fit together; nothing was written.
    """
    for _, problem in inconsistencies(folder, manifest, catalogue):
        raise refusal(folder, problem)


def inconsistencies(folder: Path, manifest: Manifest, catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    """Yield what does not fit together in an index: the name of a file of it, and what is wrong.

    Args:
        folder: The index folder.
        manifest: Its manifest.
        catalogue: Its catalogue, opened after the manifest was read.
    """
    rows, last_photo_row, checked = catalogue.row_counts([*manifest.row_bytes])
    if last_photo_row >= rows:
        yield catalogue.path.name, f"a photo has row {last_photo_row}, and there are {rows} rows"
    for name, size in manifest.row_bytes.items():
        if manifest.has_checksums and checked[name] != rows:
            yield (
                catalogue.path.name,
                f"{name} has checksums of {checked[name]} rows, and the catalogue has {rows} rows",
            )
        if rows and _length(folder / name) < rows * size:
            yield name, f"{name} is shorter than its {rows} rows"


def check_every_row(folder: Path, catalogue: Catalogue) -> None:
    """Refuse an index whose catalogue lacks a row before its last one, or does not find all that it holds.

    Args:
        folder: The index folder.
        catalogue: Its catalogue.

    Raises:
        PhotoseekError: A row is missing, or an index of the catalogue is damaged; nothing was written.
    """
    rows, present = catalogue.row_count(), catalogue.present_rows()
    if present != rows:
        raise refusal(folder, f"its catalogue holds {present} of {rows} rows")
    for name in catalogue.damaged_indexes():
        raise refusal(folder, f"its catalogue has photos that its index {name} does not find")


def _length(path: Path) -> int:
    """Return the size of a file in bytes, 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def refusal(folder: Path, reason: str) -> DamageError:
    """Return the error to raise for a damaged index before anything is written.

    Args:
        folder: The index folder.
        reason: What is wrong.
    """
    place = shlex.quote(str(folder))
    return DamageError(f"index {folder} is damaged: {reason}; nothing was written; run: photoseek verify -i {place}")
