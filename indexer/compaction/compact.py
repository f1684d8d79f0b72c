"""Write a new generation of an index's files without dead rows, then switch to it by its manifest.

    live rows, renumbered catalogue, view -> fsynced under names of their own -> manifest renamed -> old files removed

Until the manifest is renamed nothing of the old generation changes, and what was written is removed by the next build
or compaction. A reader that has the old files open keeps them.
"""

import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from indexer.building.unfinished_build import is_unfinished
from indexer.compaction.live_vectors import copy_live_vectors
from indexer.compaction.plan import CompactionPlan, plan_compaction
from indexer.embedding.index_precision import INT8_FOLDER
from indexer.embedding.regions import FILLED_SETTING
from indexer.errors import PhotoseekError
from indexer.stacks.stacking import regroup_renumbered
from indexer.storage import manifest, vector_files
from indexer.storage.atomic_files import explain_disk_errors, fsync
from indexer.storage.catalogue import Catalogue
from indexer.storage.consistency import check_consistency, check_every_row, refusal
from indexer.storage.generations import WritableIndex, open_for_writing, remove_other_generations
from indexer.storage.integrity.checksums import BlockChecksum, blocks_of_rows
from indexer.storage.manifest import Manifest
from indexer.storage.recovery import row_records
from indexer.storage.tables.live_rows import copy_live_rows
from indexer.storage.tables.seal import is_of_seal
from indexer.views.build import ViewMaker, build_view, remove_all_but
from indexer.views.view_checksums import view_checksums
from indexer.views.view_files import RANKER

# Called with (stage, done, total).
OnStage = Callable[[str, int, int], None]
# Loads what made a view from its folder of a view.
LoadMaker = Callable[[Path], ViewMaker]


def compact_index(
    folder: Path,
    load_maker: LoadMaker,
    on_plan: Callable[[CompactionPlan], None] = lambda _plan: None,
    on_stage: OnStage = lambda _stage, _done, _total: None,
) -> CompactionPlan:
    """Rewrite an index without its dead rows, if it has any.

    Args:
        folder: The index folder.
        load_maker: Loads the ranker of the view, as `Ranker.load`.
        on_plan: Gets the plan before anything is written.
        on_stage: Called with (stage, done, total).

    Returns:
        The plan that was carried out.

    Raises:
        PhotoseekError: The index is damaged or of an older version, rows wait for photos that are not found yet, the
            disk has too little room, or another process writes.
    """
    with open_for_writing(folder) as index:
        _check(index)
        with explain_disk_errors(folder):
            # A compaction that was killed after its switch left the old files, and the old view.
            _remove_others(folder, index.manifest, index.catalogue, _active_view(index.catalogue))
            plan = plan_compaction(folder, index.manifest, index.catalogue)
            on_plan(plan)
            if not plan.dead_rows:
                return plan
            free = shutil.disk_usage(folder).free
            if free < plan.needed_bytes:
                raise PhotoseekError(
                    f"index {folder}: {plan.needed_bytes / 1e6:,.1f} MB are needed beside the index, and "
                    f"{free / 1e6:,.1f} MB are free; nothing was changed"
                )
            new = replace(index.manifest, embeddings=f"embeddings-{index.manifest.generation + 1}.f16")
            try:
                view = _write_generation(index, new, load_maker, on_stage)
                fsync(folder)
                manifest.switch_generation(folder, new.embeddings)
            except BaseException:
                if manifest.read(folder) == index.manifest:
                    _remove_others(folder, index.manifest, index.catalogue, _active_view(index.catalogue))
                raise
            index.catalogue.close()
            with closing(Catalogue(folder / new.catalogue_file, writable=True)) as catalogue:
                _remove_others(folder, new, catalogue, view)
    return plan


def _check(index: WritableIndex) -> None:
    """Refuse an index that is not whole, as its checksums would be made anew."""
    if not index.manifest.has_checksums:
        raise PhotoseekError(
            f"index {index.folder} is of an older version; photoseek build PHOTOS brings it up to date, then compact it"
        )
    check_consistency(index.folder, index.manifest, index.catalogue)
    check_every_row(index.folder, index.catalogue)
    _refuse_waiting_rows(index)
    for problem in index.catalogue.integrity_problems():
        if not is_of_seal(problem):
            raise refusal(index.folder, problem)


