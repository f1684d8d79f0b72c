"""An index made or brought up to date.

    folder -walk-> new and changed files -pipeline-> rows, in their order -> files, fsynced -> one transaction for 512

Photos that are gone become tombstones in the last transaction; regions of an index that was begun without come behind
it.
"""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from indexer.embedding.pipeline import Decoding, Result, embed_files, sample_pixels
from indexer.embedding.precision import choose_index_precision
from indexer.embedding.regions import fill
from indexer.encoders import REGION_KINDS, ImageEncoder, load_image_encoder
from indexer.errors import PhotoseekError
from indexer.index import Index, Progress
from indexer.photos.scan import PhotoFile, Skipped, hidden_folders, walk
from indexer.storage import manifest, vector_files
from indexer.storage.atomic_files import writing
from indexer.storage.catalogue import Catalogue, write_lock

COMMIT_ROWS = 512
UNKNOWN = (-1, 0)  # the size and time of a photo that has no row
# What it takes to load the same image encoder again, for queries by photo.
KEPT_OPTIONS = ("weights", "preprocess")

OnSkip = Callable[[Skipped], None]


def update(
    photos: str | Path,
    folder: Path,
    encoder: str | ImageEncoder,
    encoder_options: dict[str, str],
    decoding: Decoding,
    regions: bool | None,
    on_progress: Progress,
    on_skip: OnSkip,
    on_note: Callable[[str], None],
) -> None:
    """Index a photo folder into `folder`, or bring its index there up to date; as `Index.build` says."""
    root = os.path.abspath(os.fsencode(photos))
    _check_place(folder)
    found = list(walk(os.fsdecode(root)))
    files = [item for item in found if isinstance(item, PhotoFile)]
    if not files and not _has_photos(folder, root):
        raise PhotoseekError(f"no photos found under {os.fsdecode(root)!r}")
    network = load_image_encoder(encoder, **encoder_options) if isinstance(encoder, str) else encoder
    if regions and not any(network.regions):
        raise PhotoseekError(f"image encoder {network.name} gives no region vectors; encoders that do: {REGION_KINDS}")
    kept = {k: v for k, v in encoder_options.items() if k in KEPT_OPTIONS and v is not None}
    with writing(folder):
        _create(folder, network, kept, bool(regions))
    with write_lock(folder), closing(Catalogue(folder / "catalogue.sqlite", writable=True)) as catalogue:
        index = Index(folder, manifest.read(folder), catalogue)
        _check_encoder(index, network)
        if regions is False and any(index.region_shape):
            raise PhotoseekError(f"index {folder} keeps region vectors; give another folder for one without")
        if isinstance(network, ImageEncoder):
            with writing(folder):
                choose_index_precision(
                    folder,
                    catalogue,
                    network,
                    len(files),
                    lambda n: sample_pixels(root, files, network.fit, decoding, n),
                    on_note,
                )
        _update(index, root, found, network, decoding, bool(regions), on_progress, on_skip)


def _check_place(folder: Path) -> None:
    """Refuse a folder that holds something other than an index of this format, or of one that was just begun."""
    if manifest.exists(folder):
        manifest.read(folder)
    elif folder.is_dir():
        begun = ("writer.", "catalogue.sqlite", ".manifest.json")
        if any(not path.name.startswith(begun) for path in folder.iterdir()):
            raise PhotoseekError(f"{folder} is not an index and not empty; give another folder with -i")
    elif folder.exists():
        raise PhotoseekError(f"{folder} is a file; give a folder for the index with -i")


def _has_photos(folder: Path, root: bytes) -> bool:
    """Whether an index at `folder` already knows photos of this root."""
    if not manifest.exists(folder):
        return False
    with closing(Catalogue(folder / "catalogue.sqlite")) as catalogue:
        return root in catalogue.roots()


def _create(folder: Path, encoder: ImageEncoder, options: dict[str, str], regions: bool) -> None:
    """Lay out an empty index folder, unless there is one already."""
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
        manifest.write(folder, manifest.of_encoder(encoder, options, regions))


