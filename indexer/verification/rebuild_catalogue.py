"""Make a damaged or lost catalogue anew, without embedding: from its own whole tables, row records, recovery card.

    whole tables, records, card -> a catalogue under a hidden name -> the damaged one aside -> the new one in its place

The damaged file is kept until the photos and the view were found again, too. A rebuild that is killed anywhere is begun
again by the next repair, or goes on after the catalogue is in its place.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.building.unfinished_build import EXPECTED
from indexer.embedding.index_precision import network_checksums
from indexer.embedding.regions import FILLED_SETTING
from indexer.errors import PhotoseekError
from indexer.stacks.stacking import forget_stacks
from indexer.storage.atomic_files import explain_disk_errors, fsync
from indexer.storage.catalogue import Catalogue
from indexer.storage.consistency import inconsistencies
from indexer.storage.integrity.checksums import blocks_of_rows
from indexer.storage.manifest import Manifest
from indexer.storage.records import ActiveView
from indexer.storage.recovery import row_records
from indexer.storage.recovery.recovery_card import RecoveryCard
from indexer.storage.tables.rebuilt_tables import FIND_PHOTOS, REBUILDING, RENEW_VIEW
from indexer.storage.tables.root_folders import OF_ROOT
from indexer.storage.tables.schema import TABLES
from indexer.storage.tables.seal import SUFFIX as SEAL
from indexer.storage.write_lock import write_lock
from indexer.views.build import ViewMaker
from indexer.views.view_files import RANKER, read_card

# What a damaged catalogue is called until all is done, and the files that SQLite and the seal keep beside one.
ASIDE, BESIDE = ".damaged-", ("-wal", "-shm", SEAL)
# Bytes of a digest.
DIGEST_BYTES = 16
# Tables that neither photos nor files of the index tell again, in words.
LOST = {"builds": "the history of builds", "notes": "the notes on damaged photos"}
# What no table and no recovery card tells is for the next build to be given.
LOST_WITHOUT_CARD = {
    "roots": "the photo folders, which a build by their names finds again",
    "settings": "patterns and policy, which a build takes anew",
}
# Tables without which the photos need not be looked for, as nothing of them is lost.
WITHOUT_PHOTOS = {*LOST, "views", "checksums", "settings"}


@dataclass(frozen=True, slots=True)
class RebuiltCatalogue:
    """Outcome of a rebuild.

    Attributes:
        rows: How many rows the catalogue has.
        damaged: How many of them have no record that fits, so that their photos are embedded again.
        lost: What the damaged catalogue knew and nothing else does, in words.
    """

    rows: int
    damaged: int
    lost: tuple[str, ...]


def rebuild_catalogue(folder: Path, described: Manifest, load_maker: Callable[[Path], ViewMaker]) -> RebuiltCatalogue:
    """Make the catalogue of an index anew and put it in its place; the damaged one is kept aside.

    Args:
        folder: The index folder.
        described: Its manifest.
        load_maker: Loads the ranker of a folder.

    Returns:
        What the new catalogue holds.

    Raises:
        PhotoseekError: What the catalogue could be made of is damaged or missing, or the index cannot be written;
            nothing was changed.
    """
    with write_lock(folder), explain_disk_errors(folder):
        path = folder / described.catalogue_file
        hidden = path.with_name(f".{path.name}")
        _move_beside(path)
        source = path if path.exists() else max(_asides(path), key=_number, default=path)
        index = _Index(folder, described, load_maker)
        try:
            try:
                made = _make(hidden, source, index, keep_whole_tables=True)
            except _MisfitError:
                made = _make(hidden, source, index, keep_whole_tables=False)
        except PhotoseekError:
            _remove(hidden)
            raise
        _replace(path, hidden)
    return made


def finish_rebuild(folder: Path, described: Manifest) -> None:
    """Remove what was kept aside, now that photos and view were found again.

    Args:
        folder: The index folder.
        described: Its manifest.
    """
    with write_lock(folder), explain_disk_errors(folder):
        path = folder / described.catalogue_file
        for aside in _asides(path):
            _remove(aside)
        with closing(Catalogue(path, writable=True)) as catalogue:
            catalogue.set_setting(REBUILDING, None)


class _MisfitError(Exception):
    """The tables that were whole do not fit the others."""


@dataclass(frozen=True, slots=True)
class _Index:
    """An index whose catalogue is made anew."""

    folder: Path
    described: Manifest
    load_maker: Callable[[Path], ViewMaker]


def _make(hidden: Path, source: Path, index: _Index, *, keep_whole_tables: bool) -> RebuiltCatalogue:
    """Make a catalogue under a hidden name. Raises _MisfitError if the whole tables do not fit the others."""
    _remove(hidden)
    with closing(Catalogue(hidden, create=True)) as catalogue:
        with catalogue.transaction():
            copied = catalogue.rebuilt.copy_whole_tables(source) if keep_whole_tables else frozenset[str]()
            wrong = _fill(catalogue, index, copied)
        if "views" not in copied or "checksums" not in copied:
            _name_view(catalogue, index)
        if any(inconsistencies(index.folder, index.described, catalogue)) and copied:
            raise _MisfitError
        lost = tuple(words for table, words in _lost(index.folder).items() if table not in copied)
        return RebuiltCatalogue(catalogue.row_count(), len(wrong), lost)


def _lost(folder: Path) -> dict[str, str]:
    """Return in words, by table, what nothing but a table knows."""
    try:
        RecoveryCard.read(folder)
    except (OSError, ValueError):
        return LOST_WITHOUT_CARD | LOST
    return LOST


def _fill(catalogue: Catalogue, index: _Index, copied: frozenset[str]) -> list[int]:
    """Fill the tables that could not be copied, inside a transaction; return the rows whose record does not fit."""
    todo = {FIND_PHOTOS} if set(TABLES) - WITHOUT_PHOTOS - copied else set()
    todo |= set() if {"views", "checksums"} <= copied else {RENEW_VIEW}
    _restore_settings_and_roots(catalogue, index, copied)
    wrong: list[int] = []
    if "embeddings" not in copied:
        rows = catalogue.checksums.rows_of(index.described.embeddings) if "checksums" in copied else None
        wrong = _restore_rows(catalogue, index, rows)
    if "checksums" not in copied:
        _restore_checksums(catalogue, index)
    for row in wrong:
        catalogue.forget(row)
    catalogue.rebuilt.mark_live_rows()
    if FIND_PHOTOS in todo or wrong:
        forget_stacks(catalogue)
    if "photos" not in copied:  # until they are found, searches say how many are missing
        catalogue.set_setting(EXPECTED, str(catalogue.row_count()))
    todo |= {FIND_PHOTOS} if wrong else set()
    catalogue.set_setting(REBUILDING, " ".join(sorted(todo)) or None)
    return wrong


def _restore_settings_and_roots(catalogue: Catalogue, index: _Index, copied: frozenset[str]) -> None:
    """Take settings and roots from the recovery card where their tables could not be copied."""
    if {"settings", "roots"} <= copied:
        return
    roots: tuple[bytes, ...] = ()
    settings: dict[str, str] = {}
    with suppress(OSError, ValueError):
        card = RecoveryCard.read(index.folder)
        roots, settings = card.roots, card.settings
    if "roots" not in copied:
        # What names a root by a number says nothing without its table.
        catalogue.rebuilt.clear(["photos", *OF_ROOT])
        for root in roots:
            catalogue.root_id(root)
    if "settings" not in copied:
        for name, value in settings.items():
            catalogue.set_setting(name, value)


def _restore_rows(catalogue: Catalogue, index: _Index, rows: int | None) -> list[int]:
    """Make the rows of the records exist, and return those whose record does not fit them: they get another digest."""
    folder, described = index.folder, index.described
    path = folder / described.digest_file
    try:
        records = row_records.read(path)
    except OSError as error:
        raise PhotoseekError(
            f"{folder / described.catalogue_file} cannot be made anew: its table of rows is damaged, and {path.name} "
            f"cannot be read ({error.strerror or error}); build another index: photoseek build PHOTOS -i FOLDER"
        ) from None
    sizes = [_length(folder / name) // size for name, size in described.row_bytes.items()]
    total = min(len(records), *sizes, len(records) if rows is None else rows)
    wrong: list[int] = []
    known: set[bytes] = set()
    for start, block, right in _compared(index, records[:total]):
        digests = []
        for row, record, is_right in zip(range(start, start + len(block)), block, right, strict=True):
            digest = record["digest"].tobytes()
            if not is_right or digest in known:
                wrong.append(row)
                digest = os.urandom(DIGEST_BYTES)
            known.add(digest)
            digests.append(digest)
        sizes_in_pixels = [(int(record["width"]), int(record["height"])) for record in block]
        catalogue.rebuilt.add_rows(start, digests, sizes_in_pixels)
    return wrong


def _compared(index: _Index, records: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield blocks of records: first row, records, and which of them fit their rows."""
    embeddings, regions = row_records.stored_rows(index.folder, index.described, len(records))
    for start in range(0, len(records), row_records.BLOCK_ROWS):
        block = slice(start, start + row_records.BLOCK_ROWS)
        part = None if regions is None else regions[block]
        yield start, records[block], row_records.right_records(records[block], embeddings[block], part)


