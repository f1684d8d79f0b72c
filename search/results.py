"""What a search gives back, and how it is written: tables, JSON, CSV, Parquet, TREC runs, contact sheets."""

import csv
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from indexer.errors import PhotoseekError

FORMAT = 1
RESULT_SUFFIXES = (".csv", ".jsonl", ".parquet", ".trec")


@dataclass(frozen=True, slots=True)
class Hit:
    """A found photo. `path` is absolute; `relevance` is 0..1; `score` is the candidate stage's; `copies` are the
    paths of exact duplicates."""

    rank: int
    path: str
    relevance: float
    score: float
    width: int
    height: int
    copies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What one query found. `good` is False when the best hit is no good match; `notes` are for people.

    `blocked` holds the disclaimer where a policy blocked the query; `error` what was wrong with a query that a batch
    went past.
    """

    id: str
    text: str
    hits: tuple[Hit, ...]
    good: bool
    notes: tuple[str, ...] = ()
    blocked: str | None = None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form. Paths that are not UTF-8 keep their bytes as surrogates, so that they round-trip."""
        values: dict[str, Any] = {"format": FORMAT, "id": self.id, "query": self.text, "good_match": self.good}
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


def printable(path: str) -> str:
    """A path that is safe on a terminal and on one line: what cannot be shown is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in path)


def write_answers(answers: Iterable[Answer], path: Path) -> None:
    """Write the answers of a batch in the format that the file's ending names, beside and renamed."""
    writer = {".csv": _write_csv, ".jsonl": _write_jsonl, ".parquet": _write_parquet, ".trec": _write_trec}.get(
        path.suffix
    )
    if writer is None:
        raise PhotoseekError(f"results file {path}: the ending must be one of {', '.join(RESULT_SUFFIXES)}")
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        writer(answers, scratch)
        os.replace(scratch, path)
    except OSError as error:
        raise PhotoseekError(f"results file {path}: {error.strerror}") from None
    finally:
        scratch.unlink(missing_ok=True)


COLUMNS = ("query_id", "query", "rank", "path", "relevance", "score", "good_match", "error")


def _records(answers: Iterable[Answer]) -> Iterable[dict[str, Any]]:
    """One record a hit; a query without hits has one record with empty places, so that none is lost."""
    for answer in answers:
        shared = {"query_id": answer.id, "query": answer.text, "good_match": answer.good}
        shared["error"] = answer.error or answer.blocked or ""
        for hit in answer.hits:
            yield {**shared, "rank": hit.rank, "path": hit.path, "relevance": hit.relevance, "score": hit.score}
        if not answer.hits:
            yield {**shared, "rank": None, "path": None, "relevance": None, "score": None}


def _write_csv(answers: Iterable[Answer], path: Path) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for record in _records(answers):
            for name in ("relevance", "score"):
                record[name] = "" if record[name] is None else f"{record[name]:.4f}"
            writer.writerow(record)


def _write_jsonl(answers: Iterable[Answer], path: Path) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for answer in answers:
            file.write(json.dumps(answer.as_dict()) + "\n")


def _write_parquet(answers: Iterable[Answer], path: Path) -> None:
    import pandas

    frame = pandas.DataFrame(list(_records(answers)), columns=list(COLUMNS))
    frame["rank"] = frame["rank"].astype("Int32")
    # Parquet text is UTF-8 by definition; other bytes are escaped as they are on a terminal.
    frame["path"] = [None if path is None else printable(path) for path in frame["path"]]
    frame.to_parquet(path, index=False)


def _write_trec(answers: Iterable[Answer], path: Path) -> None:
    """`query Q0 document rank score run`, as trec_eval reads it; blanks in names are escaped."""
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        for answer in answers:
            for hit in answer.hits:
                name = hit.path.replace("%", "%25").replace(" ", "%20").replace("\n", "%0A").replace("\t", "%09")
                query = "_".join(answer.id.split()) or "_"
                file.write(f"{query} Q0 {name} {hit.rank} {hit.relevance:.6f} photoseek\n")


def table(answer: Answer, root: str | None = None) -> str:
    """The hits as lines of `rank relevance path`, paths relative to `root` where they lie below it."""
    lines = []
    for hit in answer.hits:
        shown = os.path.relpath(hit.path, root) if root and hit.path.startswith(root + os.sep) else hit.path
        copies = f"  (+{len(hit.copies)} same)" if hit.copies else ""
        lines.append(f"{hit.rank:>4}  {hit.relevance:.3f}  {printable(shown)}{copies}")
    return "\n".join(lines)


def write_sheet(answers: Sequence[Answer], path: Path, columns: int = 5, cell: int = 220) -> None:
    """A contact sheet: each query as a heading over its photos, with rank and relevance. The ending names the format."""
    from PIL import Image, ImageDraw, ImageFont

    from indexer.decode import UnreadablePhoto, open_upright

    font = ImageFont.load_default(15)
    heading, label, gap = 34, 20, 8
    rows = [max(1, -(-len(answer.hits) // columns)) for answer in answers]
    width = columns * (cell + gap) + gap
    height = sum(heading + count * (cell + label + gap) for count in rows) + gap
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    top = gap
    for answer, count in zip(answers, rows, strict=True):
        verdict = "" if answer.good else "   (no good match)"
        draw.text((gap, top + 8), f"{answer.text[:120]}{answer.blocked and '   (blocked)' or verdict}", "black", font)
        top += heading
        for number, hit in enumerate(answer.hits):
            left = gap + number % columns * (cell + gap)
            upper = top + number // columns * (cell + label + gap)
            try:
                photo, _ = open_upright(
                    Path(os.fsencode(hit.path).decode("utf-8", "surrogateescape")).read_bytes(), at_least=cell
                )
                photo.thumbnail((cell, cell))
                sheet.paste(photo, (left + (cell - photo.width) // 2, upper + (cell - photo.height) // 2))
            except (OSError, UnreadablePhoto):
                draw.text((left, upper + cell // 2), "(photo cannot be read)", "gray", font)
            name = printable(os.path.basename(hit.path))
            draw.text((left, upper + cell + 2), f"{hit.rank}. {hit.relevance:.2f}  {name[:22]}", "black", font)
        top += count * (cell + label + gap)
    try:
        sheet.save(path)
    except (OSError, ValueError) as error:
        raise PhotoseekError(f"contact sheet {path}: {error}") from None
