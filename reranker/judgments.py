"""Judged data: a folder of photos, captions and human judgments -> one `Judgments`, checked row by row.

Two layouts are read, mixed as they come: the course's (`train_dataset.csv`, `test_queries.csv`, `*.tsv`,
`train_images/`, `test_images/`) and Flickr8k's own (`Flickr8k.token.txt`, `ExpertAnnotations.txt`,
`CrowdFlowerAnnotations.txt`, `Flickr_8k.trainImages.txt`, `Flicker8k_Dataset/`). `data/README.md` describes both.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.errors import PhotoseekError

PHOTO_FOLDERS = ("train_images", "test_images", "train_224", "Flicker8k_Dataset", "Flickr8k_Dataset", "Images")
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
TEXT_FOLDERS = (".", "original", "Flickr8k_text")
EXPERT_FILES = ("ExpertAnnotations.tsv", "ExpertAnnotations.txt")
CROWD_FILES = ("CrowdAnnotations.tsv", "CrowdFlowerAnnotations.txt")
TOKEN_FILES = ("Flickr8k.token.txt", "captions.token.txt")
GRADES = ("1", "2", "3", "4")
# What decoding with surrogateescape leaves of such bytes.
NOT_UTF8 = re.compile("[\udc80-\udcff]")

Problem = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ExpertRow:
    """Three experts' grades, 1 (nothing to do with the photo) to 4 (describes it without a fault)."""

    photo: str
    caption: str
    grades: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class CrowdRow:
    """How many of the crowd said that the caption describes the photo."""

    photo: str
    caption: str
    yes: int
    no: int

    @property
    def share(self) -> float:
        """The share that said yes."""
        return self.yes / (self.yes + self.no)


@dataclass(frozen=True, slots=True)
class Query:
    """A test query: its id, its text and the photo it should find."""

    id: str
    text: str
    photo: str


@dataclass(frozen=True, slots=True)
class Judgments:
    """Everything a judged folder holds.

    `photos`: name -> file; `sets`: photo folder -> names in it; `splits`: "train", "dev", "test" -> names, from
    Flickr8k's lists; `captions`: id (`<photo>#<n>`) -> text; `queries` are asked against `test_photos`.
    """

    folder: Path
    photos: dict[str, Path]
    sets: dict[str, tuple[str, ...]]
    splits: dict[str, tuple[str, ...]]
    captions: dict[str, str]
    expert: tuple[ExpertRow, ...]
    crowd: tuple[CrowdRow, ...]
    queries: tuple[Query, ...] = ()
    test_photos: tuple[str, ...] = ()
    dropped: int = 0

    def restrict(self, photos: Iterable[str]) -> "Judgments":
        """Only these photos, their own captions, and the judgments between them and captions of any photo."""
        names = set(photos)
        expert = tuple(row for row in self.expert if row.photo in names)
        crowd = tuple(row for row in self.crowd if row.photo in names)
        judged = {row.caption for row in expert} | {row.caption for row in crowd}
        captions = {i: text for i, text in self.captions.items() if photo_of(i) in names or i in judged}
        return replace(
            self,
            photos={name: path for name, path in self.photos.items() if name in names},
            captions=captions,
            expert=expert,
            crowd=crowd,
        )

    def without_captions(self, captions: Iterable[str]) -> "Judgments":
        """The same without some captions and what was said of them."""
        gone = set(captions)
        return replace(
            self,
            captions={i: text for i, text in self.captions.items() if i not in gone},
            expert=tuple(row for row in self.expert if row.caption not in gone),
            crowd=tuple(row for row in self.crowd if row.caption not in gone),
        )


def photo_of(caption: str) -> str:
    """The photo that a caption was written for: `<photo>#<n>` -> `<photo>`."""
    return caption.rpartition("#")[0]


