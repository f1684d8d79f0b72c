"""Build small indexes of grey photos with the tiny encoder, and read what they hold."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from indexer import Index, PhotoseekError
from indexer.embedding.pipeline import Decoding
from indexer.photos.rules.patterns import PhotoFolders
from tiny_encoder import TinyEncoder

INTACT = "what was committed is intact, run the build again"


def damaged(folder: Path) -> str:
    """Return how the refusal of a damaged index ends."""
    return f"the index is damaged; run: photoseek repair -i {folder}"


def grey(root: Path, **values: int) -> None:
    """Write photos NAME.png of one grey each; "__" in a name stands for a folder."""
    for name, value in values.items():
        path = root / f"{name.replace('__', '/')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (value, value, value)).save(path)


def build(photos: Path | PhotoFolders, folder: Path, **options) -> Index:
    return Index.build(photos, folder, **{"encoder": TinyEncoder(), "decoding": Decoding(workers=2), **options})


def rows(opened: Index) -> dict[str, int | str]:
    """Return the row of every photo by path, or why it was skipped."""
    return {os.fsdecode(p.path): p.reason if p.row is None else p.row for p in opened.catalogue.all_photos()}


def last(opened: Index) -> dict[str, int]:
    record = opened.history()[-1]
    assert record.finished is not None
    names = ("seen", "added", "changed", "removed", "skipped")
    return {name: getattr(record, name) for name in names if getattr(record, name)}


def refusal(act) -> str:
    with pytest.raises(PhotoseekError) as refused:
        act()
    return str(refused.value)


def halves(root: Path, **values: tuple[int, int]) -> None:
    """Write photos NAME.png, one grey on the left and one on the right."""
    root.mkdir(exist_ok=True)
    for name, (left, right) in values.items():
        photo = Image.new("RGB", (8, 8), (left, left, left))
        photo.paste((right, right, right), (4, 0, 8, 8))
        photo.save(root / f"{name}.png")


def by_root(opened: Index) -> dict[str, dict[str, int | None]]:
    """Return {root: {path: row}}."""
    found = {}
    for photo in opened.catalogue.all_photos():
        found.setdefault(os.fsdecode(photo.root), {})[os.fsdecode(photo.path)] = photo.row
    return found


def drop_index_entries(folder: Path) -> None:
    """Empty the index by which a catalogue finds photos by their rows, as a damaged page does; values stay right."""
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as connection:
        find = "SELECT rootpage FROM sqlite_master WHERE name = 'photos_by_row'"
        (page,) = connection.execute(find).fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(folder / "catalogue.sqlite", "r+b") as file:
        file.seek(4096 * (page - 1) + 3)  # the number of entries, https://www.sqlite.org/fileformat.html
        file.write(bytes(2))


def take_checksums_away(folder: Path) -> None:
    """Turn an index into one of format 2, which keeps no checksums."""
    values = json.loads((folder / "manifest.json").read_text())
    del values["sha256"]
    (folder / "manifest.json").write_text(json.dumps({**values, "format": 2}))
    with closing(sqlite3.connect(folder / "catalogue.sqlite")) as connection:
        connection.executescript("DROP TABLE checksums; DROP TABLE table_sums")
    for name in ("catalogue.sqlite.seal", "digests-1.bin", "recovery.json"):
        (folder / name).unlink()
