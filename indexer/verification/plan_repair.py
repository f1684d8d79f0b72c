"""Plan the repair of an index by what a verification has found."""

import shlex
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from indexer.embedding.index_precision import restore_precision
from indexer.encoders import ImageEncoder, load_image_encoder
from indexer.errors import PhotoseekError
from indexer.printable import counted
from indexer.storage import manifest
from indexer.storage.catalogue import Catalogue
from indexer.storage.generations import open_for_reading
from indexer.storage.tables.seal import SUFFIX, is_of_seal
from indexer.verification.findings import Verification

# Files without which nothing can be repaired; a later generation has a catalogue of another name.
NEEDED = (manifest.NAME, "catalogue")


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """Plan of a repair.

    Attributes:
        folder: The index folder.
        rows: The rows whose photos are embedded again, sorted.
        view: Whether the view is built again.
        seal: Whether the catalogue is sealed again, whose values are right.
    """

    folder: Path
    rows: tuple[int, ...]
    view: bool
    seal: bool

    @property
    def has_work(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.rows) or self.view or self.seal

    def lines(self) -> Iterator[str]:
        """Yield what will be done, a line each."""
        if self.rows:
            yield f"to do: embed the photos of {counted(len(self.rows), 'row')} again, and write those that differ"
        if self.view:
            yield "to do: build the view again"
        if self.seal:
            yield "to do: seal the catalogue again, whose values are right"
        if not self.has_work:
            yield "nothing to repair"

    def renew_seal(self) -> None:
        """Seal the catalogue by what it is now."""
        catalogue = self.folder / manifest.read(self.folder).catalogue_file
        catalogue.with_name(catalogue.name + SUFFIX).unlink(missing_ok=True)
        Catalogue(catalogue, writable=True).close()

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
        PhotoseekError: Something is damaged that cannot be repaired, or the index has no checksums yet.
    """
    of_seal = [finding for finding in found.findings if is_of_seal(finding.problem)]
    for finding in found.findings:
        if (finding.file.startswith(NEEDED) and finding not in of_seal) or finding.file.startswith("encoder-int8/"):
            raise PhotoseekError(
                f"{folder / finding.file} cannot be repaired ({finding.problem}); build another index: "
                "photoseek build PHOTOS -i FOLDER"
            )
    if found.findings and not manifest.read(folder).has_checksums:
        place = shlex.quote(str(folder))
        raise PhotoseekError(
            f"index {folder} has no checksums by which it could be repaired; what adds them: "
            f"photoseek build PHOTOS -i {place}"
        )
    in_view = [finding for finding in found.findings if finding.file.startswith("views/")]
    rows = {row for finding in found.findings for row in finding.rows if finding not in in_view}
    return RepairPlan(folder, tuple(sorted(rows)), bool(in_view or rows), bool(of_seal))
