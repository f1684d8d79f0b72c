"""Build views: in a hidden folder, renamed when finished, then named in the catalogue; later rows are appended."""

import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from indexer.callbacks import Progress
from indexer.errors import PhotoseekError
from indexer.storage import vector_files
from indexer.storage.atomic_files import fsync, make_folder_durably, publish_folder, scratch_folder
from indexer.storage.half_precision import to_float32
from indexer.storage.mapped_files import release_pages
from indexer.storage.records import ActiveView
from indexer.views import view_files
from indexer.views.ann_build import BuiltStructure, PhotoVectors, build_structure
from indexer.views.ann_settings import AnnSettings
from indexer.views.view import EncodedPhotos, is_whole, open_view
from indexer.views.view_files import ViewCard, digests, map_file, write_card

# Rows that the ranker encodes at a time; ten regions of 512 are 84 MB then, should it make float32 of them.
BLOCK_ROWS = 4_096
# Rows that came later are scored beside the structure up to this share of all rows and this number; beyond, all is
# built anew.
TAIL_SHARE, TAIL_ROWS = 0.05, 10_000


class ViewMaker(Protocol):
    """Interface of a ranker as the indexer uses it."""

    @property
    def id(self) -> str:
        """Id of the ranker."""
        ...

    @property
    def image_encoder(self) -> str:
        """Fingerprint of the image encoder that it was trained on."""
        ...

    @property
    def text_encoder(self) -> str:
        """Fingerprint of the text encoder that it was trained on."""
        ...

    def encode_photos(self, embeddings: np.ndarray, regions: np.ndarray | None) -> EncodedPhotos:
        """Compute what a view keeps of photos.

        Args:
            embeddings: (n, d) float32, unit rows.
            regions: (n, count, width) int8, of which the direction counts, or None.
        """
        ...

    def queries(self) -> Mapping[str, np.ndarray]:
        """Return typical candidate queries by kind, (s, k + 1) float32, to which the search of many photos is tuned.

        Without any, every photo is scored.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write the ranker to a folder that does not exist yet."""
        ...


def renew_view(
    views: Path,
    active: ActiveView,
    ranker: ViewMaker,
    embeddings: np.ndarray,
    regions: np.ndarray | None = None,
    on_progress: Progress | None = None,
    *,
    anew: bool = False,
) -> ActiveView:
    """Make the active view cover all rows and belong to the ranker.

    A whole view of the ranker stays as it is, or gets the rows that it lacks, if those are few; else one is built.

    Args:
        views: The folder of the views.
        active: The active view, with id "" if there is none.
        ranker: What makes the view.
        embeddings: (n, d) float16, all rows of the index.
        regions: (n, count, width) int8 of all rows, None if the index keeps none.
        on_progress: Gets (done, total) steps.
        anew: Whether it is built again whatever it is.

    Returns:
        The view to activate.
    """
    folder = views / active.id
    same = active.ranker_id == ranker.id
    if anew or not same or not is_whole(folder, active.rows, with_regions=regions is not None):
        return build_view(views, ranker, embeddings, regions, on_progress)
    if active.rows == len(embeddings):
        return active
    if not may_extend(folder, active.rows, len(embeddings)):
        return build_view(views, ranker, embeddings, regions, on_progress)
    late = None if regions is None else regions[active.rows :]
    appended = extend_view(folder, ranker, active.rows, embeddings[active.rows :], late)
    return ActiveView(active.id, active.rows + appended)


def build_view(
    views: Path,
    ranker: ViewMaker,
    embeddings: np.ndarray,
    regions: np.ndarray | None = None,
    on_progress: Progress | None = None,
    settings: AnnSettings | None = None,
) -> ActiveView:
    """Write a new view of all rows.

    Holds in memory what candidates are found with, and no more than some blocks of anything else.

    Args:
        views: The folder of the views, made if it is missing.
        ranker: What makes the view.
        embeddings: (n, d) float16, all rows of the index.
        regions: (n, count, width) int8 of all rows, None if the index keeps none.
        on_progress: Gets (done, total) steps.
        settings: How the candidate structure is built and tuned.

    Returns:
        The view, which searches do not use before the catalogue names it.

    Raises:
        PhotoseekError: There are no rows, or the ranker's queries are not finite vectors of the right width.
    """
    make_folder_durably(views)
    if not len(embeddings):
        index = views.parent
        raise PhotoseekError(
            f"index {index} holds no photos; photoseek build PHOTOS -i {shlex.quote(str(index))} adds some"
        )
    settings = settings or AnnSettings()
    report = on_progress or (lambda _done, _total: None)
    with scratch_folder(views, ".building-") as scratch:
        written = _write_rows(scratch, ranker, embeddings, regions, settings, report)
        built = _build_candidates(scratch, ranker, written, settings, report)
        ranker.save(scratch / view_files.RANKER)
        if built.tuning is not None:
            np.save(scratch / view_files.MEANS, built.tuning.means)
        write_card(scratch, _card(scratch, ranker, written, regions is not None, built))
        for path in [*scratch.rglob("*"), scratch]:
            fsync(path)
        name = f"{ranker.id}-{scratch.name.removeprefix('.building-')}"
        publish_folder(scratch, views / name)
        fsync(views)
        return ActiveView(name, len(embeddings))