def load_judgments(folder: str | Path, *, keep_going: bool = False, on_problem: Problem | None = None) -> Judgments:
    """Read and check a judged folder.

    Raises PhotoseekError naming file and line at the first row that is not UTF-8, has a field too few, an unknown photo
    or caption, a grade outside 1 to 4, or votes that contradict the share beside them; with `keep_going` such rows are
    dropped, counted and handed to `on_problem`. A table whose header lacks a column is always refused.
    """
    root = Path(folder)
    if not root.is_dir():
        raise PhotoseekError(f"judged data {root}: no such folder")
    dropped: list[str] = []

    def problem(message: str) -> None:
        if not keep_going:
            raise PhotoseekError(f"{message} (--keep-going drops such rows)")
        dropped.append(message)
        if on_problem is not None:
            on_problem(message)

    photos, sets = _find_photos(root)
    if not photos:
        raise PhotoseekError(f"judged data {root}: no photos in any of {', '.join(PHOTO_FOLDERS)}")
    captions = _read_captions(root, photos, problem)
    queries, test_photos = _read_queries(root, photos, problem)
    if not captions:
        raise PhotoseekError(f"judged data {root}: no captions ({', '.join(TOKEN_FILES)} or train_dataset.csv)")
    return Judgments(
        folder=root,
        photos=photos,
        sets=sets,
        splits=_read_splits(root, problem),
        captions=captions,
        expert=tuple(_read_expert(root, photos, captions, problem)),
        crowd=tuple(_read_crowd(root, photos, captions, problem)),
        queries=queries,
        test_photos=test_photos,
        dropped=len(dropped),
    )


def _find_photos(root: Path) -> tuple[dict[str, Path], dict[str, tuple[str, ...]]]:
    photos: dict[str, Path] = {}
    sets = {}
    for name in PHOTO_FOLDERS:
        folder = root / name
        if folder.is_dir():
            files = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
            sets[name] = tuple(p.name for p in files)
            for path in files:
                photos.setdefault(path.name, path)
    return photos, sets


def _first(root: Path, names: tuple[str, ...]) -> Path | None:
    places = (root / folder / name for folder in TEXT_FOLDERS for name in names)
    return next((path for path in places if path.is_file()), None)


