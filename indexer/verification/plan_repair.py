"""Plan the repair of an index by what a verification has found."""

import shlex
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from indexer.embedding.index_precision import INT8_FOLDER, restore_precision
from indexer.encoders import ImageEncoder, load_image_encoder
from indexer.errors import PhotoseekError, says_withheld
from indexer.printable import counted
from indexer.storage import manifest
from indexer.storage.atomic_files import explain_disk_errors
from indexer.storage.catalogue import Catalogue
from indexer.storage.generations import open_for_reading
from indexer.storage.manifest import RECOVERY, Manifest
from indexer.storage.recovery import row_records
from indexer.storage.recovery.recovery_card import RecoveryCard, keep_recovery_card
from indexer.storage.tables.rebuilt_tables import FIND_PHOTOS, RENEW_VIEW
from indexer.storage.tables.seal import SUFFIX, is_of_seal
from indexer.storage.write_lock import write_lock
from indexer.verification.findings import Finding, Verification
from indexer.verification.verify import UNFINISHED


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """Plan of a repair.

    Attributes:
        folder: The index folder.
        described: Its manifest, or the copy of it.
        manifest: Whether the manifest is written again from its copy.
        catalogue: Whether the catalogue is made anew. What else is to do shows when it is.
        photos: Whether the photos of a catalogue that was made anew are to be found.
        rows: The rows whose photos are embedded again, sorted.
        view: Whether the view is built again.
        seal: Whether the catalogue is sealed again, whose values are right.
        records: Whether the records of rows or the recovery card are written again.
        unfinished: Whether an earlier repair, which made the catalogue anew, did not come to its end.
    """

    folder: Path
    described: Manifest
    manifest: bool = False
    catalogue: bool = False
    photos: bool = False
    rows: tuple[int, ...] = ()
    view: bool = False
    seal: bool = False
    records: bool = False
    unfinished: bool = False

    @property
    def has_work(self) -> bool:
        """Whether there is anything to do."""
        return any(True for _ in self._steps())

    def lines(self) -> Iterator[str]:
        """Yield what will be done, a line each."""
        yield from self._steps()
        if not self.has_work:
            yield "nothing to repair"

    def _steps(self) -> Iterator[str]:
        name, records = self.described.catalogue_file, self.described.digest_file
        if self.manifest:
            yield f"to do: write {manifest.NAME} again from {RECOVERY}"
        if self.catalogue:
            yield (
                f"to do: make {name} anew from those of its tables that are whole, {records} and {RECOVERY}; "
                "the damaged file is kept until all is done"
            )
        if self.catalogue or self.photos:
            yield "to do: find the photos in their folders; those whose file is as it was are not embedded"
        if self.rows:
            yield f"to do: embed the photos of {counted(len(self.rows), 'row')} again, and write those that differ"
        if self.view:
            yield "to do: build the view again"
        if self.seal:
            yield "to do: seal the catalogue again, whose values are right"
        if self.records:
            yield f"to do: write {records} and {RECOVERY} again from the catalogue"
        if self.unfinished and not self.photos:
            yield "to do: remove the damaged catalogue that was kept"

    def restore_manifest(self) -> None:
        """Write the manifest again from its copy."""
        with write_lock(self.folder), explain_disk_errors(self.folder):
            manifest.write_values(self.folder, RecoveryCard.read(self.folder).manifest)

    def renew_seal(self) -> None:
        """Seal the catalogue by what it is now."""
        catalogue = self.folder / self.described.catalogue_file
        catalogue.with_name(catalogue.name + SUFFIX).unlink(missing_ok=True)
        Catalogue(catalogue, writable=True).close()

    def renew_records(self) -> None:
        """Write the records of rows and the recovery card again from the catalogue."""
        with (
            write_lock(self.folder),
            closing(Catalogue(self.folder / self.described.catalogue_file)) as catalogue,
            explain_disk_errors(self.folder),
        ):
            row_records.write_all(self.folder, self.described, catalogue)
            keep_recovery_card(self.folder, catalogue)

    def load_encoder(self) -> ImageEncoder:
        """Load the image encoder of the index, in the precision that made the embeddings."""
        described, catalogue = open_for_reading(self.folder)
        encoder = load_image_encoder(described.encoder_name, **described.encoder_options)
        if encoder.fingerprint != described.encoder:
            raise PhotoseekError(
                f"index {self.folder} holds embeddings of {described.encoder}, not of {encoder.fingerprint}"
            )
        with closing(catalogue):
            restore_precision(self.folder, catalogue, encoder)
        return encoder