def _restore_checksums(catalogue: Catalogue, index: _Index) -> None:
    """Compute the checksums of rows and of an int8 network from their files; those of a view come with the view."""
    total = catalogue.row_count()
    for name, size in index.described.row_bytes.items():
        for block in blocks_of_rows(index.folder / name, 0, total, size):
            catalogue.checksums.put(name, block)
    for name, block in network_checksums(index.folder):
        catalogue.checksums.put(name, block)
    # Region vectors that an interrupted build began are made from the first row on again.
    catalogue.set_setting(FILLED_SETTING, None)


def _name_view(catalogue: Catalogue, index: _Index) -> None:
    """Name the newest view whose ranker is whole, until it is built again; none if there is none."""
    chosen = None
    folders = [path for path in (index.folder / "views").glob("*") if path.is_dir() and not path.name.startswith(".")]
    for place in sorted(folders, key=lambda path: path.stat().st_mtime):
        with suppress(PhotoseekError):
            index.load_maker(place / RANKER)
            rows = 0
            with suppress(OSError, KeyError, TypeError, ValueError, AttributeError):
                rows = read_card(place).rows
            chosen = ActiveView(place.name, min(rows, catalogue.row_count()))
    catalogue.rebuilt.clear(["views"])
    if chosen is not None:
        catalogue.activate_view(chosen)


