"""Check judged data: list everything that is wrong or doubtful in a judged folder, row by row.

`judged_folder.read_judgments` reads the tables for training too, so the bad rows here are those that training refuses.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np

from indexer.encoders import ImageEncoder
from indexer.printable import printable
from reranker.judgments.embedded import read_photos
from reranker.judgments.judged_folder import read_judgments
from reranker.judgments.judgments import Judgments, photo_of
from reranker.judgments.near_duplicates import near_duplicates
from reranker.judgments.tables import BadRow, GoodRow

Severity = Literal["error", "warning", "note"]
OnStage = Callable[[str, int, int], None]

# error: training refuses the row (or drops it with --keep-going), or uses one of two rows that contradict each other.
# warning: results may be better than they should be. note: nothing needs a correction.
CHECKS: dict[str, Severity] = {
    "malformed rows": "error",
    "unknown photos": "error",
    "captions without text": "error",
    "grades out of range": "error",
    "inconsistent votes": "error",
    "contradictory rows": "error",
    "photos that do not open": "error",
    "photos in two parts": "warning",
    "duplicate rows": "warning",
    "near-duplicate photos across parts": "warning",
    "captions shared across parts": "warning",
    "near-duplicate photos within a part": "note",
    "experts without a majority": "note",
}
# The checks that open photos.
PHOTO_CHECKS = (
    "photos that do not open",
    "near-duplicate photos across parts",
    "near-duplicate photos within a part",
)
# Rows of each finding in the table.
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """The rows, photos or pairs that a check found.

    Attributes:
        check: Name of the check.
        severity: How bad a finding is.
        rows: A line about each row, photo or pair.
    """

    check: str
    severity: Severity
    rows: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of rows, photos or pairs."""
        return len(self.rows)

    def to_json(self) -> dict[str, object]:
        """Turn the finding into a plain dictionary for JSON."""
        return {"check": self.check, "severity": self.severity, "count": self.count, "rows": list(self.rows)}


def check_judgments(
    folder: str | Path, encoder: ImageEncoder | None, on_stage: OnStage | None = None
) -> tuple[Finding, ...]:
    """Run all checks on a judged folder.

    Args:
        folder: The judged folder.
        encoder: The image encoder that finds near-duplicates; without one no photo is opened and `PHOTO_CHECKS` are
            left out.
        on_stage: Called with (stage, photos done, photos in all).

    Returns:
        One finding per check, in the order of `CHECKS`; also of the checks that found nothing.

    Raises:
        PhotoseekError: There are no photos or no captions, or the header of a table lacks a column.
    """
    bad: list[BadRow] = []
    good: list[GoodRow] = []
    judgments = read_judgments(folder, bad.append, good.append)
    rows: dict[str, list[str]] = {check: [] for check in CHECKS}
    for row in bad:
        rows[row.check].append(f"{row.path}:{row.line}: {row.reason}")
    contradictory, rows["duplicate rows"] = _repeated_rows(good)
    rows["contradictory rows"] += contradictory
    parts = parts_of(judgments)
    rows["photos in two parts"] = _photos_in_two_parts(parts)
    rows["captions shared across parts"] = _shared_captions(judgments, parts)
    rows["experts without a majority"] = _without_majority(good)
    if encoder is not None:
        report = on_stage or (lambda stage, done, total: None)
        found = _check_photos(
            judgments, parts or judgments.sets, encoder, lambda done, total: report("photos", done, total)
        )
        rows |= dict(zip(PHOTO_CHECKS, found, strict=True))
    left_out = () if encoder is not None else PHOTO_CHECKS
    return tuple(Finding(check, CHECKS[check], tuple(found)) for check, found in rows.items() if check not in left_out)


def parts_of(judgments: Judgments) -> dict[str, tuple[str, ...]]:
    """Return the parts of judged data that must have no photo in common.

    Args:
        judgments: The judged data.

    Returns:
        Name of a part -> names of its photos: the photo folders where there are several (`train_images`,
        `test_images`), else the lists of train, dev and test photos, else nothing.
    """
    parts = {name: photos for name, photos in judgments.sets.items() if photos}
    return parts if len(parts) > 1 else dict(judgments.splits)