@dataclass(frozen=True, slots=True)
class _WrittenRows:
    """Rows that were written: their number, their widths, and the steps that the whole build reports."""

    rows: int
    z_width: int
    hidden_width: int
    region_shape: tuple[int, int]
    steps: int


def _write_rows(
    scratch: Path,
    ranker: ViewMaker,
    embeddings: np.ndarray,
    regions: np.ndarray | None,
    settings: AnnSettings,
    report: Progress,
) -> _WrittenRows:
    """Write what the ranker makes of each photo, block by block."""
    rows = len(embeddings)
    for start, part in _encode_blocks(ranker, embeddings, regions, 0):
        for name, array in _arrays_of_files(part).items():
            with open(scratch / name, "ab") as file:
                file.write(array.tobytes())
        z_width, hidden_width = part.z.shape[1], part.hidden.shape[1]
        region_shape = (0, 0) if part.regions is None else (part.regions.shape[1], part.regions.shape[2])
        # A structure of lists takes three more rounds of all rows.
        steps = rows * (1 + 3 * settings.needs_lists(rows, z_width + 1))
        report(start + len(part.hubness), steps)
    return _WrittenRows(rows, z_width, hidden_width, region_shape, steps)


def _build_candidates(
    scratch: Path, ranker: ViewMaker, written: _WrittenRows, settings: AnnSettings, report: Progress
) -> BuiltStructure:
    """Write the candidate structure of the rows that were written."""
    rows, steps = written.rows, written.steps
    card = ViewCard(rows, written.z_width, written.hidden_width, written.region_shape)
    photos = PhotoVectors(*(map_file(scratch, name, rows, card) for name in (view_files.Z, view_files.HUBNESS)))

    def on_progress(done: int, _total: int) -> None:
        if steps > rows:
            report(rows + done, steps)

    structure, codes = scratch / view_files.STRUCTURE, scratch / view_files.CODES
    built = build_structure(structure, codes, photos, ranker.queries, on_progress, settings)
    if steps > rows:
        report(steps, steps)
    return built


def _card(
    scratch: Path, ranker: ViewMaker, written: _WrittenRows, with_regions: bool, built: BuiltStructure
) -> ViewCard:
    """Return the card of a view whose ranker is saved."""
    return ViewCard(
        rows=written.rows,
        z_width=written.z_width,
        hidden_width=written.hidden_width,
        region_shape=written.region_shape,
        built_with_regions=with_regions,
        ranker_id=ranker.id,
        ranker_files=digests(scratch / view_files.RANKER),
        nlist=0 if built.tuning is None else built.tuning.nlist,
        kinds={} if built.tuning is None else built.tuning.kinds,
        exact_reason=built.exact_reason,
    )


def extend_view(
    folder: Path, ranker: ViewMaker, rows: int, embeddings: np.ndarray, regions: np.ndarray | None = None
) -> int:
    """Append rows to the files of a view.

    They exist once the catalogue names them: what an interrupted call left behind is written over by the next.

    Args:
        folder: The view's folder.
        ranker: The view's ranker.
        rows: How many rows it has.
        embeddings: (n, d) float16, the rows to append.
        regions: (n, count, width) int8 of these rows, None if the index keeps none.

    Returns:
        How many rows were appended.
    """
    for start, part in _encode_blocks(ranker, embeddings, regions, rows):
        for name, array in _arrays_of_files(part).items():
            flat = array.reshape(len(array), -1)
            vector_files.append(folder / name, start, flat, flat.dtype)
    return len(embeddings)


def remove_all_but(views: Path, kept: str) -> None:
    """Remove whatever lies among the views but one; a reader that has another one open keeps it.

    Args:
        views: The folder of the views, which may be missing.
        kept: Name of the view that stays, "" for none.
    """
    for path in views.iterdir() if views.is_dir() else ():
        if path.name != kept:
            shutil.rmtree(path, ignore_errors=True)


def may_extend(folder: Path, rows: int, total: int) -> bool:
    """Return whether new rows are appended to a view; only if few rows are beside its structure then.

    Args:
        folder: The view's folder.
        rows: How many rows it has.
        total: How many rows the index has.
    """
    return total - open_view(folder, rows).indexed_rows <= min(TAIL_ROWS, TAIL_SHARE * total)


def _encode_blocks(
    ranker: ViewMaker, embeddings: np.ndarray, regions: np.ndarray | None, first_row: int
) -> Iterator[tuple[int, EncodedPhotos]]:
    """Yield what the ranker makes of photos, block by block, each with its first row."""
    for start in range(0, len(embeddings), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        x = to_float32(embeddings[block])
        yield first_row + start, ranker.encode_photos(x, None if regions is None else regions[block])
        release_pages(embeddings)
        release_pages(regions)


def _arrays_of_files(photos: EncodedPhotos) -> dict[str, np.ndarray]:
    """Return what the files of a view keep of photos, by file."""
    arrays = {view_files.Z: photos.z, view_files.HIDDEN: photos.hidden, view_files.HUBNESS: photos.hubness}
    if photos.regions is not None:
        arrays[view_files.REGIONS] = photos.regions
    return {name: array.astype(view_files.DTYPES[name], copy=False) for name, array in arrays.items()}
