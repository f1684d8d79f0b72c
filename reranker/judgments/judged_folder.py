"""Judged data: a folder of photos, captions and human judgments -> one `Judgments`, checked row by row.

Two layouts are read, mixed as they come: the course's (`train_dataset.csv`, `test_queries.csv`, `*.tsv`,
`train_images/`, `test_images/`) and Flickr8k's own (`Flickr8k.token.txt`, `ExpertAnnotations.txt`,
`CrowdFlowerAnnotations.txt`, `Flickr_8k.trainImages.txt`, `Flicker8k_Dataset/`). `data/README.md` describes both.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.errors import PhotoseekError
from reranker.judgments.tables import BadRow, GoodRow, OnBad, OnGood, lines_of, table_of

PHOTO_FOLDERS = ("train_images", "test_images", "train_224", "Flicker8k_Dataset", "Flickr8k_Dataset", "Images")
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
TEXT_FOLDERS = (".", "original", "Flickr8k_text")
EXPERT_FILES = ("ExpertAnnotations.tsv", "ExpertAnnotations.txt")
CROWD_FILES = ("CrowdAnnotations.tsv", "CrowdFlowerAnnotations.txt")
TOKEN_FILES = ("Flickr8k.token.txt", "captions.token.txt")
GRADES = ("1", "2", "3", "4")

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
    dropped: list[str] = []

    def on_bad(row: BadRow) -> None:
        if not keep_going:
            raise PhotoseekError(f"{row} (--keep-going drops such rows)")
        dropped.append(str(row))
        if on_problem is not None:
            on_problem(str(row))

    judgments = read_judgments(folder, on_bad)
    return replace(judgments, dropped=len(dropped))


def read_judgments(folder: str | Path, on_bad: OnBad, on_good: OnGood | None = None) -> Judgments:
    """Read a judged folder; bad rows are left out and handed to `on_bad`, rows that are used to `on_good`.

    Raises PhotoseekError for a folder without photos or captions, and for a table whose header lacks a column.
    """
    root = Path(folder)
    rows = _Rows(on_bad, on_good or (lambda row: None))
    if not root.is_dir():
        raise PhotoseekError(f"judged data {root}: no such folder")
    photos, sets = _find_photos(root)
    if not photos:
        raise PhotoseekError(f"judged data {root}: no photos in any of {', '.join(PHOTO_FOLDERS)}")
    captions = _read_captions(root, photos, rows)
    queries, test_photos = _read_queries(root, photos, rows)
    if not captions:
        raise PhotoseekError(f"judged data {root}: no captions ({', '.join(TOKEN_FILES)} or train_dataset.csv)")
    return Judgments(
        folder=root,
        photos=photos,
        sets=sets,
        splits=_read_splits(root, rows),
        captions=captions,
        expert=tuple(_read_expert(root, photos, captions, rows)),
        crowd=tuple(_read_crowd(root, photos, captions, rows)),
        queries=queries,
        test_photos=test_photos,
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """Where rows are reported to."""

    on_bad: OnBad
    on_good: OnGood

    def bad(self, check: str, path: Path, line: int, reason: str) -> None:
        self.on_bad(BadRow(check, path, line, reason))

    def good(self, path: Path, line: int, key: tuple[str, ...], *content: str) -> None:
        self.on_good(GoodRow(path, line, key, content))


def _find_photos(root: Path) -> tuple[dict[str, Path], dict[str, tuple[str, ...]]]:
    photos: dict[str, Path] = {}
    sets = {}
    for name in PHOTO_FOLDERS:
        folder = root / name
        if folder.is_dir():
            found = sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
            # No folders, and no pipes; a link that leads nowhere is a photo that does not open.
            files = [p for p in found if p.is_file() or not p.exists()]
            sets[name] = tuple(p.name for p in files)
            for path in files:
                photos.setdefault(path.name, path)
    return photos, sets


def _first(root: Path, names: tuple[str, ...]) -> Path | None:
    places = (root / folder / name for folder in TEXT_FOLDERS for name in names)
    return next((path for path in places if path.is_file()), None)


def _read_captions(root: Path, photos: dict[str, Path], rows: _Rows) -> dict[str, str]:
    captions: dict[str, str] = {}
    tokens = _first(root, TOKEN_FILES)
    if tokens is not None:
        for line, fields in lines_of(tokens, rows.on_bad):
            if len(fields) != 2 or "#" not in fields[0]:
                rows.bad("malformed rows", tokens, line, "not '<photo>#<n>', tab, caption")
            elif not fields[1].strip():
                rows.bad("captions without text", tokens, line, f"caption {fields[0]} has no text")
            else:
                captions[fields[0]] = fields[1].strip()
                rows.good(tokens, line, (fields[0],), fields[1].strip())
    pairs = root / "train_dataset.csv"
    if pairs.is_file():
        for line, row in table_of(pairs, ",", ("image", "query_id", "query_text"), rows.on_bad):
            if row["image"] not in photos:
                rows.bad("unknown photos", pairs, line, f"photo {row['image']} is in no photo folder")
            elif "#" not in row["query_id"]:
                rows.bad("malformed rows", pairs, line, f"caption id {row['query_id']!r} is not '<photo>#<n>'")
            elif not row["query_text"].strip():
                rows.bad("captions without text", pairs, line, f"caption {row['query_id']} has no text")
            else:
                captions.setdefault(row["query_id"], row["query_text"].strip())
                rows.good(pairs, line, (row["image"], row["query_id"]), row["query_text"].strip())
    return captions


def _read_expert(root: Path, photos: dict[str, Path], captions: dict[str, str], rows: _Rows) -> Iterator[ExpertRow]:
    path = _first(root, EXPERT_FILES)
    if path is None:
        return
    for line, fields in lines_of(path, rows.on_bad):
        if len(fields) != 5:
            reason = f"{len(fields)} fields, expected photo, caption and three grades"
            rows.bad("malformed rows", path, line, reason)
        elif _is_known(path, line, fields, photos, captions, rows):
            if all(grade.strip() in GRADES for grade in fields[2:]):
                first, second, third = (int(grade) for grade in fields[2:])
                rows.good(path, line, (fields[0], fields[1]), *sorted(grade.strip() for grade in fields[2:]))
                yield ExpertRow(fields[0], fields[1], (first, second, third))
            else:
                reason = f"grades {', '.join(fields[2:])}; a grade is 1, 2, 3 or 4"
                rows.bad("grades out of range", path, line, reason)


def _read_crowd(root: Path, photos: dict[str, Path], captions: dict[str, str], rows: _Rows) -> Iterator[CrowdRow]:
    path = _first(root, CROWD_FILES)
    if path is None:
        return
    for line, fields in lines_of(path, rows.on_bad):
        if len(fields) != 5:
            reason = f"{len(fields)} fields, expected photo, caption, share, yes and no"
            rows.bad("malformed rows", path, line, reason)
        elif _is_known(path, line, fields, photos, captions, rows):
            try:
                share, yes, no = float(fields[2]), int(fields[3]), int(fields[4])
            except ValueError:
                reason = f"share and votes {', '.join(fields[2:])} are not numbers"
                rows.bad("inconsistent votes", path, line, reason)
                continue
            if yes < 0 or no < 0 or yes + no == 0 or not abs(share - yes / (yes + no)) <= 0.01:
                reason = f"share {fields[2]} does not follow from {yes} yes and {no} no"
                rows.bad("inconsistent votes", path, line, reason)
            else:
                rows.good(path, line, (fields[0], fields[1]), str(yes), str(no))
                yield CrowdRow(fields[0], fields[1], yes, no)


def _is_known(
    path: Path, line: int, fields: list[str], photos: dict[str, Path], captions: dict[str, str], rows: _Rows
) -> bool:
    photo, caption = fields[:2]
    if photo not in photos:
        rows.bad("unknown photos", path, line, f"photo {photo} is in no photo folder")
    elif caption not in captions:
        rows.bad("captions without text", path, line, f"caption {caption} has no text")
    else:
        return True
    return False


def _read_queries(root: Path, photos: dict[str, Path], rows: _Rows) -> tuple[tuple[Query, ...], tuple[str, ...]]:
    queries, names = root / "test_queries.csv", root / "test_images.csv"
    if not queries.is_file() or not names.is_file():
        return (), ()
    gallery: dict[str, None] = {}
    for line, row in table_of(names, "|", ("image",), rows.on_bad):
        if row["image"] in photos:
            gallery[row["image"]] = None
            rows.good(names, line, (row["image"],))
        else:
            rows.bad("unknown photos", names, line, f"photo {row['image']} is in no photo folder")
    asked: dict[str, Query] = {}
    for line, row in table_of(queries, "|", ("query_id", "query_text", "image"), rows.on_bad):
        query = Query(row["query_id"], row["query_text"].strip(), row["image"])
        if row["image"] not in gallery:
            rows.bad("unknown photos", queries, line, f"photo {row['image']} is not in {names.name}")
        elif not row["query_text"].strip():
            rows.bad("captions without text", queries, line, f"query {row['query_id']} has no text")
        else:
            before = asked.setdefault(query.id, query)
            if before != query:
                rows.bad("contradictory rows", queries, line, f"query {query.id} again, and otherwise than before")
            else:
                rows.good(queries, line, (query.id,), query.text, query.photo)
    return tuple(asked.values()), tuple(gallery)


def _read_splits(root: Path, rows: _Rows) -> dict[str, tuple[str, ...]]:
    splits = {}
    for name in ("train", "dev", "test"):
        path = _first(root, (f"Flickr_8k.{name}Images.txt",))
        if path is not None:
            names = []
            for line, fields in lines_of(path, rows.on_bad):
                names.append(fields[0].strip())
                rows.good(path, line, (names[-1],))
            splits[name] = tuple(names)
    return splits


def grouped_split(groups: np.ndarray, test_share: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of train and test, 7:3 by default, no group (photo) on both sides. groups: (n,) -> two index arrays."""
    from sklearn.model_selection import GroupShuffleSplit

    splitter = GroupShuffleSplit(n_splits=1, test_size=test_share, random_state=seed)
    train, test = next(splitter.split(groups, groups=groups))
    return train, test