def findings_table(findings: Iterable[Finding], shown: int = SHOWN) -> str:
    """Write findings as text.

    Args:
        findings: The findings.
        shown: At most this many rows of each finding.

    Returns:
        A line `check severity count` per finding, with its rows below it.
    """
    lines = [f"{'check':<38}{'severity':<10}{'count':>6}"]
    for finding in findings:
        lines.append(f"{finding.check:<38}{finding.severity:<10}{finding.count:>6}")
        lines += [f"  {printable(row)}" for row in finding.rows[:shown]]
        if finding.count > shown:
            lines.append(f"  and {finding.count - shown} more (--json has all)")
    return "\n".join(lines)


def _without_majority(good: Iterable[GoodRow]) -> list[str]:
    """Find the rows whose three grades are all different."""
    return [
        f"{row.path}:{row.line}: {', '.join(row.content)}"
        for row in good
        if len(row.key) == 2 and len(row.content) == 3 and len(set(row.content)) == 3
    ]


def _repeated_rows(good: Iterable[GoodRow]) -> tuple[list[str], list[str]]:
    """Find rows with the key of an earlier row of their file: those that contradict it, and those that repeat it."""
    first: dict[tuple[Path, tuple[str, ...]], GoodRow] = {}
    contradictory, same = [], []
    for row in good:
        before = first.setdefault((row.path, row.key), row)
        if before is not row:
            where, what = f"{row.path}:{row.line}", " ".join(row.key)
            if before.content == row.content:
                same.append(f"{where}: {what} again, as in line {before.line}")
            else:
                contradictory.append(f"{where}: {what} again, and otherwise than in line {before.line}")
    return contradictory, same


def _photos_in_two_parts(parts: dict[str, tuple[str, ...]]) -> list[str]:
    return [
        f"{photo}: {first} and {second}"
        for (first, photos), (second, others) in combinations(parts.items(), 2)
        for photo in sorted({*photos} & {*others})
    ]


def _shared_captions(judgments: Judgments, parts: dict[str, tuple[str, ...]]) -> list[str]:
    """Find captions that photos of different parts share, ignoring case and punctuation."""
    part = {photo: name for name, photos in parts.items() for photo in photos}
    captions_of: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    for caption, text in judgments.captions.items():
        if photo_of(caption) in part:
            words = " ".join(re.findall(r"\w+", text.casefold()))
            captions_of[words].setdefault(part[photo_of(caption)], []).append(caption)
    return [
        f"{words!r}: " + ", ".join(f"{captions[0]} ({name})" for name, captions in places.items())
        for words, places in sorted(captions_of.items())
        if len(places) > 1
    ]


def _check_photos(
    judgments: Judgments,
    parts: dict[str, tuple[str, ...]],
    encoder: ImageEncoder,
    on_progress: Callable[[int, int], None],
) -> tuple[list[str], list[str], list[str]]:
    """Find photos that do not open, and near-duplicates among the others, across parts and within a part."""
    found = read_photos(list(judgments.photos.values()), encoder, on_progress)
    names = [name for name, path in judgments.photos.items() if path in found.embeddings]
    # A photo may be in several parts.
    places: dict[str, list[str]] = {}
    for title, photos in parts.items():
        for photo in photos:
            places.setdefault(photo, []).append(title)
    names = [name for name in names if name in places]
    across, within = [], []
    if names:
        for a, b, cosine in near_duplicates(np.stack([found.embeddings[judgments.photos[name]] for name in names])):
            mine, others = places[names[a]], places[names[b]]
            if mine == others and len(mine) == 1:
                within.append(f"{names[a]} and {names[b]} ({mine[0]}): cosine {cosine:.3f}")
            else:
                part, other = ", ".join(mine), ", ".join(others)
                across.append(f"{names[a]} ({part}) and {names[b]} ({other}): cosine {cosine:.3f}")
    return [f"{path}: {reason}" for path, reason in found.unreadable.items()], across, within
