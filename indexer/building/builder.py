"""Build an index or bring it up to date.

    folders -walk-> new and changed files -pipeline-> rows, in their order -> files, fsynced -> one transaction for 512

Photos that are gone or left out become dead rows in the last transaction. What an older version did not keep is added
after that: metadata, and region vectors if they are asked for. Then what belongs together is grouped.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.building.changes import Changes, Scan
from indexer.building.missing_checksums import fill_checksums, fill_records
from indexer.building.missing_metadata import fill_metadata
from indexer.building.photo_writer import embed_new
from indexer.building.roots.ownership import drop_moved, scan_roots
from indexer.building.roots.updates import keep_patterns, prepare, read_kept, refuse_empty, take_out, with_photos
from indexer.building.unfinished_build import expect_no_more, expect_photos
from indexer.callbacks import BuildCallbacks
from indexer.embedding.index_precision import choose_index_precision
from indexer.embedding.pipeline import Decoding, sample_pixels
from indexer.embedding.regions import fill_regions
from indexer.encoders import REGION_KINDS, ImageEncoder, load_image_encoder
from indexer.errors import PhotoseekError
from indexer.file_checks import FileChecks, unsettled_files
from indexer.photos.found_files import PhotoFile
from indexer.photos.rules.patterns import PhotoFolders
from indexer.printable import counted
from indexer.stacks.stacking import fill_hashes, mark_stale, update_stacks
from indexer.storage import manifest, vector_files
from indexer.storage.atomic_files import explain_disk_errors, make_folder_durably
from indexer.storage.catalogue import Catalogue
from indexer.storage.consistency import check_consistency, check_every_row
from indexer.storage.generations import WritableIndex, open_for_writing, remove_other_generations
from indexer.storage.manifest import Manifest
from indexer.storage.recovery import row_records
from indexer.storage.recovery.recovery_card import keep_recovery_card
from indexer.storage.write_lock import write_lock

# Options that load the same image encoder again, beside its name, for queries by photo.
KEPT_OPTIONS = ("weights", "preprocess")


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """Options of a build.

    Attributes:
        encoder: The image encoder, or its name.
        encoder_options: Keyword arguments of `load_image_encoder`, for an encoder given by name.
        decoding: How photos are decoded.
        regions: Whether region vectors are kept; None for what the index does already, and a new one does not.
        accept_removals: Whether photos that are gone are removed however many they are.
    """

    encoder: str | ImageEncoder
    encoder_options: Mapping[str, str]
    decoding: Decoding
    regions: bool | None
    accept_removals: bool


def build_index(photos: PhotoFolders, folder: Path, settings: BuildSettings, callbacks: BuildCallbacks) -> None:
    """Index photo folders, or bring their index up to date; see `Index.build`.

    Args:
        photos: The photo folders, and what is left out in them.
        folder: The index folder, made if it is missing.
        settings: Options of the build.
        callbacks: What to call on the way.

    Raises:
        PhotoseekError: There are no photos, or the index cannot be written or is of other photos or another encoder.
    """
    _check_place(folder)
    known, before = read_kept(folder)
    patterns = before if photos.patterns is None else photos.patterns
    scans = with_photos(scan_roots(photos.paths, known, patterns, callbacks.on_walk), known, callbacks)
    encoder = _load_encoder(settings)
    with explain_disk_errors(folder):
        _create(folder, _manifest_of(encoder, settings))
    with open_for_writing(folder) as index:
        _check_index(index, encoder, settings)
        remove_other_generations(folder, index.manifest, index.catalogue)
        catalogue = index.catalogue
        refuse_empty(catalogue, scans, callbacks)
        if isinstance(encoder, ImageEncoder):
            _choose_precision(index, encoder, scans, settings.decoding, callbacks)
        keep_patterns(catalogue, before, patterns, callbacks)
        _update(index, scans, encoder, settings, callbacks)


def _check_place(folder: Path) -> None:
    """Refuse a folder that holds anything but an index of this format or the first files of one."""
    if manifest.exists(folder) or manifest.holds_index_files(folder):
        manifest.read(folder)
    elif manifest.holds_other_files(folder):
        raise PhotoseekError(f"{folder} is not an index and not empty; give another folder with -i")
    elif folder.exists() and not folder.is_dir():
        raise PhotoseekError(f"{folder} is a file; give a folder for the index with -i")


def _load_encoder(settings: BuildSettings) -> ImageEncoder:
    """Load the encoder if it was given by name, and refuse one without regions where these are asked for."""
    encoder = settings.encoder
    if isinstance(encoder, str):
        encoder = load_image_encoder(encoder, **settings.encoder_options)
    if settings.regions and not any(encoder.region_shape):
        raise PhotoseekError(f"image encoder {encoder.name} gives no region vectors; encoders that do: {REGION_KINDS}")
    return encoder


def _manifest_of(encoder: ImageEncoder, settings: BuildSettings) -> Manifest:
    """Return the manifest of a new index."""
    options = {k: v for k, v in settings.encoder_options.items() if k in KEPT_OPTIONS and v is not None}
    shape = encoder.region_shape if settings.regions else (0, 0)
    return Manifest(encoder.fingerprint, encoder.name, encoder.dim, encoder_options=options, region_shape=shape)


def _create(folder: Path, new: Manifest) -> None:
    """Create an empty index folder, unless there is one already."""
    if manifest.exists(folder):
        return
    make_folder_durably(folder)
    with write_lock(folder):
        if manifest.exists(folder):
            return
        for leftover in folder.glob("catalogue*.sqlite*"):
            leftover.unlink()
        Catalogue(folder / new.catalogue_file, create=True).close()
        # The manifest comes last: a folder without one is an index that was never begun.
        manifest.write(folder, new)


def _check_index(index: WritableIndex, encoder: ImageEncoder, settings: BuildSettings) -> None:
    """Refuse an index of another encoder, or with regions where none are wanted."""
    if encoder.fingerprint != index.manifest.encoder:
        raise PhotoseekError(
            f"index {index.folder} holds embeddings of {index.manifest.encoder}, not of {encoder.fingerprint}; "
            "give another folder with -i, or that encoder with --encoder"
        )
    check_consistency(index.folder, index.manifest, index.catalogue)
    check_every_row(index.folder, index.catalogue)
    if settings.regions is False and index.manifest.has_regions:
        raise PhotoseekError(f"index {index.folder} keeps region vectors; give another folder for one without")


def _choose_precision(
    index: WritableIndex, encoder: ImageEncoder, scans: list[Scan], decoding: Decoding, callbacks: BuildCallbacks
) -> None:
    """Set the encoder to the precision of the index."""
    total = sum(len(scan.files) for scan in scans)

    def decode_sample(count: int) -> np.ndarray:
        callbacks.on_progress(0, total)  # it is no longer the walk that takes its time
        files = (PhotoFile(os.path.join(s.root, f.path), f.size, f.mtime_ns) for s in scans for f in s.files)
        return sample_pixels(b"/", files, encoder.transform, decoding, count)

    with explain_disk_errors(index.folder):
        choose_index_precision(index.folder, index.catalogue, encoder, total, decode_sample, callbacks.on_note)


def _update(
    index: WritableIndex, scans: list[Scan], encoder: ImageEncoder, settings: BuildSettings, callbacks: BuildCallbacks
) -> None:
    """Bring an index up to date with what walks found."""
    catalogue, decoding = index.catalogue, settings.decoding
    changed = prepare(catalogue, scans, decoding, callbacks, settings.accept_removals)
    fill_records(index)
    keep_recovery_card(index.folder, catalogue)
    build = catalogue.start_build()
    found = list(zip(scans, changed, strict=True))
    found = _without_unsettled(found, decoding.checks, callbacks)
    expect_photos(catalogue, (changes for _, changes in found))
    for item in (item for _, changes in found for item in changes.skipped):
        callbacks.on_skip(item)
    counts = embed_new(index, found, encoder, decoding, callbacks)
    with catalogue.transaction():
        for scan, changes in found:
            counts = replace(counts, removed=counts.removed + take_out(catalogue, scan, changes))
        notes = drop_moved(catalogue, [changes.root_id for _, changes in found])
        if notes:
            mark_stale(catalogue)
        catalogue.finish_build(build, counts)
        expect_no_more(catalogue)
    for note in notes:
        callbacks.on_note(note)
    _bring_up(index, encoder, decoding, callbacks)
    _update_stacks(index, encoder)
    if settings.regions and not index.manifest.has_regions:
        _add_regions(index, encoder, decoding, callbacks)
    keep_recovery_card(index.folder, catalogue)
    catalogue.finish_build(build, counts)  # the time of what came after the photos is the build's, too


def _without_unsettled(
    found: list[tuple[Scan, Changes]], checks: FileChecks, callbacks: BuildCallbacks
) -> list[tuple[Scan, Changes]]:
    """Leave out the files that are still being written; those of all folders are waited for at once."""
    if not checks.settle_seconds:
        return found
    files = [replace(f, path=os.path.join(scan.root, f.path)) for scan, changes in found for f in changes.new]
    unsettled = {file.path for file in unsettled_files(b"/", files, checks)}
    settled = []
    for scan, changes in found:
        new = []
        for file in changes.new:
            if os.path.join(scan.root, file.path) in unsettled:
                callbacks.on_unsettled(file)
            else:
                new.append(file)
        settled.append((scan, replace(changes, new=new)))
    return settled


def _bring_up(index: WritableIndex, encoder: ImageEncoder, decoding: Decoding, callbacks: BuildCallbacks) -> None:
    """Add what an older version did not keep, and say so."""
    metadata = fill_metadata(index.catalogue, callbacks.on_progress)
    is_older = fill_checksums(index)
    hashes = fill_hashes(index.catalogue, encoder, decoding, callbacks.on_progress)
    if is_older or metadata or hashes:
        done = f"metadata of {counted(metadata, 'photo')} read, {counted(hashes, 'photo')} decoded for stacks"
        if index.catalogue.rebuilt.to_do():
            callbacks.on_note(f"what the damaged catalogue held was found again: {done}")
        else:
            callbacks.on_note(f"the index of an older version was brought up to date: {done}, none embedded again")


def _update_stacks(index: WritableIndex, encoder: ImageEncoder) -> None:
    """Group the photos that belong together."""

    def embeddings(rows: int) -> np.ndarray:
        return vector_files.read(index.folder / index.manifest.embeddings, rows, index.manifest.dim)

    update_stacks(index.catalogue, embeddings, encoder)


def _add_regions(index: WritableIndex, encoder: ImageEncoder, decoding: Decoding, callbacks: BuildCallbacks) -> None:
    """Give every row region vectors, then name their file in the manifest."""
    with explain_disk_errors(index.folder):
        fill_regions(index.catalogue, index.region_file, encoder, decoding, callbacks.on_progress, callbacks.on_skip)
        # The manifest names the file only now, so that a reader finds the regions of every row. The records follow, as
        # they may say nothing of regions that the manifest names, but not the other way round.
        manifest.add_regions(index.folder, encoder.region_shape)
        described = replace(index.manifest, region_shape=encoder.region_shape)
        row_records.write_all(index.folder, described, index.catalogue)
