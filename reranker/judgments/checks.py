"""Checks of judged data: everything that is wrong or doubtful in a judged folder, at once and by row.

Tables are read by `judgments.read_judgments`, so a bad row here is one that training refuses, and the other way round.
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
from reranker.judgments.judged_folder import Judgments, photo_of, read_judgments
from reranker.judgments.near_duplicates import near_duplicates
from reranker.judgments.tables import BadRow, GoodRow

Severity = Literal["error", "warning", "note"]
Stage = Callable[[str, int, int], None]

# An error: training refuses it (or drops it with --keep-going), or takes one of two rows that contradict each other.
# A warning: figures may be better than they should be. A note: nothing to mend.
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
OF_PHOTOS = (
    "photos that do not open",
    "near-duplicate photos across parts",
    "near-duplicate photos within a part",
)
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: its name, how bad that is, and a line for each row, photo or pair."""

    check: str
    severity: Severity
    rows: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many."""
        return len(self.rows)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"check": self.check, "severity": self.severity, "count": self.count, "rows": list(self.rows)}


def check_judgments(
    folder: str | Path, encoder: ImageEncoder | None, on_stage: Stage | None = None
) -> tuple[Finding, ...]:
    """One finding a check of `CHECKS`, in that order, those that found nothing too.

    Without an encoder no photo is opened, and `OF_PHOTOS` are left out. Raises PhotoseekError as `read_judgments` does,
    for a folder that cannot be read at all.
    """
    bad: list[BadRow] = []
    good: list[GoodRow] = []
    judgments = read_judgments(folder, bad.append, good.append)
    rows: dict[str, list[str]] = {check: [] for check in CHECKS}
    for row in bad:
        rows[row.check].append(f"{row.path}:{row.line}: {row.reason}")
    otherwise, rows["duplicate rows"] = _repeated(good)
    rows["contradictory rows"] += otherwise
    parts = parts_of(judgments)
    rows["photos in two parts"] = _in_two_parts(parts)
    rows["captions shared across parts"] = _shared_captions(judgments, parts)
    rows["experts without a majority"] = [
        f"{row.path}:{row.line}: {', '.join(row.content)}"
        for row in good
        if len(row.key) == 2 and len(row.content) == 3 and len(set(row.content)) == 3
    ]
    if encoder is not None:
        report = on_stage or (lambda stage, done, total: None)
        found = _photos(judgments, parts or judgments.sets, encoder, lambda done, total: report("photos", done, total))
        rows |= dict(zip(OF_PHOTOS, found, strict=True))
    left_out = () if encoder is not None else OF_PHOTOS
    return tuple(Finding(check, CHECKS[check], tuple(found)) for check, found in rows.items() if check not in left_out)


def parts_of(judgments: Judgments) -> dict[str, tuple[str, ...]]:
    """The parts that should have nothing in common: the photo folders where there are several (`train_images`,
    `test_images`), else the lists of train, dev and test photos; empty with neither."""
    parts = {name: photos for name, photos in judgments.sets.items() if photos}
    return parts if len(parts) > 1 else dict(judgments.splits)


def table(findings: Iterable[Finding], shown: int = SHOWN) -> str:
    """Lines of `check severity count`, the rows under each; the first `shown` of them."""
    lines = [f"{'check':<38}{'severity':<10}{'count':>6}"]
    for finding in findings:
        lines.append(f"{finding.check:<38}{finding.severity:<10}{finding.count:>6}")
        lines += [f"  {printable(row)}" for row in finding.rows[:shown]]
        if finding.count > shown:
            lines.append(f"  and {finding.count - shown} more (--json has all)")
    return "\n".join(lines)


def _repeated(good: Iterable[GoodRow]) -> tuple[list[str], list[str]]:
    """Rows about what an earlier row of their file is about: those that say otherwise, and those that say the same."""
    first: dict[tuple[Path, tuple[str, ...]], GoodRow] = {}
    otherwise, same = [], []
    for row in good:
        before = first.setdefault((row.path, row.key), row)
        if before is not row:
            where, what = f"{row.path}:{row.line}", " ".join(row.key)
            if before.content == row.content:
                same.append(f"{where}: {what} again, as in line {before.line}")
            else:
                otherwise.append(f"{where}: {what} again, and otherwise than in line {before.line}")
    return otherwise, same


def _in_two_parts(parts: dict[str, tuple[str, ...]]) -> list[str]:
    return [
        f"{photo}: {first} and {second}"
        for (first, photos), (second, others) in combinations(parts.items(), 2)
        for photo in sorted({*photos} & {*others})
    ]


def _shared_captions(judgments: Judgments, parts: dict[str, tuple[str, ...]]) -> list[str]:
    """Sentences that photos of different parts have, whatever their letters' case and signs."""
    part = {photo: name for name, photos in parts.items() for photo in photos}
    said: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    for caption, text in judgments.captions.items():
        if photo_of(caption) in part:
            words = " ".join(re.findall(r"\w+", text.casefold()))
            said[words].setdefault(part[photo_of(caption)], []).append(caption)
    return [
        f"{words!r}: " + ", ".join(f"{captions[0]} ({name})" for name, captions in places.items())
        for words, places in sorted(said.items())
        if len(places) > 1
    ]


def _photos(
    judgments: Judgments,
    parts: dict[str, tuple[str, ...]],
    encoder: ImageEncoder,
    on_progress: Callable[[int, int], None],
) -> tuple[list[str], list[str], list[str]]:
    """Photos that do not open; near-duplicates among the others, of two parts and of one."""
    found, unread = read_photos(list(judgments.photos.values()), encoder, on_progress)
    names = [name for name, path in judgments.photos.items() if path in found]
    # A photo may lie in several parts.
    places: dict[str, list[str]] = {}
    for title, photos in parts.items():
        for photo in photos:
            places.setdefault(photo, []).append(title)
    names = [name for name in names if name in places]
    across, within = [], []
    if names:
        for a, b, cosine in near_duplicates(np.stack([found[judgments.photos[name]][0] for name in names])):
            mine, others = places[names[a]], places[names[b]]
            if mine == others and len(mine) == 1:
                within.append(f"{names[a]} and {names[b]} ({mine[0]}): cosine {cosine:.3f}")
            else:
                part, other = ", ".join(mine), ", ".join(others)
                across.append(f"{names[a]} ({part}) and {names[b]} ({other}): cosine {cosine:.3f}")
    return [f"{path}: {reason}" for path, reason in unread.items()], across, within
