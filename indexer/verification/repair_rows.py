"""Repair damaged rows: embed their photos again, and write those rows that differ; nothing else is touched."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.callbacks import Progress
from indexer.embedding.pipeline import Decoding, EmbeddedPhoto, embed_files
from indexer.encoders import ImageEncoder
from indexer.photos.found_files import PhotoFile
from indexer.storage.atomic_files import explain_disk_errors
from indexer.storage.catalogue import Catalogue
from indexer.storage.generations import open_for_writing
from indexer.storage.integrity.checksums import BlockChecksum, digest_of_bytes
from indexer.storage.manifest import Manifest
from indexer.storage.recovery import row_records
from indexer.storage.vector_files import EMBEDDING_DTYPE, REGION_DTYPE

# Rows whose photos are embedded at a time.
BLOCK_ROWS = 512
# A stored embedding with this cosine to the new one, or more, is the same: float16 and the order of sums make the rest.
SAME_COSINE = 0.9999
# The largest difference of a number of a region vector, of -127 to 127, that rounding explains.
SAME_REGION = 2


@dataclass(slots=True)
class RepairedRows:
    """Outcome of a repair of rows.

    Attributes:
        written: How many rows were written anew.
        right: How many were looked at and are right.
        waiting: How many could not be looked at, as their photo cannot be read or has changed; they are as they were.
    """

    written: int = 0
    right: int = 0
    waiting: int = 0


def repair_rows(
    folder: Path, damaged: Sequence[int], encoder: ImageEncoder, decoding: Decoding, on_progress: Progress
) -> RepairedRows:
    """Embed the photos of damaged rows again, and write the rows that differ.

    Where a block of rows has its checksum again with the new rows, every bit that differs is written. Where it has not,
    as on another processor, whose sums differ in their last bits, a row is written only if it is another one.

    The checksum of a block of rows is renewed in one transaction after its rows are on the disk, and only if all its
    damaged rows could be looked at. So a repair that is killed, or whose photos are partly not there, goes on when it
    is called again. A dead row gets a vector of length 1 and lives no more: a photo that comes back gets a new row.

    Args:
        folder: The index folder, whose catalogue and manifest are whole.
        damaged: The rows, sorted.
        encoder: The encoder of the index, in its precision.
        decoding: How the photos are decoded.
        on_progress: Gets (done, total) rows.

    Returns:
        How many rows were written, were right, and wait for their photos.

    Raises:
        PhotoseekError: The index cannot be written, or is being written.
    """
    with open_for_writing(folder) as index, explain_disk_errors(folder):
        catalogue, described = index.catalogue, index.manifest
        outcome = _mend_rows(catalogue, _files(folder, described), damaged, (encoder, decoding), on_progress)
        if not outcome.waiting:  # the record of a row that waits tells that it is damaged
            row_records.write_all(folder, described, catalogue)
    return outcome


def _mend_rows(
    catalogue: Catalogue,
    files: Sequence["_RowFile"],
    damaged: Sequence[int],
    embedding: tuple[ImageEncoder, Decoding],
    on_progress: Progress,
) -> RepairedRows:
    """Embed the photos of damaged rows again, and write the rows that differ and the checksums of their blocks."""
    outcome, looked_at = RepairedRows(), set[int]()
    dead = sorted(set(damaged).intersection(catalogue.dead_rows()))
    for start in range(0, len(damaged), BLOCK_ROWS):
        part = damaged[start : start + BLOCK_ROWS]
        new = dict(_embedded(catalogue, part, *embedding, with_regions=len(files) > 1))
        written = set().union(*(file.mend(catalogue, new) for file in files))
        outcome.written += len(written)
        outcome.right += len(new) - len(written)
        looked_at.update(new)
        on_progress(start + len(part), len(damaged))
    for row in set(dead) - looked_at:
        looked_at.add(row)
        for file in files:
            file.blank(row)
        outcome.written += 1
    outcome.waiting = len(damaged) - len(looked_at)
    renewed = [one for file in files for one in file.renewed_checksums(catalogue, set(damaged), looked_at)]
    with catalogue.transaction():
        for row in dead:
            catalogue.forget(row)
        for name, checksum in renewed:
            catalogue.checksums.put(name, checksum)
    return outcome


def _files(folder: Path, described: Manifest) -> list["_RowFile"]:
    """Return the files of rows of an index."""
    files = [_RowFile(folder / described.embeddings, described.dim, EMBEDDING_DTYPE)]
    if described.has_regions:
        count, width = described.region_shape
        files.append(_RowFile(folder / described.region_file, count * width, REGION_DTYPE))
    return files


@dataclass(frozen=True, slots=True)
class _RowFile:
    """A file of rows: embeddings, or regions if its numbers are int8."""

    path: Path
    width: int
    dtype: np.dtype

    @property
    def row_bytes(self) -> int:
        return self.width * self.dtype.itemsize

    def mend(self, catalogue: Catalogue, photos: Mapping[int, EmbeddedPhoto]) -> set[int]:
        """Write those rows of photos, durably, that are not as they should be; return which were written."""
        written = set()
        for block in catalogue.checksums.of_file(self.path.name):
            rows = [row for row in range(block.first_row, block.first_row + block.rows) if row in photos]
            if not rows:
                continue
            stored, present = self._read(block)
            wanted = stored.copy()
            for row in rows:
                wanted[row - block.first_row] = self._numbers_of(photos[row])
            is_exact = hashlib.sha256(wanted.tobytes()).digest() == block.digest
            for row in rows:
                place = row - block.first_row
                old, new = stored[place], wanted[place]
                is_same = place < present and old.tobytes() == new.tobytes()
                if not is_same and (is_exact or place >= present or not self._is_right(old, new)):
                    self._put(row, new)
                    written.add(row)
        return written

    def _numbers_of(self, photo: EmbeddedPhoto) -> np.ndarray:
        """Return the row of a photo, which was embedded with regions if there is a file of them."""
        new = photo.regions if self.dtype == REGION_DTYPE else photo.vector
        assert new is not None
        return np.ascontiguousarray(new).reshape(-1).astype(self.dtype)

    def _read(self, block: BlockChecksum) -> tuple[np.ndarray, int]:
        """Return the rows of a block as they are, zeros behind the end of the file, and how many are in the file."""
        data = b""
        if self.path.exists():
            with open(self.path, "rb") as file:
                file.seek(block.first_row * self.row_bytes)
                data = file.read(block.rows * self.row_bytes)
        filled = data.ljust(block.rows * self.row_bytes, b"\0")
        return np.frombuffer(filled, self.dtype).reshape(block.rows, self.width), len(data) // self.row_bytes

    def blank(self, row: int) -> None:
        """Write a row that no photo has, durably: the first unit vector, or regions of zeros."""
        wanted = np.zeros(self.width, self.dtype)
        wanted[0] = self.dtype != REGION_DTYPE
        self._put(row, wanted)

    def _put(self, row: int, wanted: np.ndarray) -> None:
        with open(self.path, "r+b" if self.path.exists() else "xb") as file:
            file.seek(row * self.row_bytes)
            file.write(wanted.tobytes())
            file.flush()
            os.fsync(file.fileno())

    def _is_right(self, stored: np.ndarray, wanted: np.ndarray) -> bool:
        """Return whether two rows differ in no more than rounding."""
        if self.dtype == REGION_DTYPE:
            return bool((np.abs(stored.astype(np.int16) - wanted) <= SAME_REGION).all())
        one, other = stored.astype(np.float64), wanted.astype(np.float64)
        cosine = one @ other / (np.linalg.norm(one) * np.linalg.norm(other) or 1)
        return bool(np.isfinite(one).all() and abs(np.linalg.norm(one) - 1) < 1e-3 and cosine >= SAME_COSINE)

    def renewed_checksums(
        self, catalogue: Catalogue, damaged: set[int], looked_at: set[int]
    ) -> Iterator[tuple[str, BlockChecksum]]:
        """Yield the checksum of every block that had damaged rows, and whose damaged rows were all looked at."""
        for block in catalogue.checksums.of_file(self.path.name):
            rows = damaged.intersection(range(block.first_row, block.first_row + block.rows))
            if rows and rows <= looked_at:
                digest = digest_of_bytes(self.path, block.first_row * self.row_bytes, block.rows * self.row_bytes)
                yield self.path.name, BlockChecksum(block.first_row, block.rows, digest)


def _embedded(
    catalogue: Catalogue, rows: Sequence[int], encoder: ImageEncoder, decoding: Decoding, with_regions: bool
) -> Iterator[tuple[int, EmbeddedPhoto]]:
    """Yield rows with their photos as they are embedded now; a row whose photo is not there or has changed is left out.

    Of exact copies the first that has the bytes of the row counts.
    """
    digests = catalogue.digests_of_rows(rows)
    paths = {
        os.path.join(photo.root, photo.path): (row, photo)
        for row, photos in catalogue.photos_of_rows(rows).items()
        for photo in photos
    }
    files = [PhotoFile(path, photo.size, photo.mtime_ns) for path, (_, photo) in paths.items()]
    done: set[int] = set()
    with closing(embed_files(b"/", files, encoder, decoding, regions=with_regions)) as results:
        for file, result in results:
            row = paths[file.path][0]
            if isinstance(result, EmbeddedPhoto) and result.photo.digest == digests[row] and row not in done:
                done.add(row)
                yield row, result