def _replace(path: Path, hidden: Path) -> None:
    """Put the damaged catalogue aside and the new one in its place; whatever is done only in part leaves none."""
    if path.exists():
        number = max(map(_number, _asides(path)), default=0) + 1
        os.rename(path, path.with_name(f"{path.name}{ASIDE}{number}"))
        fsync(path.parent)
    _move_beside(path)  # or SQLite would take the changes beside the old one for those of the new one
    fsync(path.parent)
    os.rename(hidden, path)
    with suppress(FileNotFoundError):
        os.rename(f"{hidden}{SEAL}", f"{path}{SEAL}")
    fsync(path.parent)


def _move_beside(path: Path) -> None:
    """Move what lies beside a catalogue that is not there to the one that was put aside last."""
    last = max(_asides(path), key=_number, default=None)
    for suffix in BESIDE if not path.exists() else ():
        beside = path.with_name(path.name + suffix)
        if last is None:
            beside.unlink(missing_ok=True)
        elif beside.exists():
            os.replace(beside, last.with_name(last.name + suffix))


def _asides(path: Path) -> list[Path]:
    """Return the catalogues that were put aside."""
    return [other for other in path.parent.glob(f"{path.name}{ASIDE}*") if _number(other)]


def _number(aside: Path) -> int:
    """Return the number of a catalogue that was put aside, 0 for any other file."""
    number = aside.name.rpartition(ASIDE)[2]
    return int(number) if number.isdecimal() else 0


def _remove(path: Path) -> None:
    """Remove a catalogue with all that lies beside it."""
    for suffix in (*BESIDE, ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _length(path: Path) -> int:
    """Return the size of a file in bytes, 0 if there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