def _refuse_waiting_rows(index: WritableIndex) -> None:
    """Refuse an index whose catalogue was made anew while a disk was away: its photos come back for dead rows."""
    catalogue = index.catalogue
    if catalogue.rebuilt.to_do() or (is_unfinished(catalogue) and not catalogue.roots()):
        raise PhotoseekError(
            f"index {index.folder}: rows may wait for photos that are not found yet; run photoseek repair -i "
            f"{shlex.quote(str(index.folder))}, and build the photo folders"
        )
    for root in catalogue.root_folders.not_found():
        raise PhotoseekError(
            f"index {index.folder}: rows may wait for the photos of {os.fsdecode(root)}, none of which is found yet; "
            "build that folder, or give it up with photoseek forget"
        )


def _write_generation(index: WritableIndex, new: Manifest, load_maker: LoadMaker, on_stage: OnStage) -> str:
    """Write all files of the new generation, durably; return the name of its view, "" without one."""
    folder, catalogue = index.folder, index.catalogue
    rows = catalogue.row_count()
    is_live = np.ones(rows, bool)
    is_live[catalogue.dead_rows()] = False
    for (old_name, size), new_name in zip(index.manifest.row_bytes.items(), new.row_bytes, strict=True):
        blocks = catalogue.checksums.of_file(old_name)
        try:
            copy_live_vectors(
                folder / old_name, folder / new_name, size, is_live, blocks, lambda done: on_stage("rows", done, rows)
            )
        except PhotoseekError as error:
            raise refusal(folder, str(error)) from None
    on_stage("catalogue", 0, 0)
    Catalogue(folder / new.catalogue_file, create=True).close()
    copy_live_rows(catalogue.path, folder / new.catalogue_file)
    with closing(Catalogue(folder / new.catalogue_file, writable=True)) as copied:
        with copied.transaction():
            for name, block in _checksums(index, new, int(is_live.sum())):
                copied.checksums.put(name, block)
            # Regions that an interrupted build began are made anew from the first row.
            copied.set_setting(FILLED_SETTING, None)
            regroup_renumbered(copied, is_live)
        copied.begin_sums()
        row_records.write_all(folder, new, copied)
        return _write_view(index, new, copied, load_maker, on_stage)


def _checksums(index: WritableIndex, new: Manifest, rows: int) -> Iterator[tuple[str, BlockChecksum]]:
    """Yield the checksums of the new files of rows, and those of the files that stay."""
    for name, size in new.row_bytes.items():
        for block in blocks_of_rows(index.folder / name, 0, rows, size):
            yield name, block
    for name in index.catalogue.checksums.files():
        if name.startswith(f"{INT8_FOLDER}/"):
            yield from ((name, block) for block in index.catalogue.checksums.of_file(name))


def _write_view(
    index: WritableIndex, new: Manifest, copied: Catalogue, load_maker: LoadMaker, on_stage: OnStage
) -> str:
    """Build the view of the new rows by the ranker of the old one; return its name, "" without one."""
    folder, active, rows = index.folder, index.catalogue.active_view(), copied.row_count()
    if active is None or not rows:
        return ""
    count, width = new.region_shape
    embeddings = vector_files.read(folder / new.embeddings, rows, new.dim)
    regions = None
    if count:
        stored = vector_files.read(folder / new.region_file, rows, count * width, vector_files.REGION_DTYPE)
        regions = stored.reshape(rows, count, width)
    maker = load_maker(folder / "views" / active.id / RANKER)
    view = build_view(
        folder / "views", maker, embeddings, regions, lambda done, total: on_stage("ranker's view", done, total)
    )
    copied.activate_view(view, list(view_checksums(folder / "views" / view.id, 0, rows)))
    return view.id


def _active_view(catalogue: Catalogue) -> str:
    """Return the name of the active view, "" without one."""
    active = catalogue.active_view()
    return "" if active is None else active.id


def _remove_others(folder: Path, kept: Manifest, catalogue: Catalogue, view: str) -> None:
    """Remove the files of other generations and their views, which readers that have them open keep."""
    remove_other_generations(folder, kept, catalogue)
    remove_all_but(folder / "views", view)
