"""The generations of an index's files: open the present one, and remove what lies beside it of others."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import PhotoseekError
from indexer.storage import manifest
from indexer.storage.atomic_files import fsync
from indexer.storage.catalogue import Catalogue
from indexer.storage.manifest import Manifest
from indexer.storage.recovery.recovery_card import keep_recovery_card
from indexer.storage.write_lock import write_lock

# Files of one generation, whose number is in their names; the first catalogue has none.
_OF_GENERATION = re.compile(
    r"\.?(?:embeddings|regions|digests|catalogue)(?:-(?P<number>[1-9][0-9]*))?\.(?:f16|i8|bin|sqlite.*)"
)


@dataclass(frozen=True, slots=True)
class WritableIndex:
    """An index folder whose writer's lock is held."""

    folder: Path
    manifest: Manifest
    catalogue: Catalogue

    @property
    def region_file(self) -> Path:
        """Path of the region vectors."""
        return self.folder / self.manifest.region_file


def open_for_reading(folder: Path) -> tuple[Manifest, Catalogue]:
    """Open the manifest and the catalogue of an index, both of one generation.

    Args:
        folder: The index folder.

    Raises:
        PhotoseekError: The index is missing or damaged, or cannot be read.
    """
    while True:
        described = manifest.read(folder)
        try:
            return described, Catalogue(folder / described.catalogue_file)
        except PhotoseekError:
            # A compaction may have removed it since.
            if manifest.read(folder).generation == described.generation:
                raise


@contextmanager
def open_for_writing(folder: Path) -> Iterator[WritableIndex]:
    """Hold the writer's lock of an index, with its catalogue open for writing, until the block ends.

    Args:
        folder: The index folder.

    Raises:
        PhotoseekError: The index is missing, damaged, or being written by another process, or cannot be written.
    """
    with write_lock(folder):
        # Read under the lock: until then a compaction may give the catalogue another name.
        described = manifest.read(folder)
        with closing(Catalogue(folder / described.catalogue_file, writable=True)) as catalogue:
            yield WritableIndex(folder, described, catalogue)


def remove_other_generations(folder: Path, kept: Manifest, catalogue: Catalogue) -> None:
    """Remove the files of every generation but the one that the manifest names.

    Args:
        folder: The index folder, whose writer's lock is held.
        kept: The manifest that it has now.
        catalogue: A catalogue of any of the generations, which know the same roots and settings.

    Raises:
        OSError: The folder cannot be written.
    """
    names = ((path, _OF_GENERATION.fullmatch(path.name)) for path in folder.iterdir())
    others = [path for path, name in names if name is not None and int(name["number"] or 1) != kept.generation]
    if others:
        keep_recovery_card(folder, catalogue)  # a lost manifest is written again from what names files that are there
        fsync(folder)  # the manifest's own name first
    for path in others:
        path.unlink()
