"""Read a folder of photos, captions and human judgments, and check it row by row.

Two layouts are read, and mixtures of both: the course's (`train_dataset.csv`, `test_queries.csv`, `*.tsv`,
`train_images/`, `test_images/`) and Flickr8k's own (`Flickr8k.token.txt`, `ExpertAnnotations.txt`,
`CrowdFlowerAnnotations.txt`, `Flickr_8k.trainImages.txt`, `Flicker8k_Dataset/`). A folder with `captions.tsv` is read
by `captions_table`. `docs/judged-data.md` describes all three.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from indexer.errors import PhotoseekError
from reranker.judgments.captions_table import CAPTIONS_TABLE, read_captions_table
from reranker.judgments.judgments import SPLITS, CrowdRow, ExpertRow, Judgments, Query
from reranker.judgments.photo_folders import PHOTO_FOLDERS, find_photos
from reranker.judgments.tables import BadRow, OnBad, OnGood, TableReader

TEXT_FOLDERS = (".", "original", "Flickr8k_text")
EXPERT_FILES = ("ExpertAnnotations.tsv", "ExpertAnnotations.txt")
CROWD_FILES = ("CrowdAnnotations.tsv", "CrowdFlowerAnnotations.txt")
CAPTION_FILES = ("Flickr8k.token.txt", "captions.token.txt")
GRADES = ("1", "2", "3", "4")
# Largest difference of the share in a file from yes / (yes + no): shares are rounded there.
SHARE_TOLERANCE = 0.01

Problem = Callable[[str], None]


def load_judgments(folder: str | Path, *, keep_going: bool = False, on_problem: Problem | None = None) -> Judgments:
    """Read and check a judged folder.

    A row is bad if it is not UTF-8, has a field too few, an unknown photo or caption, a grade outside 1 to 4, votes
    that contradict the share beside them, or an unknown split or one that contradicts another row's.

    Args:
        folder: The judged folder.
        keep_going: Whether bad rows are left out and counted instead of refused.
        on_problem: Called with a line about each bad row that is left out.

    Returns:
        The judged data.

    Raises:
        PhotoseekError: There is a bad row (the message names file and line), a table whose header lacks a column, or
            there are no photos or no captions.
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
    """Read a judged folder and report every row.

    Args:
        folder: The judged folder.
        on_bad: Called with each row that cannot be used; it is left out.
        on_good: Called with each row that is used.

    Returns:
        The judged data.

    Raises:
        PhotoseekError: There are no photos or no captions, or the header of a table lacks a column.
    """
    root = Path(folder)
    if not root.is_dir():
        raise PhotoseekError(f"judged data {root}: no such folder")
    if (root / CAPTIONS_TABLE).is_file():
        return read_captions_table(root, on_bad, on_good)
    photos, sets = find_photos(root)
    if not photos:
        raise PhotoseekError(f"judged data {root}: no photos in any of {', '.join(PHOTO_FOLDERS)}")
    tables = _Tables(root, photos, on_bad, on_good or (lambda row: None))
    captions = tables.captions()
    queries, test_photos = tables.queries()
    if not captions:
        raise PhotoseekError(f"judged data {root}: no captions ({', '.join(CAPTION_FILES)} or train_dataset.csv)")
    return Judgments(
        folder=root,
        photos=photos,
        sets=sets,
        splits=tables.splits(),
        captions=captions,
        expert=tuple(tables.expert(captions)),
        crowd=tuple(tables.crowd(captions)),
        queries=queries,
        test_photos=test_photos,
    )


