"""Read a table of photos and their captions: `captions.tsv`, one caption per row, with or without the photos.

The table has the header `image<TAB>caption`, and perhaps a column `split`. `docs/judged-data.md` describes it.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from indexer.errors import PhotoseekError
from reranker.judgments.judgments import SPLITS, Judgments
from reranker.judgments.photo_folders import photo_files
from reranker.judgments.tables import OnBad, OnGood, TableReader, refuse_row

CAPTIONS_TABLE = "captions.tsv"
# Where the photos of a table are; without this folder they are beside it.
TABLE_PHOTOS = "photos"
# The split of all photos where the table has no column `split`.
ONLY_SPLIT = "train"


def read_captions_table(
    folder_or_file: str | Path, on_bad: OnBad = refuse_row, on_good: OnGood | None = None
) -> Judgments:
    """Read photos with captions and splits, and report every row.

    Args:
        folder_or_file: The table, or the folder that has it as `captions.tsv`. The photos are in the folder `photos`
            beside the table, or beside it themselves.
        on_bad: Called with each row that cannot be used; it is left out. By default the first one is refused.
        on_good: Called with each row that is used.

    Returns:
        The photos that a row names, each with its captions in the order of the table. Sets and splits are both the
        column `split`, or `train` with all photos. Nothing is graded.

    Raises:
        PhotoseekError: The table cannot be read or has no usable row, or its header lacks a column.
    """
    path = Path(folder_or_file)
    path = path / CAPTIONS_TABLE if path.is_dir() else path
    if not path.is_file():
        raise PhotoseekError(f"judged data {path}: no such file")
    table = TableReader(path, on_bad, on_good or (lambda row: None))
    folder = path.parent / TABLE_PHOTOS
    files = photo_files(folder if folder.is_dir() else path.parent)
    split_of: dict[str, str] = {}
    texts: defaultdict[str, list[str]] = defaultdict(list)
    for line, row in table.rows("\t", ("image", "caption"), quotes=False):
        photo, text, split = row["image"], row["caption"].strip(), row.get("split", ONLY_SPLIT)
        if photo not in files:
            table.bad(line, "unknown photos", f"photo {photo} is not in {folder.name} or beside the table")
        elif not text:
            table.bad(line, "captions without text", f"a caption of {photo} has no text")
        elif split not in SPLITS:
            table.bad(line, "malformed rows", f"split {split!r} is not {', '.join(SPLITS[:-1])} or {SPLITS[-1]}")
        elif split_of.setdefault(photo, split) != split:
            table.bad(line, "contradictory rows", f"photo {photo} is in {split}, and in {split_of[photo]} before")
        else:
            texts[photo].append(text)
            table.good(line, (photo, text), split)
    if not texts:
        raise PhotoseekError(f"judged data {path}: no caption of a photo")
    parts = {name: tuple(photo for photo, split in split_of.items() if split == name) for name in SPLITS}
    parts = {name: photos for name, photos in parts.items() if photos}
    return Judgments(
        folder=path.parent,
        photos={photo: files[photo] for photo in split_of},
        sets=parts,
        splits=parts,
        captions={f"{photo}#{n}": text for photo, own in texts.items() for n, text in enumerate(own)},
        expert=(),
        crowd=(),
    )


def read_captions(path: str | Path, on_bad: OnBad = refuse_row) -> tuple[str, ...]:
    """Read the captions of a table alone; its photos need not exist.

    Args:
        path: The table, with a column `caption`.
        on_bad: Called with each row that cannot be used; it is left out. By default the first one is refused.

    Returns:
        The captions, in the order of the table.

    Raises:
        PhotoseekError: The table cannot be read or has no caption, or its header lacks the column.
    """
    captions = tuple(_texts(TableReader(Path(path), on_bad)))
    if not captions:
        raise PhotoseekError(f"judged data {path}: no caption")
    return captions


def _texts(table: TableReader) -> Iterator[str]:
    """Yield the caption of each row, and report rows without text."""
    for line, row in table.rows("\t", ("caption",), quotes=False):
        text = row["caption"].strip()
        if text:
            yield text
        else:
            table.bad(line, "captions without text", "no text")
