"""Define what a search returns: `Hit` and `SearchResult`, with their JSON form and their table for a terminal."""

import os
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from indexer.photos.metadata.record import NOT_READ, PhotoMetadata
from indexer.printable import printable

# Version of the JSON form.
FORMAT = 1
# Photos of a stack that the table for a terminal names.
NAMED = 3


@dataclass(frozen=True, slots=True)
class Hit:
    """One photo that a search found.

    Attributes:
        rank: Its place among the hits, from 1.
        path: Its absolute path. Bytes that are not UTF-8 are kept as surrogates (`os.fsencode` returns them).
        relevance: The calibrated probability, 0 to 1, that a person says "this fits". It never rises down the hits.
        score: The number that the hits are sorted by, highest first. It has no fixed scale.
        width: Its width in pixels, upright.
        height: Its height in pixels, upright.
        copies: The absolute paths of its exact duplicates that meet what was asked, too.
        metadata: When, where and with what it was taken, and its kind.
        stack: The absolute paths of other photos that belong to it and may be found, too: of its burst, copies in other
            sizes, the RAW beside the JPEG.
    """

    rank: int
    path: str
    relevance: float
    score: float
    width: int
    height: int
    copies: tuple[str, ...] = ()
    metadata: PhotoMetadata = NOT_READ
    stack: tuple[str, ...] = ()

    @property
    def stack_size(self) -> int:
        """Number of photos that this hit stands for, itself and exact duplicates included."""
        return 1 + len(self.copies) + len(self.stack)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, with relevance and score rounded to four decimals, and the time in ISO format."""
        values = asdict(self) | {"relevance": round(self.relevance, 4), "score": round(self.score, 4)}
        values |= {"copies": list(self.copies), "stack": list(self.stack), "stack_size": self.stack_size}
        values |= values.pop("metadata")
        taken = self.metadata.taken
        return values | {"taken": None if taken is None else taken.isoformat()}


@dataclass(frozen=True, slots=True)
class SearchResult:
    """All that one query found.

    Attributes:
        id: The id of the query, "1" for a single one.
        text: The query itself.
        hits: The photos, best first.
        good_match: Whether the index holds a good match. If not, the hits are the best of those that do not fit.
        notes: Remarks for a person, for example that the query was too long.
        match_probability: The probability, 0 to 1, that anything fits; None where this was not asked.
        blocked: The disclaimer, if a policy blocked the query.
        error: What was wrong with the query, if a batch skipped it.
    """

    id: str
    text: str
    hits: tuple[Hit, ...]
    good_match: bool
    notes: tuple[str, ...] = ()
    match_probability: float | None = None
    blocked: str | None = None
    error: str | None = None

    def by_date(self) -> "SearchResult":
        """Return the same result with its hits in the order in which they were taken, the newest first.

        A hit keeps its rank, which is its place by relevance. Hits that are not known to have a time come last.
        """
        by_rank = sorted(self.hits, key=lambda hit: hit.rank)
        return replace(self, hits=tuple(sorted(by_rank, key=lambda hit: _clock(hit.metadata.taken), reverse=True)))

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form.

        Returns:
            A dict for `json.dumps`. Paths that are not UTF-8 keep their bytes as surrogates, so they survive a round
            trip through JSON.
        """
        values: dict[str, Any] = {"format": FORMAT, "id": self.id, "query": self.text, "good_match": self.good_match}
        if self.match_probability is not None:
            values["match_probability"] = round(self.match_probability, 4)
        if self.blocked is not None:
            values |= {"blocked": True, "disclaimer": self.blocked}
        if self.error is not None:
            values["error"] = self.error
        if self.notes:
            values["notes"] = list(self.notes)
        values["hits"] = [hit.as_dict() for hit in self.hits]
        return values


def _clock(taken: datetime | None) -> datetime:
    """Return what the clock showed where a photo was taken; the earliest time of all if it is not known."""
    return datetime.min if taken is None else taken.replace(tzinfo=None)


def table(result: SearchResult) -> str:
    """Format the hits for a terminal, one line of `rank relevance path` per hit.

    Args:
        result: The result of one query.

    Returns:
        The lines, without a final newline; an empty string if there are no hits. Control characters are escaped.
    """
    lines = []
    for hit in result.hits:
        copies = f"  (+{len(hit.copies)} same)" if hit.copies else ""
        lines.append(f"{hit.rank:>4}  {hit.relevance:.3f}  {printable(hit.path)}{copies}{_stack_of(hit)}")
    return "\n".join(lines)


def _stack_of(hit: Hit) -> str:
    """Return the number and the first names of the photos that belong to a hit."""
    if not hit.stack:
        return ""
    names = [printable(os.path.basename(path)) for path in hit.stack[:NAMED]]
    more = ", ..." if len(hit.stack) > NAMED else ""
    return f"  (+{len(hit.stack)}: {', '.join(names)}{more})"
