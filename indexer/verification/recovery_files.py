"""Verify what a lost catalogue or manifest is written again from: the records of rows, and the recovery card."""

from pathlib import Path

import numpy as np

from indexer.callbacks import Progress
from indexer.printable import counted
from indexer.storage.catalogue import Catalogue
from indexer.storage.manifest import RECOVERY, Manifest
from indexer.storage.mapped_files import release_pages
from indexer.storage.recovery import row_records
from indexer.storage.recovery.recovery_card import RecoveryCard
from indexer.verification.findings import Verification


def verify_records(
    folder: Path, described: Manifest, catalogue: Catalogue, found: Verification, on_progress: Progress
) -> None:
    """Compare the records of rows with the catalogue and the rows.

    Args:
        folder: The index folder.
        described: Its manifest.
        catalogue: Its catalogue.
        found: Has what was found in the rows, and gets a finding if there are wrong records of other rows.
        on_progress: Gets (done, total) rows.

    Raises:
        PhotoseekError: Catalogue or rows cannot be read.
    """
    name, total = described.digest_file, found.rows
    try:
        records = row_records.read(folder / name)
    except FileNotFoundError:
        if total:
            found.notes.append(f"{name} is missing, by which a lost catalogue is mended; the next build adds it")
        return
    except OSError as error:
        found.add(name, f"cannot be read: {error.strerror or error}")
        return
    found.read_bytes += total * row_records.RECORD.itemsize
    if len(records) < total:
        found.add(name, f"{name} is shorter than its {total} rows")
        return
    damaged = found.rows_of((described.embeddings, described.region_file))
    embeddings, regions = row_records.stored_rows(folder, described, total)
    wrong: list[int] = []
    lacking = 0
    for start in range(0, total, row_records.BLOCK_ROWS):
        block = slice(start, min(start + row_records.BLOCK_ROWS, total))
        part = None if regions is None else regions[block]
        expected = row_records.records_of_catalogue(catalogue, start, embeddings[block], part)
        if regions is not None:
            lacks = row_records.lacks_region_sum(records[block])
            expected["region_sum"][lacks] = 0
            lacking += int(lacks.sum())
        differs = (row_records.as_bytes(records[block]) != row_records.as_bytes(expected)).any(axis=1)
        wrong += (start + np.flatnonzero(differs)).tolist()
        release_pages(embeddings)
        release_pages(regions)
        on_progress(block.stop, total)
    if lacking:
        found.notes.append(
            f"{name} says nothing of the region vectors of {counted(lacking, 'row')}; the next build does"
        )
    if others := [row for row in wrong if row not in damaged]:
        found.add(name, f"{counted(len(others), 'row')} with a record that is not as it was written", others)


def verify_card(folder: Path, catalogue: Catalogue, found: Verification) -> None:
    """Look whether the recovery card can be read and says what manifest and catalogue say.

    Args:
        folder: The index folder, whose manifest is whole.
        catalogue: Its catalogue.
        found: Gets the finding, or a note.
    """
    try:
        if RecoveryCard.read(folder) != RecoveryCard.of_index(folder, catalogue):
            found.notes.append(f"{RECOVERY} is of an earlier state; the next build brings it up to date")
    except FileNotFoundError:
        found.notes.append(f"{RECOVERY} is missing, by which a lost manifest is mended; the next build adds it")
    except OSError as error:
        found.add(RECOVERY, f"cannot be read: {error.strerror or error}")
    except ValueError:
        found.add(RECOVERY, "it is not as it was written")
