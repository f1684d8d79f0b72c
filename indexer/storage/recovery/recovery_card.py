"""The recovery card of an index: what a lost manifest or catalogue held and no photo tells."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.storage import manifest
from indexer.storage.atomic_files import explain_disk_errors, write_text_durably
from indexer.storage.catalogue import Catalogue
from indexer.storage.manifest import CHECKSUM, RECOVERY, Manifest, checksum_of

# Settings of the catalogue that people chose, or that were measured once and hold for photos which come later.
KEPT_SETTINGS = ("patterns", "policy", "precision", "unrelated_cosine")


@dataclass(frozen=True, slots=True)
class RecoveryCard:
    """Copy of the manifest, and of what the catalogue alone knows.

    Attributes:
        manifest: The object of the manifest, without its checksum.
        roots: The photo folders, in the order in which they were added, as the bytes on disk.
        settings: Settings of the catalogue by name, of those in `KEPT_SETTINGS`.
    """

    manifest: dict[str, Any]
    roots: tuple[bytes, ...]
    settings: dict[str, str]

    @classmethod
    def of_index(cls, folder: Path, catalogue: Catalogue) -> "RecoveryCard":
        """Return the card that an index should have.

        Args:
            folder: The index folder, whose manifest is whole.
            catalogue: Its catalogue.
        """
        kept = {name: catalogue.setting(name) for name in KEPT_SETTINGS}
        settings = {name: value for name, value in kept.items() if value is not None}
        return cls(manifest.values_of(folder), tuple(catalogue.roots()), settings)

    @classmethod
    def read(cls, folder: Path) -> "RecoveryCard":
        """Read the card of an index.

        Args:
            folder: The index folder.

        Raises:
            OSError: It is missing or cannot be read.
            ValueError: It is not as it was written.
        """
        try:
            values = json.loads((folder / RECOVERY).read_bytes())
            if values[CHECKSUM] != checksum_of(values):
                raise ValueError("it is not as it was written")
            roots = tuple(str(root).encode("utf-8", "surrogateescape") for root in values["roots"])
            return cls(dict(values["manifest"]), roots, dict(values["settings"]))
        except (KeyError, TypeError, AttributeError, RecursionError):
            raise ValueError("it is not as it was written") from None

    @property
    def described(self) -> Manifest:
        """The manifest that the copy is of. Raises ValueError, KeyError or TypeError if it is none."""
        return Manifest.from_json(self.manifest)

    def write(self, folder: Path) -> None:
        """Write the card durably, unless it is there as it should be.

        Args:
            folder: The index folder, whose writer's lock is held.

        Raises:
            PhotoseekError: The index cannot be written.
        """
        with suppress(OSError, ValueError):
            if RecoveryCard.read(folder) == self:
                return
        roots = [root.decode("utf-8", "surrogateescape") for root in self.roots]
        values = {"manifest": self.manifest, "roots": roots, "settings": self.settings}
        with explain_disk_errors(folder):
            write_text_durably(
                folder / RECOVERY, json.dumps({**values, CHECKSUM: checksum_of(values)}, indent=1) + "\n"
            )


def keep_recovery_card(folder: Path, catalogue: Catalogue) -> None:
    """Bring the recovery card of an index up to date.

    Args:
        folder: The index folder, whose writer's lock is held.
        catalogue: Its catalogue.

    Raises:
        PhotoseekError: The index cannot be written.
    """
    RecoveryCard.of_index(folder, catalogue).write(folder)
