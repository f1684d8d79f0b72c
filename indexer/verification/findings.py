"""Findings of a verification: what is wrong, where, and which photos it concerns."""

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from indexer.errors import PhotoseekError
from indexer.storage.catalogue import Catalogue

# Photos of a finding that are named.
NAMED_PHOTOS = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written.

    Attributes:
        file: The file or folder, as a path below the index folder.
        problem: What is wrong.
        rows: The rows that it concerns, sorted; empty if it concerns no single rows.
        photos: Paths of the first photos of these rows.
    """

    file: str
    problem: str
    rows: tuple[int, ...] = ()
    photos: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return {
            "file": self.file,
            "problem": self.problem,
            "rows": list(self.rows),
            "photos": list(self.photos),
        }


@dataclass(slots=True)
class Verification:
    """Report of a verification: what it looked at, and what it found.

    Attributes:
        findings: What is not as it was written.
        notes: What could not be looked at, and why.
        rows: How many rows the index has.
        compared_rows: How many of them were compared with the view.
        read_bytes: Bytes that were read of the files of rows and of the view.
    """

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows: int = 0
    compared_rows: int = 0
    read_bytes: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def rows_of(self, files: Collection[str]) -> set[int]:
        """Return the rows of all findings in some files.

        Args:
            files: The files, as paths below the index folder.
        """
        return {row for finding in self.findings for row in finding.rows if finding.file in files}

    def add(self, file: str, problem: str, rows: Sequence[int] = (), catalogue: Catalogue | None = None) -> None:
        """Add a finding.

        Args:
            file: The file or folder, as a path below the index folder.
            problem: What is wrong.
            rows: The rows that it concerns.
            catalogue: Names their photos, None if it cannot be read.
        """
        photos = () if catalogue is None else tuple(_photos(catalogue, rows[:NAMED_PHOTOS]))
        self.findings.append(Finding(file, problem, tuple(int(row) for row in rows), photos[:NAMED_PHOTOS]))


def _photos(catalogue: Catalogue, rows: Iterable[int]) -> list[str]:
    """Return the paths of the photos of some rows, as far as a damaged catalogue can tell."""
    try:
        found = catalogue.photos_of_rows([int(row) for row in rows])
        return [os.fsdecode(os.path.join(photo.root, photo.path)) for photos in found.values() for photo in photos]
    except (PhotoseekError, TypeError, ValueError):
        return []