def _text(path: Path) -> str:
    """The file's text; bytes that are no UTF-8 stay in it as lone surrogates, so that only their own row is bad."""
    return path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def _lines(path: Path, problem: Problem) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields between tabs) of each line that is not blank."""
    for number, line in enumerate(_text(path).split("\n"), 1):
        if NOT_UTF8.search(line):
            problem(f"{path} line {number}: not UTF-8")
        elif line.strip():
            yield number, line.rstrip("\r").split("\t")


def _read_captions(root: Path, photos: dict[str, Path], problem: Problem) -> dict[str, str]:
    captions: dict[str, str] = {}
    tokens = _first(root, TOKEN_FILES)
    if tokens is not None:
        for line, fields in _lines(tokens, problem):
            if len(fields) != 2 or "#" not in fields[0]:
                problem(f"{tokens} line {line}: not '<photo>#<n>', tab, caption")
            elif not fields[1].strip():
                problem(f"{tokens} line {line}: caption {fields[0]} has no text")
            else:
                captions[fields[0]] = fields[1].strip()
    pairs = root / "train_dataset.csv"
    if pairs.is_file():
        for line, row in _table(pairs, ",", ("image", "query_id", "query_text"), problem):
            if row["image"] not in photos:
                problem(f"{pairs} line {line}: photo {row['image']} is in no photo folder")
            elif "#" not in row["query_id"]:
                problem(f"{pairs} line {line}: caption id {row['query_id']!r} is not '<photo>#<n>'")
            elif not row["query_text"].strip():
                problem(f"{pairs} line {line}: caption {row['query_id']} has no text")
            else:
                captions.setdefault(row["query_id"], row["query_text"].strip())
    return captions


def _table(
    path: Path, delimiter: str, columns: tuple[str, ...], problem: Problem
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row by column) of a CSV file with a header; rows that are not UTF-8 or have a field too few or
    too many are problems."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=delimiter)
    try:
        header = next(reader, [])
        if NOT_UTF8.search("".join(header)):
            raise PhotoseekError(f"{path}: its header is not UTF-8; save the file as UTF-8")
        missing = [column for column in columns if column not in header]
        if missing:
            found = ", ".join(map(repr, header)) or "no header"
            raise PhotoseekError(f"{path}: no column {missing[0]!r}; it has {found}")
        for fields in reader:
            if NOT_UTF8.search("".join(fields)):
                problem(f"{path} line {reader.line_num}: not UTF-8")
            elif fields and len(fields) != len(header):
                problem(f"{path} line {reader.line_num}: {len(fields)} fields, the header has {len(header)}")
            elif fields:
                yield reader.line_num, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise PhotoseekError(f"{path} line {reader.line_num}: {error}") from None


def _read_expert(
    root: Path, photos: dict[str, Path], captions: dict[str, str], problem: Problem
) -> Iterator[ExpertRow]:
    path = _first(root, EXPERT_FILES)
    if path is None:
        return
    for line, fields in _lines(path, problem):
        where = f"{path} line {line}"
        if len(fields) != 5:
            problem(f"{where}: {len(fields)} fields, expected photo, caption and three grades")
        elif _is_known(where, fields[0], fields[1], photos, captions, problem):
            if all(grade.strip() in GRADES for grade in fields[2:]):
                first, second, third = (int(grade) for grade in fields[2:])
                yield ExpertRow(fields[0], fields[1], (first, second, third))
            else:
                problem(f"{where}: grades {', '.join(fields[2:])}; a grade is 1, 2, 3 or 4")


def _read_crowd(root: Path, photos: dict[str, Path], captions: dict[str, str], problem: Problem) -> Iterator[CrowdRow]:
    path = _first(root, CROWD_FILES)
    if path is None:
        return
    for line, fields in _lines(path, problem):
        where = f"{path} line {line}"
        if len(fields) != 5:
            problem(f"{where}: {len(fields)} fields, expected photo, caption, share, yes and no")
        elif _is_known(where, fields[0], fields[1], photos, captions, problem):
            try:
                share, yes, no = float(fields[2]), int(fields[3]), int(fields[4])
            except ValueError:
                problem(f"{where}: share and votes {', '.join(fields[2:])} are not numbers")
                continue
            if yes < 0 or no < 0 or yes + no == 0 or not abs(share - yes / (yes + no)) <= 0.01:
                problem(f"{where}: share {fields[2]} does not follow from {yes} yes and {no} no")
            else:
                yield CrowdRow(fields[0], fields[1], yes, no)


def _is_known(
    where: str, photo: str, caption: str, photos: dict[str, Path], captions: dict[str, str], problem: Problem
) -> bool:
    if photo not in photos:
        problem(f"{where}: photo {photo} is in no photo folder")
    elif caption not in captions:
        problem(f"{where}: caption {caption} has no text")
    else:
        return True
    return False


def _read_queries(root: Path, photos: dict[str, Path], problem: Problem) -> tuple[tuple[Query, ...], tuple[str, ...]]:
    queries, names = root / "test_queries.csv", root / "test_images.csv"
    if not queries.is_file() or not names.is_file():
        return (), ()
    gallery = []
    for line, row in _table(names, "|", ("image",), problem):
        if row["image"] in photos:
            gallery.append(row["image"])
        else:
            problem(f"{names} line {line}: photo {row['image']} is in no photo folder")
    asked = []
    known = set(gallery)
    for line, row in _table(queries, "|", ("query_id", "query_text", "image"), problem):
        if row["image"] not in known:
            problem(f"{queries} line {line}: photo {row['image']} is not in {names.name}")
        elif not row["query_text"].strip():
            problem(f"{queries} line {line}: query {row['query_id']} has no text")
        else:
            asked.append(Query(row["query_id"], row["query_text"].strip(), row["image"]))
    return tuple(asked), tuple(gallery)


def _read_splits(root: Path, problem: Problem) -> dict[str, tuple[str, ...]]:
    splits = {}
    for name in ("train", "dev", "test"):
        path = _first(root, (f"Flickr_8k.{name}Images.txt",))
        if path is not None:
            splits[name] = tuple(fields[0].strip() for _, fields in _lines(path, problem))
    return splits


def grouped_split(groups: np.ndarray, test_share: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of train and test, 7:3 by default, no group (photo) on both sides. groups: (n,) -> two index arrays."""
    from sklearn.model_selection import GroupShuffleSplit

    splitter = GroupShuffleSplit(n_splits=1, test_size=test_share, random_state=seed)
    train, test = next(splitter.split(groups, groups=groups))
    return train, test