@dataclass(frozen=True, slots=True)
class _Tables:
    """The tables of a judged folder with these photos."""

    root: Path
    photos: dict[str, Path]
    on_bad: OnBad
    on_good: OnGood

    def captions(self) -> dict[str, str]:
        """Read the text of each caption by its id; if two files have a caption, the caption file's text is taken."""
        captions: dict[str, str] = {}
        table = self._first(CAPTION_FILES)
        if table is not None:
            for line, fields in table.lines():
                if len(fields) != 2 or "#" not in fields[0]:
                    table.bad(line, "malformed rows", "not '<photo>#<n>', tab, caption")
                elif not fields[1].strip():
                    table.bad(line, "captions without text", f"caption {fields[0]} has no text")
                else:
                    captions[fields[0]] = fields[1].strip()
                    table.good(line, (fields[0],), fields[1].strip())
        table = self._table("train_dataset.csv")
        if table is not None:
            for line, row in table.rows(",", ("image", "query_id", "query_text")):
                caption, text = row["query_id"], row["query_text"].strip()
                if row["image"] not in self.photos:
                    table.bad(line, "unknown photos", f"photo {row['image']} is in no photo folder")
                elif "#" not in caption:
                    table.bad(line, "malformed rows", f"caption id {caption!r} is not '<photo>#<n>'")
                elif not text:
                    table.bad(line, "captions without text", f"caption {caption} has no text")
                else:
                    captions.setdefault(caption, text)
                    table.good(line, (row["image"], caption), text)
        return captions

    def expert(self, captions: dict[str, str]) -> Iterator[ExpertRow]:
        """Read the three expert grades of each pair."""
        for table, line, fields in self._pairs(EXPERT_FILES, captions, "photo, caption and three grades"):
            photo, caption, *given = fields
            grades = [grade.strip() for grade in given]
            if all(grade in GRADES for grade in grades):
                first, second, third = (int(grade) for grade in grades)
                # Experts have no identities, so the same grades in another order say the same.
                table.good(line, (photo, caption), *sorted(grades))
                yield ExpertRow(photo, caption, (first, second, third))
            else:
                table.bad(line, "grades out of range", f"grades {', '.join(given)}; a grade is 1, 2, 3 or 4")

    def crowd(self, captions: dict[str, str]) -> Iterator[CrowdRow]:
        """Read the crowd's votes on each pair, and refuse a row whose share of yes does not follow from its votes."""
        for table, line, fields in self._pairs(CROWD_FILES, captions, "photo, caption, share, yes and no"):
            photo, caption, *numbers = fields
            try:
                share, yes, no = float(numbers[0]), int(numbers[1]), int(numbers[2])
            except ValueError:
                table.bad(line, "inconsistent votes", f"share and votes {', '.join(numbers)} are not numbers")
                continue
            if yes < 0 or no < 0 or yes + no == 0 or not abs(share - yes / (yes + no)) <= SHARE_TOLERANCE:
                reason = f"share {numbers[0]} does not follow from {yes} yes and {no} no"
                table.bad(line, "inconsistent votes", reason)
            else:
                table.good(line, (photo, caption), str(yes), str(no))
                yield CrowdRow(photo, caption, yes, no)

    def queries(self) -> tuple[tuple[Query, ...], tuple[str, ...]]:
        """Read the test queries and the photos that they search in; none unless both tables are there."""
        queries, gallery = self._table("test_queries.csv"), self._table("test_images.csv")
        if queries is None or gallery is None:
            return (), ()
        test_photos: dict[str, None] = {}
        for line, row in gallery.rows("|", ("image",)):
            if row["image"] in self.photos:
                test_photos[row["image"]] = None
                gallery.good(line, (row["image"],))
            else:
                gallery.bad(line, "unknown photos", f"photo {row['image']} is in no photo folder")
        asked: dict[str, Query] = {}
        for line, row in queries.rows("|", ("query_id", "query_text", "image")):
            query = Query(row["query_id"], row["query_text"].strip(), row["image"])
            if query.photo not in test_photos:
                queries.bad(line, "unknown photos", f"photo {query.photo} is not in {gallery.path.name}")
            elif not query.text:
                queries.bad(line, "captions without text", f"query {query.id} has no text")
            elif asked.setdefault(query.id, query) != query:
                queries.bad(line, "contradictory rows", f"query {query.id} again, and otherwise than before")
            else:
                queries.good(line, (query.id,), query.text, query.photo)
        return tuple(asked.values()), tuple(test_photos)

    def splits(self) -> dict[str, tuple[str, ...]]:
        """Read the photo names of each split that has a list."""
        splits = {}
        for name in SPLITS:
            table = self._first((f"Flickr_8k.{name}Images.txt",))
            if table is not None:
                photos = []
                for line, fields in table.lines():
                    photos.append(fields[0].strip())
                    table.good(line, (photos[-1],))
                splits[name] = tuple(photos)
        return splits

    def _pairs(
        self, names: tuple[str, ...], captions: dict[str, str], expected: str
    ) -> Iterator[tuple[TableReader, int, list[str]]]:
        """Yield (table, line number, five fields) of each row whose photo and caption are known."""
        table = self._first(names)
        if table is None:
            return
        for line, fields in table.lines():
            if len(fields) != 5:
                table.bad(line, "malformed rows", f"{len(fields)} fields, expected {expected}")
            elif fields[0] not in self.photos:
                table.bad(line, "unknown photos", f"photo {fields[0]} is in no photo folder")
            elif fields[1] not in captions:
                table.bad(line, "captions without text", f"caption {fields[1]} has no text")
            else:
                yield table, line, fields

    def _first(self, names: tuple[str, ...]) -> TableReader | None:
        """Return the first of these files that exists, in any of the folders for texts."""
        places = (self.root / folder / name for folder in TEXT_FOLDERS for name in names)
        path = next((path for path in places if path.is_file()), None)
        return None if path is None else TableReader(path, self.on_bad, self.on_good)

    def _table(self, name: str) -> TableReader | None:
        """Return a reader of a file in the folder itself, if it exists."""
        path = self.root / name
        return TableReader(path, self.on_bad, self.on_good) if path.is_file() else None
