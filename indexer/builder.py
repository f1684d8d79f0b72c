"""Build an index or bring it up to date.

    folder -walk-> new and changed files -pipeline-> rows, in their order -> files, fsynced -> one transaction for 512

Photos that are gone become dead rows in the last transaction. Region vectors of an index that was begun without are
added after that.
"""

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from indexer.callbacks import BuildCallbacks
from indexer.embedding.index_precision import choose_index_precision
from indexer.embedding.pipeline import Decoding, EmbeddedPhoto, Result, embed_files, sample_pixels
from indexer.embedding.regions import fill_regions
from indexer.encoders import REGION_KINDS, ImageEncoder, load_image_encoder
from indexer.errors import PhotoseekError
from indexer.photos.scan import PhotoFile, Skipped, hidden_folders, walk
from indexer.storage import manifest, vector_files
from indexer.storage.atomic_files import explain_disk_errors
from indexer.storage.catalogue import Catalogue
from indexer.storage.manifest import Manifest
from indexer.storage.records import BuildCounts, KnownFile
from indexer.storage.write_lock import write_lock

# Photos of one transaction: a build that is killed embeds at most so many again.
COMMIT_ROWS = 512
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
    """

    encoder: str | ImageEncoder
    encoder_options: Mapping[str, str]
    decoding: Decoding
    regions: bool | None


def build_index(photos: str | Path, folder: Path, settings: BuildSettings, callbacks: BuildCallbacks) -> None:
    """Index a photo folder, or bring its index up to date; see `Index.build`.

    Args:
        photos: The photo folder.
        folder: The index folder, made if it is missing.
        settings: Options of the build.
        callbacks: What to call on the way.

    Raises:
        PhotoseekError: There are no photos, or the index cannot be written or is of other photos or another encoder.
    """
    root = os.path.abspath(os.fsencode(photos))
    _check_place(folder)
    scan = _scan(root)
    if not scan.files and not _knows_root(folder, root):
        raise PhotoseekError(f"no photos found under {os.fsdecode(root)!r}")
    encoder = _load_encoder(settings)
    with explain_disk_errors(folder):
        _create(folder, _manifest_of(encoder, settings))
    with write_lock(folder), closing(Catalogue(folder / "catalogue.sqlite", writable=True)) as catalogue:
        index = _WritableIndex(folder, manifest.read(folder), catalogue)
        _check_index(index, encoder, settings)
        if isinstance(encoder, ImageEncoder):
            _choose_precision(index, encoder, scan, settings.decoding, callbacks)
        _update(index, scan, encoder, settings, callbacks)


@dataclass(frozen=True, slots=True)
class _WritableIndex:
    """An index folder whose writer's lock is held."""

    folder: Path
    manifest: Manifest
    catalogue: Catalogue

    @property
    def region_file(self) -> Path:
        return self.folder / self.manifest.region_file


@dataclass(frozen=True, slots=True)
class _Scan:
    """Result of walking a photo folder: the photos, and what was passed over."""

    root: bytes
    files: list[PhotoFile]
    skipped: list[Skipped]


@dataclass(frozen=True, slots=True)
class _Changes:
    """Differences between a photo folder and an index.

    `known`: the files that the index knows, by path; `new`: new and changed files; `passed_over`: what the walk passed
    over, and folders of known photos that are hidden for now.
    """

    root_id: int
    known: dict[bytes, KnownFile]
    new: list[PhotoFile]
    passed_over: list[Skipped]


def _check_place(folder: Path) -> None:
    """Refuse a folder that holds anything but an index of this format or the first files of one."""
    if manifest.exists(folder):
        manifest.read(folder)
    elif folder.is_dir():
        begun = ("writer.", "catalogue.sqlite", ".manifest.json")
        if any(not path.name.startswith(begun) for path in folder.iterdir()):
            raise PhotoseekError(f"{folder} is not an index and not empty; give another folder with -i")
    elif folder.exists():
        raise PhotoseekError(f"{folder} is a file; give a folder for the index with -i")


def _scan(root: bytes) -> _Scan:
    """Walk a photo folder."""
    found = list(walk(os.fsdecode(root)))
    files = [item for item in found if isinstance(item, PhotoFile)]
    return _Scan(root, files, [item for item in found if isinstance(item, Skipped)])


def _knows_root(folder: Path, root: bytes) -> bool:
    """Return whether an index at `folder` already knows photos of this root."""
    if not manifest.exists(folder):
        return False
    with closing(Catalogue(folder / "catalogue.sqlite")) as catalogue:
        return root in catalogue.roots()


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
    folder.mkdir(parents=True, exist_ok=True)
    with write_lock(folder):
        if manifest.exists(folder):
            return
        for leftover in folder.glob("catalogue.sqlite*"):
            leftover.unlink()
        Catalogue(folder / "catalogue.sqlite", create=True).close()
        # The manifest comes last: a folder without one is an index that was never begun.
        manifest.write(folder, new)


def _check_index(index: _WritableIndex, encoder: ImageEncoder, settings: BuildSettings) -> None:
    """Refuse an index of another encoder, or with regions where none are wanted."""
    if encoder.fingerprint != index.manifest.encoder:
        raise PhotoseekError(
            f"index {index.folder} holds embeddings of {index.manifest.encoder}, not of {encoder.fingerprint}; "
            "give another folder with -i, or that encoder with --encoder"
        )
    if settings.regions is False and index.manifest.has_regions:
        raise PhotoseekError(f"index {index.folder} keeps region vectors; give another folder for one without")