def plan_repair(folder: Path, found: Verification) -> RepairPlan:
    """Plan the repair of an index.

    Args:
        folder: The index folder.
        found: What a verification has found in it.

    Returns:
        The plan.

    Raises:
        PhotoseekError: Something is damaged that cannot be repaired, or the index has no checksums yet, or a file of it
            may not be read.
    """
    for finding in found.findings:
        if says_withheld(finding.problem):
            raise PhotoseekError(f"{folder / finding.file}: {finding.problem}; repair it as a user who may read it")
        if finding.file.startswith(f"{INT8_FOLDER}/"):
            raise _beyond_repair(folder, finding)
    of_manifest = [finding for finding in found.findings if finding.file == manifest.NAME]
    described = _described(folder, of_manifest)
    in_catalogue = [finding for finding in found.findings if finding.file == described.catalogue_file]
    of_seal = [finding for finding in in_catalogue if is_of_seal(finding.problem)]
    is_unfinished = any(finding.problem == UNFINISHED for finding in in_catalogue)
    if any(finding not in of_seal and finding.problem != UNFINISHED for finding in in_catalogue):
        return RepairPlan(folder, described, manifest=bool(of_manifest), catalogue=True)
    if found.findings and not described.has_checksums:
        place = shlex.quote(str(folder))
        raise PhotoseekError(
            f"index {folder} has no checksums by which it could be repaired; what adds them: "
            f"photoseek build PHOTOS -i {place}"
        )
    todo = _to_do(folder, described) if is_unfinished else []
    in_view = [finding for finding in found.findings if finding.file.startswith("views/")]
    of_records = [finding for finding in found.findings if finding.file in (described.digest_file, RECOVERY)]
    elsewhere = [finding for finding in found.findings if finding not in (*in_view, *of_records)]
    rows = tuple(sorted({row for finding in elsewhere for row in finding.rows}))
    return RepairPlan(
        folder,
        described,
        manifest=bool(of_manifest),
        photos=FIND_PHOTOS in todo,
        rows=rows,
        view=bool(in_view or rows or RENEW_VIEW in todo),
        seal=bool(of_seal),
        records=bool(of_records) or _lacks_records(folder, described, found.rows),
        unfinished=is_unfinished,
    )


def _described(folder: Path, of_manifest: list[Finding]) -> Manifest:
    """Return the manifest of an index, or the copy of one that is damaged."""
    if not of_manifest:
        return manifest.read(folder)
    try:
        return RecoveryCard.read(folder).described
    except (OSError, ValueError, KeyError, TypeError):
        raise _beyond_repair(folder, of_manifest[0]) from None


def _lacks_records(folder: Path, described: Manifest, rows: int) -> bool:
    """Return whether the record of a row, or the recovery card, is missing, of which a verification makes a note."""
    if not described.has_checksums:
        return False
    path = folder / described.digest_file
    has_records = row_records.has_rows(path, rows, with_regions=described.has_regions)
    return not has_records or not (folder / RECOVERY).exists()


def _to_do(folder: Path, described: Manifest) -> list[str]:
    """Return what an earlier repair left to do after it made the catalogue anew."""
    with closing(Catalogue(folder / described.catalogue_file)) as catalogue:
        return catalogue.rebuilt.to_do()


def _beyond_repair(folder: Path, finding: Finding) -> PhotoseekError:
    return PhotoseekError(
        f"{folder / finding.file} cannot be repaired ({finding.problem}); build another index: "
        "photoseek build PHOTOS -i FOLDER"
    )
