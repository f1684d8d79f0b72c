"""What a search gives back, and how it is written: a table, JSON, CSV, JSON lines, Parquet, TREC runs."""

import csv
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from indexer.errors import PhotoseekError
from indexer.printable import printable
from indexer.storage.atomic_files import whole_file

FORMAT = 1
RESULT_SUFFIXES = (".csv", ".jsonl", ".parquet", ".trec")
COLUMNS = ("query_id", "query", "rank", "path", "relevance", "score", "good_match", "error")


@dataclass(frozen=True, slots=True)
class Hit:
    """A found photo. `path` is absolute; `relevance` is 0..1 and never rises down the hits; `score`, of any scale, is
    what they are ordered by; `copies` are the paths of exact duplicates."""

    rank: int
    path: str
    relevance: float
    score: float
    width: int
    height: int
    copies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What one query found. `good_match` is False when nothing in the index is a good match; `notes` are for people;
    `match_probability` is the chance that something is one, None where that was not asked.

    `blocked` holds the disclaimer where a policy blocked the query; `error` what was wrong with a query that a batch
    went past.
    """

    id: str
    text: str
    hits: tuple[Hit, ...]
    good_match: bool
    notes: tuple[str, ...] = ()
    match_probability: float | None = None
    blocked: str | None = None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form. Paths that are not UTF-8 keep their bytes as surrogates, so that they round-trip."""
        values: dict[str, Any] = {"format": FORMAT, "id": self.id, "query": self.text, "good_match": self.good_match}
        if self.match_probability is not None:
            values["match_probability"] = round(self.match_probability, 4)
        if self.blocked is not None:
            values |= {"blocked": True, "disclaimer": self.blocked}
        if self.error is not None:
            values["error"] = self.error
        if self.notes:
            values["notes"] = list(self.notes)
        values["hits"] = [_hit_dict(hit) for hit in self.hits]
        return values


def _hit_dict(hit: Hit) -> dict[str, Any]:
    values = asdict(hit) | {"relevance": round(hit.relevance, 4), "score": round(hit.score, 4)}
    values["copies"] = list(hit.copies)
    return values


def table(answer: SearchResult) -> str:
    """The hits as lines of `rank relevance path`."""
    lines = []
    for hit in answer.hits:
        copies = f"  (+{len(hit.copies)} same)" if hit.copies else ""
        lines.append(f"{hit.rank:>4}  {hit.relevance:.3f}  {printable(hit.path)}{copies}")
    return "\n".join(lines)


def write_answers(answers: Iterable[SearchResult], path: Path) -> None:
    """Write the answers of a batch in the format that the file's ending names, beside and renamed."""
    writer = {".csv": _write_csv, ".jsonl": _write_jsonl, ".parquet": _write_parquet, ".trec": _write_trec}.get(
        path.suffix
    )
    if writer is None:
        raise PhotoseekError(f"results file {path}: the ending must be one of {', '.join(RESULT_SUFFIXES)}")
    try:
        with whole_file(path) as scratch:
            writer(answers, scratch)
    except OSError as error:
        raise PhotoseekError(f"results file {path}: {error.strerror}") from None


def _records(answers: Iterable[SearchResult]) -> Iterator[dict[str, Any]]:
    """One record a hit, keys as COLUMNS; a query without hits has one with empty places, so that none is lost."""
    for answer in answers:
        error = answer.error or answer.blocked
        for hit in answer.hits or (None,):
            place = (None,) * 4 if hit is None else (hit.rank, hit.path, hit.relevance, hit.score)
            yield dict(zip(COLUMNS, (answer.id, answer.text, *place, answer.good_match, error), strict=True))


def _write_csv(answers: Iterable[SearchResult], path: Path) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for record in _records(answers):
            for name in ("relevance", "score"):
                record[name] = "" if record[name] is None else f"{record[name]:.4f}"
            writer.writerow(record)


def _write_jsonl(answers: Iterable[SearchResult], path: Path) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for answer in answers:
            file.write(json.dumps(answer.as_dict()) + "\n")


def _write_parquet(answers: Iterable[SearchResult], path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    text, number = pyarrow.string(), pyarrow.float32()
    kinds = (text, text, pyarrow.int32(), text, number, number, pyarrow.bool_(), text)
    records = list(_records(answers))
    for record in records:
        # Parquet text is UTF-8 by definition; other bytes are escaped as they are on a terminal.
        record["path"] = None if record["path"] is None else printable(record["path"])
        for name in ("query_id", "query", "error"):
            text_of = record[name]
            record[name] = text_of and text_of.encode("utf-8", "backslashreplace").decode("utf-8")
    schema = pyarrow.schema(list(zip(COLUMNS, kinds, strict=True)))
    with open(path, "wb") as file:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records, schema=schema), file)


def _write_trec(answers: Iterable[SearchResult], path: Path) -> None:
    """`query Q0 document rank score run`, as trec_eval reads it: paths percent-encoded, blanks in ids as `_`.

    trec_eval sorts by score alone and settles ties by name, so a score that does not fall is put a float32 step below.
    """
    from urllib.parse import quote

    import numpy as np

    with open(path, "w", encoding="utf-8") as file:
        for answer in answers:
            name = "_".join(answer.id.split()) or "_"
            before = np.float32(np.inf)
            for hit in answer.hits:
                document = quote(os.fsencode(hit.path))
                before = min(np.float32(hit.score), np.nextafter(before, np.float32(-np.inf)))
                file.write(f"{name} Q0 {document} {hit.rank} {before:.9g} photoseek\n")