def _choose_precision(
    index: _WritableIndex, encoder: ImageEncoder, scan: _Scan, decoding: Decoding, callbacks: BuildCallbacks
) -> None:
    """Set the encoder to the precision of the index."""

    def decode_sample(count: int) -> np.ndarray:
        return sample_pixels(scan.root, scan.files, encoder.transform, decoding, count)

    with explain_disk_errors(index.folder):
        choose_index_precision(
            index.folder, index.catalogue, encoder, len(scan.files), decode_sample, callbacks.on_note
        )


def _update(
    index: _WritableIndex, scan: _Scan, encoder: ImageEncoder, settings: BuildSettings, callbacks: BuildCallbacks
) -> None:
    """Bring an index up to date with what a walk found."""
    catalogue = index.catalogue
    root_id = catalogue.root_id(scan.root)
    known = catalogue.known_files(root_id)
    if known and not scan.files:
        raise PhotoseekError(
            f"no photos found under {os.fsdecode(scan.root)!r}, where the index knows {len(known)}; is a disk not "
            "mounted? Nothing was changed"
        )
    build = catalogue.start_build()
    changes = _find_changes(scan, root_id, known)
    for item in changes.passed_over:
        callbacks.on_skip(item)
    counts = _embed_new(index, scan, changes, encoder, settings.decoding, callbacks)
    gone = _gone_paths(scan, changes)
    with catalogue.transaction():
        counts = replace(counts, removed=catalogue.remove(root_id, gone))
        catalogue.finish_build(build, counts)
    if settings.regions and not index.manifest.has_regions:
        _add_regions(index, encoder, settings.decoding, callbacks)
        catalogue.finish_build(build, counts)  # the time that the regions took is the build's, too


def _find_changes(scan: _Scan, root_id: int, known: dict[bytes, KnownFile]) -> _Changes:
    """Find the new and changed files of a folder."""
    hidden = hidden_folders(scan.root, known, scan.files)
    new = [file for file in scan.files if known.get(file.path) != (file.size, file.mtime_ns)]
    return _Changes(root_id, known, new, scan.skipped + hidden)


def _embed_new(
    index: _WritableIndex,
    scan: _Scan,
    changes: _Changes,
    encoder: ImageEncoder,
    decoding: Decoding,
    callbacks: BuildCallbacks,
) -> BuildCounts:
    """Embed new and changed files and commit them block by block."""
    catalogue, new, known = index.catalogue, changes.new, changes.known
    added, changed, skipped = 0, 0, len(changes.passed_over)
    pending: list[tuple[PhotoFile, Result]] = []

    def is_known(digest: bytes) -> bool:
        return catalogue.row_of_digest(digest) is not None

    with_regions = index.manifest.has_regions
    with closing(embed_files(scan.root, new, encoder, decoding, is_known, regions=with_regions)) as results:
        for done, (file, result) in enumerate(results, 1):
            pending.append((file, result))
            if isinstance(result, Skipped):
                callbacks.on_skip(result)
                skipped += 1
            elif file.path in known and not known[file.path].was_skipped:
                changed += 1
            else:
                added += 1
            if len(pending) == COMMIT_ROWS:
                _commit(index, changes.root_id, pending)
                pending = []
            callbacks.on_progress(done, len(new))
    _commit(index, changes.root_id, pending)
    return BuildCounts(seen=len(scan.files), added=added, changed=changed, skipped=skipped)


def _commit(index: _WritableIndex, root_id: int, pending: list[tuple[PhotoFile, Result]]) -> None:
    """Append the new embeddings and regions and fsync them, then make their rows exist in one transaction."""
    catalogue = index.catalogue
    rows = _append_vectors(index, [result for _, result in pending if isinstance(result, EmbeddedPhoto)])
    with catalogue.transaction():
        for file, result in pending:
            if isinstance(result, Skipped):
                catalogue.add_skipped(root_id, file.path, file.size, file.mtime_ns, result.reason)
                continue
            digest = result.photo.digest
            row = catalogue.row_of_digest(digest)
            catalogue.add(root_id, result.photo, rows[digest] if row is None else row, new_row=row is None)


def _append_vectors(index: _WritableIndex, embedded: list[EmbeddedPhoto]) -> dict[bytes, int]:
    """Append the vectors of digests that have no row yet, and return their rows by digest."""
    catalogue = index.catalogue
    first_row = catalogue.row_count()
    rows: dict[bytes, int] = {}
    vectors: list[np.ndarray] = []
    regions: list[np.ndarray] = []
    for item in embedded:
        digest = item.photo.digest
        if item.vector is not None and digest not in rows and catalogue.row_of_digest(digest) is None:
            rows[digest] = first_row + len(vectors)
            vectors.append(item.vector)
            if item.regions is not None:
                regions.append(item.regions.ravel())
    with explain_disk_errors(index.folder):
        if vectors:
            vector_files.append(index.folder / index.manifest.embeddings, first_row, np.stack(vectors))
        if regions:
            vector_files.append(index.region_file, first_row, np.stack(regions), vector_files.REGION_DTYPE)
    return rows


def _gone_paths(scan: _Scan, changes: _Changes) -> list[bytes]:
    """Return the known photos that are gone; photos below a folder that was passed over do not count."""
    unseen = tuple(item.path + b"/" for item in changes.passed_over)
    kept = {file.path for file in scan.files} | {item.path for item in scan.skipped}
    return [path for path in changes.known if path not in kept and not path.startswith(unseen)]


def _add_regions(index: _WritableIndex, encoder: ImageEncoder, decoding: Decoding, callbacks: BuildCallbacks) -> None:
    """Give every row region vectors, then name their file in the manifest."""
    with explain_disk_errors(index.folder):
        fill_regions(index.catalogue, index.region_file, encoder, decoding, callbacks.on_progress, callbacks.on_skip)
        # The manifest names the file only now, so that a reader finds the regions of every row.
        manifest.add_regions(index.folder, encoder.region_shape)
