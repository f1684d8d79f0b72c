"""Write photos into an index: files -pipeline-> rows, in their order -> files, fsynced -> one transaction for 512."""

from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.building.changes import Changes, Scan
from indexer.callbacks import BuildCallbacks
from indexer.embedding.pipeline import Decoding, EmbeddedPhoto, Result, embed_files
from indexer.encoders import ImageEncoder
from indexer.photos.found_files import PhotoFile, Skipped
from indexer.photos.known_digests import KnownDigests
from indexer.storage import vector_files
from indexer.storage.atomic_files import explain_disk_errors
from indexer.storage.catalogue import Catalogue
from indexer.storage.checksums import BlockChecksum
from indexer.storage.manifest import Manifest
from indexer.storage.records import BuildCounts, KnownFile

# Photos of one transaction: a build that is killed embeds at most so many again.
COMMIT_ROWS = 512


@dataclass(frozen=True, slots=True)
class WritableIndex:
    """An index folder whose writer's lock is held."""

    folder: Path
    manifest: Manifest
    catalogue: Catalogue

    @property
    def region_file(self) -> Path:
        """Path of the region vectors."""
        return self.folder / self.manifest.region_file


def embed_new(
    index: WritableIndex,
    scan: Scan,
    changes: Changes,
    encoder: ImageEncoder,
    decoding: Decoding,
    callbacks: BuildCallbacks,
) -> BuildCounts:
    """Embed new and changed files and commit them block by block."""
    new, pending = changes.new, list[tuple[PhotoFile, Result]]()
    counts = Counter(skipped=len(changes.skipped) + changes.skipped_before)
    known = _known_digests(index.catalogue) if new else KnownDigests()
    embedded = embed_files(
        scan.root,
        new,
        encoder,
        decoding,
        known,
        regions=index.manifest.has_regions,
        on_slowest=callbacks.on_slowest,
    )
    with closing(embedded) as results:
        for done, (file, result) in enumerate(results, 1):
            pending.append((file, result))
            counts[_kind_of(index.catalogue, result, changes.known.get(file.path))] += 1
            if isinstance(result, Skipped):
                callbacks.on_skip(result)
            if len(pending) == COMMIT_ROWS:
                _commit(index, changes.root_id, pending)
                pending = []
            callbacks.on_progress(done, len(new))
    _commit(index, changes.root_id, pending)
    return BuildCounts(len(scan.files), counts["added"], counts["changed"], skipped=counts["skipped"])


def _known_digests(catalogue: Catalogue) -> KnownDigests:
    """Return the digests that have a row."""
    return KnownDigests(lambda digest: catalogue.row_of_digest(digest) is not None, catalogue.digest_beginnings())


def _kind_of(catalogue: Catalogue, result: Result, before: KnownFile | None) -> str:
    """Return what a file counts as: skipped, added, changed, or same if it has the bytes that it had."""
    if isinstance(result, Skipped):
        return "skipped"
    if before is None or before.row is None:
        return "added"
    return "same" if before.row == catalogue.row_of_digest(result.photo.digest) else "changed"


def _commit(index: WritableIndex, root_id: int, pending: list[tuple[PhotoFile, Result]]) -> None:
    """Append the new embeddings and regions and fsync them, then make their rows exist in one transaction."""
    catalogue = index.catalogue
    rows, checksums = _append_vectors(index, [result for _, result in pending if isinstance(result, EmbeddedPhoto)])
    with catalogue.transaction():
        for name, block in checksums.items():
            catalogue.checksums.put(name, block)
        for file, result in pending:
            if isinstance(result, Skipped):
                catalogue.add_skipped(root_id, file, result.reason, result.retry)
                continue
            digest = result.photo.digest
            row = catalogue.row_of_digest(digest)
            new_row = row is None
            row = rows[digest] if row is None else row
            catalogue.add(root_id, result.photo, row, new_row=new_row)
            if new_row and result.photo.perceptual_hash is not None:
                catalogue.stacks.put_hashes([(row, result.photo.perceptual_hash)])
            if result.photo.metadata is not None:
                catalogue.metadata.put(row, result.photo.metadata, file.mtime_ns)


def _append_vectors(
    index: WritableIndex, embedded: list[EmbeddedPhoto]
) -> tuple[dict[bytes, int], dict[str, BlockChecksum]]:
    """Append the vectors of digests that have no row yet; return their rows by digest, and checksums by file name."""
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
    checksums = {}
    with explain_disk_errors(index.folder):
        if vectors:
            name = index.manifest.embeddings
            checksums[name] = vector_files.append(index.folder / name, first_row, np.stack(vectors))
        if regions:
            name, dtype = index.manifest.region_file, vector_files.REGION_DTYPE
            checksums[name] = vector_files.append(index.folder / name, first_row, np.stack(regions), dtype)
    return rows, checksums
