"""Verify the view that searches use: its files against their checksums, and against the rows that it was made of."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from indexer.callbacks import Progress
from indexer.errors import PhotoseekError
from indexer.printable import counted
from indexer.storage.catalogue import Catalogue
from indexer.storage.half_precision import to_float32
from indexer.storage.integrity.checked_tensors import load_arrays
from indexer.storage.records import ActiveView
from indexer.verification.findings import Verification
from indexer.verification.stored_rows import verify_blocks, verify_file
from indexer.views.build import ViewMaker
from indexer.views.view import View, open_view
from indexer.views.view_checksums import file_of_view
from indexer.views.view_files import CARD, DTYPES, ViewCard, read_card

# Rows that are compared with the view at a time.
BLOCK_ROWS = 4_096
# The largest difference of a number of the view from what its ranker makes of the photo now, as a share of it where it
# is above 1: float16 rounds by 5e-4, and another processor sums in another order.
TOLERANCE = 4e-3


def verify_view_files(
    folder: Path, view: ActiveView, catalogue: Catalogue, found: Verification, on_progress: Progress
) -> None:
    """Compare the files of a view with their checksums.

    Args:
        folder: The index folder.
        view: The view.
        catalogue: Has the checksums.
        found: Gets the findings.
        on_progress: Gets (done, total) blocks of a file.
    """
    place = folder / "views" / view.id
    card = _card(place, found)
    kept = [name for name in catalogue.checksums.files() if name.startswith(file_of_view(view.id, ""))]
    for name in kept:
        base = name.removeprefix(file_of_view(view.id, ""))
        if base in DTYPES:
            if card is not None:
                row_bytes = prod(card.row_shape(base)) * DTYPES[base].itemsize
                verify_blocks(folder, name, row_bytes, catalogue, found, on_progress)
        elif base != CARD or card is not None:
            verify_file(folder, name, catalogue, found)
    for path in sorted(place.glob("policy-*.safetensors")):
        try:
            load_arrays(path)
        except (OSError, SafetensorError):
            problem = "it is not as it was written; the next search computes these scores again"
            found.add(file_of_view(view.id, path.name), problem)


@dataclass(frozen=True, slots=True, eq=False)
class StoredRows:
    """The rows of an index.

    Attributes:
        embeddings: (total, d) float16.
        regions: (total, count, width) int8, None if the index keeps none.
        catalogue: Names the photos of a row.
    """

    embeddings: np.ndarray
    regions: np.ndarray | None
    catalogue: Catalogue


def verify_view_rows(
    view: View, maker: ViewMaker, stored: StoredRows, rows: np.ndarray, found: Verification, on_progress: Progress
) -> None:
    """Compare what a view keeps of photos with what its ranker makes of their rows now.

    Args:
        view: The view.
        maker: The view's ranker.
        stored: The rows of the index.
        rows: (n,) int64, the rows to compare, sorted.
        found: Gets a finding if there are differences.
        on_progress: Gets (done, total) rows.
    """
    wrong: list[int] = []
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        regions = None if stored.regions is None else stored.regions[block]
        made, kept = maker.encode_photos(to_float32(stored.embeddings[block]), regions), view.gather(block)
        pairs = [(made.z, kept.z), (made.hubness[:, None], kept.hubness[:, None]), (made.hidden, kept.hidden)]
        same = np.all([(np.abs(m - k) < TOLERANCE * np.maximum(1, np.abs(m))).all(axis=1) for m, k in pairs], axis=0)
        wrong += block[~same].tolist()
        on_progress(min(start + BLOCK_ROWS, len(rows)), len(rows))
    found.compared_rows = len(rows)
    if wrong:
        found.add(
            f"views/{view.folder.name}", f"{counted(len(wrong), 'row')} not of their photos", wrong, stored.catalogue
        )


def open_verified_view(
    folder: Path, view: ActiveView, load_maker: Callable[[Path], ViewMaker], found: Verification
) -> tuple[View, ViewMaker] | None:
    """Open a view and its ranker; None if one of them cannot be opened, with a finding unless its files have one.

    Args:
        folder: The index folder.
        view: The view.
        load_maker: Loads the ranker of a folder.
        found: Gets the finding.
    """
    try:
        opened = open_view(folder / "views" / view.id, view.rows)
        return opened, load_maker(opened.ranker_folder)
    except PhotoseekError as error:
        if not any(finding.file.startswith(file_of_view(view.id, "")) for finding in found.findings):
            # What follows the semicolon says how a ranker or view is made, and not how it is mended.
            found.add(f"views/{view.id}", f"cannot be opened: {str(error).partition(';')[0]}")
        return None


def _card(place: Path, found: Verification) -> ViewCard | None:
    """Read the card of a view; None, with a finding, if it cannot be read."""
    try:
        return read_card(place)
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        problem = "it is not as it was written"
    found.add(file_of_view(place.name, CARD), problem)
    return None