def _check_encoder(index: Index, encoder: ImageEncoder) -> None:
    if encoder.fingerprint != index.encoder:
        raise PhotoseekError(
            f"index {index.folder} holds embeddings of {index.encoder}, not of {encoder.fingerprint}; "
            "give another folder with -i, or that encoder with --encoder"
        )


def _update(
    index: Index,
    root: bytes,
    found: list[PhotoFile | Skipped],
    encoder: ImageEncoder,
    decoding: Decoding,
    regions: bool,
    on_progress: Progress,
    on_skip: OnSkip,
) -> None:
    """What an open index is to learn of the photos of `root`, of which `found` is the walk."""
    catalogue = index.catalogue
    root_id = catalogue.root_id(root)
    known = catalogue.known_files(root_id)
    files = [item for item in found if isinstance(item, PhotoFile)]
    passed_over = [item for item in found if isinstance(item, Skipped)]
    if known and not files:
        raise PhotoseekError(
            f"no photos found under {os.fsdecode(root)!r}, where the index knows {len(known)}; is a disk not "
            "mounted? Nothing was changed"
        )
    build = catalogue.start_build()
    hidden = hidden_folders(root, known, found)
    for item in passed_over + hidden:
        on_skip(item)
    new = [file for file in files if known.get(file.path) != (file.size, file.mtime_ns)]
    counts = {"seen": len(files), "added": 0, "changed": 0, "removed": 0, "skipped": len(passed_over + hidden)}
    pending: list[tuple[PhotoFile, Result]] = []
    stored = any(index.region_shape)

    def is_known(digest: bytes) -> bool:
        return catalogue.row_of_digest(digest) is not None

    with closing(embed_files(root, new, encoder, decoding, is_known, regions=stored)) as results:
        for done, (file, result) in enumerate(results, 1):
            pending.append((file, result))
            if isinstance(result, Skipped):
                on_skip(result)
                counts["skipped"] += 1
            else:
                counts["changed" if known.get(file.path, UNKNOWN)[0] >= 0 else "added"] += 1
            if len(pending) == COMMIT_ROWS:
                _commit(index, root_id, pending)
                pending = []
            on_progress(done, len(new))
    _commit(index, root_id, pending)
    unseen = tuple(item.path + b"/" for item in passed_over + hidden)
    kept = {file.path for file in files} | {item.path for item in passed_over}
    gone = [path for path in known if path not in kept and not path.startswith(unseen)]
    with catalogue.transaction():
        counts["removed"] = catalogue.remove(root_id, gone)
        catalogue.finish_build(build, counts)
    if regions and not stored:
        with writing(index.folder):
            fill(catalogue, index.region_file, encoder, decoding, on_progress, on_skip)
            # Only now are there regions: a reader finds every row's, and the next build adds to them.
            index.manifest["regions"] = encoder.regions
            manifest.write(index.folder, index.manifest)
        catalogue.finish_build(build, counts)  # the time that the regions took is the build's, too


def _commit(index: Index, root_id: int, pending: list[tuple[PhotoFile, Result]]) -> None:
    """Embeddings and regions first, fsynced; then the one transaction that makes their rows exist."""
    catalogue = index.catalogue
    rows: dict[bytes, int] = {}
    vectors: list[np.ndarray] = []
    regions: list[np.ndarray] = []
    for _, result in pending:
        if isinstance(result, Skipped):
            continue
        photo, vector, parts = result
        if vector is not None and photo.digest not in rows and catalogue.row_of_digest(photo.digest) is None:
            rows[photo.digest] = index.rows + len(vectors)
            vectors.append(vector)
            if parts is not None:
                regions.append(parts.ravel())
    with writing(index.folder):
        if vectors:
            vector_files.append(index.folder / index.manifest["embeddings"], index.rows, np.stack(vectors))
        if regions:
            vector_files.append(index.region_file, index.rows, np.stack(regions), vector_files.REGION_DTYPE)
    with catalogue.transaction():
        for file, result in pending:
            if isinstance(result, Skipped):
                catalogue.add_skipped(root_id, file.path, file.size, file.mtime_ns, result.reason)
                continue
            row = catalogue.row_of_digest(result[0].digest)
            is_new = row is None
            catalogue.add(root_id, result[0], rows[result[0].digest] if row is None else row, new_row=is_new)
    index.rows += len(vectors)
