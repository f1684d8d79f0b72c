"""Write photos into an index: files -pipeline-> rows, in their order -> files, fsynced -> one transaction for 512."""

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

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
from indexer.storage.generations import WritableIndex
from indexer.storage.integrity.checksums import BlockChecksum
from indexer.storage.records import BuildCounts, KnownFile
from indexer.storage.recovery import row_records

# Photos of one transaction: a build that is killed embeds at most so many again.
COMMIT_ROWS = 512


@dataclass(frozen=True, slots=True)
class _Written:
    """A file of a root, and what became of it."""

    root_id: int
    file: PhotoFile
    result: Result


def embed_new(
    index: WritableIndex,
    found: Sequence[tuple[Scan, Changes]],
    encoder: ImageEncoder,
    decoding: Decoding,
    callbacks: BuildCallbacks,
) -> BuildCounts:
    """Embed new and changed files of all folders, in their order, and commit them block by block.

    One pool of processes decodes them all, as starting one takes longer than decoding a small folder.

    Args:
        index: The index.
        found: The walk of each folder, with what changed there.
        encoder: The image encoder.
        decoding: How files are decoded.
        callbacks: What to call on the way.

    Returns:
        Photos of all folders: seen, added, changed and skipped; none is counted as removed.

    Raises:
        PhotoseekError: The index cannot be written.
    """
    todo = [(scan.root, changes, file) for scan, changes in found for file in changes.new]
    counts = Counter(skipped=sum(len(changes.skipped) + changes.skipped_before for _, changes in found))
    if todo:
        callbacks.on_progress(0, len(todo))
    embedded = embed_files(
        b"/",
        (replace(file, path=os.path.join(root, file.path)) for root, _, file in todo),
        encoder,
        decoding,
        _known_digests(index.catalogue) if todo else KnownDigests(),
        regions=index.manifest.has_regions,
        on_slowest=callbacks.on_slowest,
    )
    pending = list[_Written]()
    with closing(embedded) as results:
        for done, ((_, changes, file), (_, of_file)) in enumerate(zip(todo, results, strict=True), 1):
            result = _named_by_root(of_file, file)
            pending.append(_Written(changes.root_id, file, result))
            counts[_kind_of(index.catalogue, result, changes.known.get(file.path))] += 1
            if isinstance(result, Skipped):
                callbacks.on_skip(result)
            if len(pending) == COMMIT_ROWS:
                _commit(index, pending)
                pending = []
            callbacks.on_progress(done, len(todo))
    _commit(index, pending)
    seen = sum(len(scan.files) for scan, _ in found)
    return BuildCounts(seen, counts["added"], counts["changed"], skipped=counts["skipped"])


def _named_by_root(result: Result, file: PhotoFile) -> Result:
    """Give a result the path below the root instead of the absolute one."""
    if isinstance(result, Skipped):
        return replace(result, path=file.path)
    return replace(result, photo=replace(result.photo, path=file.path))


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


def _commit(index: WritableIndex, pending: Sequence[_Written]) -> None:
    """Append the new embeddings and regions and fsync them, then make their rows exist in one transaction."""
    catalogue = index.catalogue
    rows, checksums = _append_vectors(index, [one.result for one in pending if isinstance(one.result, EmbeddedPhoto)])
    with catalogue.transaction():
        for name, block in checksums.items():
            catalogue.checksums.put(name, block)
        for one in pending:
            file, result = one.file, one.result
            if isinstance(result, Skipped):
                catalogue.add_skipped(one.root_id, file, result.reason, result.retry)
                continue
            digest = result.photo.digest
            row = catalogue.row_of_digest(digest)
            new_row = row is None
            row = rows[digest] if row is None else row
            catalogue.add(one.root_id, result.photo, row, new_row=new_row)
            if new_row and result.photo.perceptual_hash is not None:
                catalogue.stacks.put_hashes([(row, result.photo.perceptual_hash)])
            if result.photo.metadata is not None:
                catalogue.metadata.put(row, result.photo.metadata, file.mtime_ns)


def _append_vectors(
    index: WritableIndex, embedded: list[EmbeddedPhoto]
) -> tuple[dict[bytes, int], dict[str, BlockChecksum]]:
    """Append vectors and records of digests that have no row yet; return rows by digest, and checksums by file name."""
    catalogue = index.catalogue
    first_row = catalogue.row_count()
    rows: dict[bytes, int] = {}
    new: list[EmbeddedPhoto] = []
    for item in embedded:
        digest = item.photo.digest
        if item.vector is not None and digest not in rows and catalogue.row_of_digest(digest) is None:
            rows[digest] = first_row + len(new)
            new.append(item)
    if not new:
        return rows, {}
    vectors = np.stack([item.vector for item in new if item.vector is not None]).astype(vector_files.EMBEDDING_DTYPE)
    regions = None
    if index.manifest.has_regions:
        regions = np.stack([item.regions.ravel() for item in new if item.regions is not None])
    photos = [item.photo for item in new]
    records = row_records.make_records(
        [p.digest for p in photos], [(p.width, p.height) for p in photos], vectors, regions
    )
    folder, described = index.folder, index.manifest
    with explain_disk_errors(folder):
        checksums = {described.embeddings: vector_files.append(folder / described.embeddings, first_row, vectors)}
        if regions is not None:
            name, dtype = described.region_file, vector_files.REGION_DTYPE
            checksums[name] = vector_files.append(folder / name, first_row, regions, dtype)
        row_records.append(folder / described.digest_file, first_row, records)
    return rows, checksums
