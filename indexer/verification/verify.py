"""Verify an index: manifest, catalogue, rows, view; every check goes on after what others have found."""

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from indexer.errors import DamageError, PhotoseekError
from indexer.storage import manifest, vector_files
from indexer.storage.catalogue import Catalogue
from indexer.storage.consistency import check_every_row, inconsistencies
from indexer.storage.manifest import Manifest
from indexer.storage.records import ActiveView
from indexer.storage.recovery.recovery_card import RecoveryCard
from indexer.verification.attached_view import (
    StoredRows,
    open_verified_view,
    verify_view_files,
    verify_view_rows,
)
from indexer.verification.findings import Verification
from indexer.verification.recovery_files import verify_card, verify_records
from indexer.verification.stored_rows import verify_blocks, verify_file, verify_norms
from indexer.views.build import ViewMaker

# Rows that are compared with the view unless all are.
SAMPLE_ROWS = 1_000
# Gets (what is looked at, done, total).
OnStage = Callable[[str, int, int], None]
# What reading a file may raise that anything may have been written into.
UNREADABLE = (DamageError, ValueError, TypeError, KeyError, OverflowError)
# A catalogue that is whole, and was made anew by a repair that did not come to its end.
UNFINISHED = "it was made anew, and its photos or its view were not all found again"


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """Options of a verification.

    Attributes:
        load_maker: Loads the ranker of a folder.
        sample: How many rows are compared with the view, None for all.
        seed: The seed by which they are drawn.
    """

    load_maker: Callable[[Path], ViewMaker]
    sample: int | None = SAMPLE_ROWS
    seed: int = 0


def verify_index(folder: Path, settings: VerifySettings, on_stage: OnStage | None = None) -> Verification:
    """Read everything that an index keeps, and compare it with its checksums; nothing is written.

    Args:
        folder: The index folder.
        settings: Options.
        on_stage: Called with (what is looked at, done, total).

    Returns:
        What was looked at and what was found.

    Raises:
        PhotoseekError: There is no index, or one of another format.
    """
    found = Verification()
    report = on_stage or (lambda _stage, _done, _total: None)
    described = _read_manifest(folder, found)
    name = _catalogue_name(folder, described)
    try:
        with closing(Catalogue(folder / name)) as catalogue:
            report("catalogue", 0, 0)
            _verify_catalogue(folder, described, catalogue, found)
            if described is not None:
                found.rows = catalogue.row_count()
                _verify_rows(folder, described, catalogue, found, report)
                if described.has_checksums:
                    _verify_recovery(folder, described, catalogue, found, report)
                _verify_other_files(folder, catalogue, found)
                view = catalogue.active_view()
                if view is not None:
                    _verify_view(folder, described, catalogue, view, settings, found, report)
    except UNREADABLE as error:
        found.add(name, f"cannot be used: {error}")
    except OSError as error:
        raise PhotoseekError(f"index {folder}: {error.filename or name}: {error.strerror or error}") from None
    return found


def _read_manifest(folder: Path, found: Verification) -> Manifest | None:
    """Read the manifest, or its copy on the recovery card with a finding; None if both are damaged."""
    try:
        described = manifest.read(folder)
    except DamageError as error:
        found.add(manifest.NAME, str(error).partition(":")[0])
        try:
            return RecoveryCard.read(folder).described
        except (OSError, ValueError, KeyError, TypeError):
            return None
    if not described.has_checksums:
        found.notes.append("the index has no checksums; the next build adds them")
    return described


def _catalogue_name(folder: Path, described: Manifest | None) -> str:
    """Return the name of the catalogue, by the copy of the manifest if that is damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return (described or RecoveryCard.read(folder).described).catalogue_file
    return manifest.CATALOGUE


def _verify_catalogue(folder: Path, described: Manifest | None, catalogue: Catalogue, found: Verification) -> None:
    """Verify the catalogue, and that it fits the files beside it."""
    name = catalogue.path.name
    try:
        for problem in catalogue.integrity_problems():
            found.add(name, problem)
        if described is not None:
            for file, problem in inconsistencies(folder, described, catalogue):
                found.add(file, problem)
        if catalogue.rebuilt.to_do():
            found.add(name, UNFINISHED)
        check_every_row(folder, catalogue)
    except UNREADABLE as error:
        found.add(name, str(error))
    if described is not None and described.has_checksums and not catalogue.is_sealed:
        found.notes.append(f"{name} has no seal, which tells of damage in its free bytes; the next build adds it")


def _verify_recovery(
    folder: Path, described: Manifest, catalogue: Catalogue, found: Verification, report: OnStage
) -> None:
    """Verify what a lost catalogue or manifest is written again from, unless they are damaged themselves."""
    damaged = {finding.file for finding in found.findings if finding.problem != UNFINISHED}
    if catalogue.path.name not in damaged:
        with suppress(DamageError):  # a file of rows is too short, which was found before
            verify_records(folder, described, catalogue, found, partial(report, described.digest_file))
    if not damaged & {catalogue.path.name, manifest.NAME}:
        verify_card(folder, catalogue, found)


def _verify_rows(folder: Path, described: Manifest, catalogue: Catalogue, found: Verification, report: OnStage) -> None:
    """Verify embeddings and regions."""
    for name, row_bytes in described.row_bytes.items():
        verify_blocks(folder, name, row_bytes, catalogue, found, partial(report, name))
    try:
        verify_norms(
            folder / described.embeddings,
            found.rows,
            described.dim,
            catalogue,
            found,
            partial(report, "unit vectors"),
        )
    except PhotoseekError as error:
        found.add(described.embeddings, str(error))


def _verify_other_files(folder: Path, catalogue: Catalogue, found: Verification) -> None:
    """Verify the files that are neither rows nor of a view."""
    for name in catalogue.checksums.files():
        if "/" in name and not name.startswith("views/"):
            verify_file(folder, name, catalogue, found)


def _verify_view(
    folder: Path,
    described: Manifest,
    catalogue: Catalogue,
    view: ActiveView,
    settings: VerifySettings,
    found: Verification,
    report: OnStage,
) -> None:
    """Verify the view that searches use."""
    verify_view_files(folder, view, catalogue, found, partial(report, "view"))
    opened = open_verified_view(folder, view, settings.load_maker, found)
    if opened is None:
        return
    try:
        stored = _stored_rows(folder, described, catalogue, found.rows)
    except PhotoseekError:  # a file is too short, which was found before
        return
    rows = np.arange(min(view.rows, found.rows))
    if settings.sample is not None and settings.sample < len(rows):
        rows = np.sort(np.random.default_rng(settings.seed).choice(rows, settings.sample, replace=False))
    verify_view_rows(
        *opened,
        stored,
        rows,
        found,
        partial(report, "view against rows"),
    )


def _stored_rows(folder: Path, described: Manifest, catalogue: Catalogue, rows: int) -> StoredRows:
    """Map the rows of an index into memory."""
    count, width = described.region_shape
    embeddings = vector_files.read(folder / described.embeddings, rows, described.dim)
    if not count:
        return StoredRows(embeddings, None, catalogue)
    regions = vector_files.read(folder / described.region_file, rows, count * width, vector_files.REGION_DTYPE)
    return StoredRows(embeddings, regions.reshape(rows, count, width), catalogue)
