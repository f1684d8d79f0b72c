"""Embed photo files: files -> decode workers -> shared pixels -> encoder, a batch at a time -> results, in order.

One thread leads: it hands files and slots of memory to the workers, full batches to the encoder, and results to its
caller. Decoding, embedding and the caller's own work go on side by side.
"""

import os
import random
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue

import numpy as np

from indexer.cpu_count import usable_cores
from indexer.embedding.slots import Slots
from indexer.encoders import ImageEncoder
from indexer.encoders.image_encoder import IMAGE_BATCH
from indexer.file_checks import FileChecks
from indexer.photos.decode import MAX_PIXELS, UnreadablePhotoError
from indexer.photos.decode_pool import DecodeWorkers, PhotoInfo
from indexer.photos.found_files import PhotoFile, Skipped
from indexer.photos.known_digests import KnownDigests
from indexer.photos.retry import OTHER_DECODER, Limits
from indexer.photos.square_transform import SquareTransform
from indexer.storage.records import NewPhoto
from indexer.storage.vector_files import may_be_stored, quantise_directions

# Files that are read ahead come in steps of this many, enough to keep the encoder busy.
BLOCK = 64
NONE_KNOWN = KnownDigests()


@dataclass(frozen=True, slots=True)
class Decoding:
    """Settings of the decoding of files.

    Attributes:
        workers: Decoding processes, None for one per usable core.
        deadline: Seconds that a photo may take before it is given up.
        max_pixels: Photos of more pixels than this are refused.
        checks: Which files are read at all.
    """

    workers: int | None = None
    deadline: float = 60.0
    max_pixels: int = MAX_PIXELS
    checks: FileChecks = field(default_factory=FileChecks)

    @property
    def limits(self) -> Limits:
        """Limits that photos are skipped for."""
        return Limits(self.max_pixels, self.deadline)

    @property
    def process_count(self) -> int:
        """Number of decoding processes."""
        return self.workers if self.workers is not None else usable_cores()


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedPhoto:
    """Result of a file that was decoded.

    Attributes:
        photo: The file, its digest and size.
        vector: (d,) float32 unit vector, None if the file's digest was known.
        regions: (count, width) int8 region vectors, None if they were not asked for or the digest was known.
    """

    photo: NewPhoto
    vector: np.ndarray | None
    regions: np.ndarray | None


Result = EmbeddedPhoto | Skipped


def embed_files(
    root: bytes,
    files: Iterable[PhotoFile],
    encoder: ImageEncoder,
    decoding: Decoding,
    known: KnownDigests = NONE_KNOWN,
    *,
    regions: bool = False,
    on_slowest: Callable[[bytes, float], None] = lambda path, seconds: None,
) -> Generator[tuple[PhotoFile, Result]]:
    """Decode and embed files; close the iterator to end the decoding processes early.

    A file that breaks, hangs or kills its decoding process is skipped, and no other file with it.

    Args:
        root: Folder that the files' paths are relative to.
        files: The files.
        encoder: The encoder.
        decoding: How they are decoded.
        known: Digests of files that need not be embedded, as after a move.
        regions: Whether to give region vectors, too.
        on_slowest: Gets (path, seconds) of every file that took longer to decode than all before it.

    Yields:
        (file, result), in the order of the files.
    """
    with closing(_Pipeline(root, encoder, decoding, known, regions, on_slowest)) as pipeline:
        yield from pipeline.run(files)


def sample_pixels(
    root: bytes, files: Iterable[PhotoFile], transform: SquareTransform, decoding: Decoding, count: int
) -> np.ndarray:
    """Decode some of the files, drawn at random, leaving out those that break.

    Args:
        root: Folder that the files' paths are relative to.
        files: The files to draw from.
        transform: The square that each photo becomes.
        decoding: How they are decoded.
        count: How many to draw.

    Returns:
        (n, size, size, 3) uint8 RGB, n <= count.
    """
    drawn = list(files)
    random.Random(0).shuffle(drawn)
    drawn = drawn[:count]
    decoded = []
    settings = (decoding.process_count, transform, decoding.max_pixels, decoding.deadline)
    with closing(DecodeWorkers(*settings, slots=len(drawn))) as workers:
        futures = [workers.schedule(os.path.join(root, file.path), slot) for slot, file in enumerate(drawn)]
        for slot, future in enumerate(futures):
            with suppress(UnreadablePhotoError):
                future.result()
                decoded.append(slot)
        return np.array(workers.pixels[decoded])


@dataclass(slots=True, eq=False)
class _FileUnderway:
    """A file that is being processed, from its hand-over to a decoder until its result is taken."""

    file: PhotoFile
    photo: PhotoInfo | None = None
    result: Result | None = None


class _Pipeline:
    """State of one call of `embed_files`."""

    def __init__(
        self,
        root: bytes,
        encoder: ImageEncoder,
        decoding: Decoding,
        known: KnownDigests,
        regions: bool,
        on_slowest: Callable[[bytes, float], None],
    ) -> None:
        self.root, self.encoder, self.is_known, self.regions = root, encoder, known.is_known, regions
        cores = decoding.process_count
        # Read ahead no further than this, so that memory stays bounded; many cores take more to be kept busy.
        self.read_ahead = 2 * BLOCK * max(1, cores // 8)
        batch_size = min(IMAGE_BATCH, BLOCK)
        self.slots = Slots(self.read_ahead // batch_size, batch_size)
        limits = (decoding.max_pixels, decoding.deadline)
        self.workers = DecodeWorkers(cores, encoder.transform, *limits, len(self.slots), known.beginnings)
        self.on_slowest, self.slowest = on_slowest, self.workers.slowest
        # One more than the cores: while the rows of one batch are put in order, the next batch runs.
        self.embedders = ThreadPoolExecutor(cores + 1)
        # Other threads put callbacks here; the thread of `run` calls them, because only it may use the catalogue.
        self.events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.by_slot: dict[int, _FileUnderway] = {}
        self.files_decoding = self.batches_embedding = 0

    def run(self, files: Iterable[PhotoFile]) -> Iterator[tuple[PhotoFile, Result]]:
        source = iter(files)
        underway: deque[_FileUnderway] = deque()
        more = True
        while True:
            while more and len(underway) < self.read_ahead and len(self.slots):
                file = next(source, None)
                if file is None:
                    more = False
                else:
                    underway.append(self._decode(file))
            if not underway:
                return
            if underway[0].result is not None:
                done = underway.popleft()
                assert done.result is not None
                yield done.file, done.result
                continue
            if not self.files_decoding and not (more and self.batches_embedding):
                # No more photos will come to fill the batches that were begun, so they are embedded as they are.
                for batch in self.slots.unread_batches():
                    self._embed(batch)
            self.events.get()()

    def close(self) -> None:
        self.workers.close()
        self.embedders.shutdown(cancel_futures=True)

    def _decode(self, file: PhotoFile) -> _FileUnderway:
        """Hand a file to the decoding processes."""
        item, slot = _FileUnderway(file), self.slots.take()
        self._schedule(item, slot)
        return item

    def _schedule(self, item: _FileUnderway, slot: int, *, known_too: bool = False) -> None:
        future = self.workers.schedule(os.path.join(self.root, item.file.path), slot, known_too=known_too)
        self.files_decoding += 1
        future.add_done_callback(lambda done: self.events.put(partial(self._on_decoded, item, slot, done)))

    def _on_decoded(self, item: _FileUnderway, slot: int, future: "Future[PhotoInfo]") -> None:
        """Record the outcome of decoding a file, and embed its batch if that is full."""
        self.files_decoding -= 1
        if self.workers.slowest is not self.slowest:
            self.slowest = self.workers.slowest
            self.on_slowest(self.slowest.path, self.slowest.seconds)
        try:
            item.photo = future.result()
        except UnreadablePhotoError as error:
            item.result = Skipped(item.file.path, str(error), retry=error.retry)
        else:
            if self.is_known(item.photo.digest):
                item.result = self._result(item, None, None)
            elif not item.photo.is_decoded:  # another digest that begins as a known one
                self._schedule(item, slot, known_too=True)
                return
        if item.result is not None:
            self.slots.return_unused(slot)
            return
        self.by_slot[slot] = item
        full = self.slots.mark_filled(slot)
        if full is not None:
            self._embed(full)

    def _embed(self, batch: int) -> None:
        """Hand a batch to the encoder."""
        slots = self.slots.begin_reading(batch)
        first = batch * self.slots.batch_size
        pixels = self.workers.pixels[first : slots[-1] + 1]
        future = self.embedders.submit(_embed_pixels, pixels, self.encoder, self.regions)
        self.batches_embedding += 1
        rows = [slot - first for slot in slots]
        items = [self.by_slot.pop(slot) for slot in slots]
        future.add_done_callback(lambda done: self.events.put(partial(self._on_embedded, batch, rows, items, done)))

    def _on_embedded(
        self, batch: int, rows: list[int], items: list[_FileUnderway], future: "Future[_EmbeddedBatch]"
    ) -> None:
        """Free an embedded batch and give its files their rows."""
        self.batches_embedding -= 1
        self.slots.free_batch(batch)
        found = future.result()
        for row, item in zip(rows, items, strict=True):
            if found.may_be_stored[row]:
                regions = None if found.regions is None else found.regions[row]
                item.result = self._result(item, found.vectors[row], regions)
            else:
                reason = f"encoder {self.encoder.name} gave a vector of zeros, NaN or infinity"
                item.result = Skipped(item.file.path, reason, retry=OTHER_DECODER)

    @staticmethod
    def _result(item: _FileUnderway, vector: np.ndarray | None, regions: np.ndarray | None) -> EmbeddedPhoto:
        file, photo = item.file, item.photo
        assert photo is not None
        new = NewPhoto(
            path=file.path,
            size=file.size,
            mtime_ns=file.mtime_ns,
            digest=photo.digest,
            width=photo.width,
            height=photo.height,
            note=photo.note,
            metadata=photo.metadata,
            perceptual_hash=photo.perceptual_hash,
        )
        return EmbeddedPhoto(new, vector, regions)


@dataclass(frozen=True, slots=True, eq=False)
class _EmbeddedBatch:
    """An embedded batch: (n, d) float32 vectors, (n, count, width) int8 regions or None, (n,) bool: may be stored."""

    vectors: np.ndarray
    regions: np.ndarray | None
    may_be_stored: np.ndarray


def _embed_pixels(pixels: np.ndarray, encoder: ImageEncoder, with_regions: bool) -> _EmbeddedBatch:
    """Embed (n, size, size, 3) uint8 RGB."""
    if not with_regions:
        vectors = encoder.encode(pixels)
        return _EmbeddedBatch(vectors, None, may_be_stored(vectors))
    vectors, regions = encoder.encode_with_regions(pixels)
    fine = may_be_stored(vectors) & np.isfinite(regions).all(axis=(1, 2))
    return _EmbeddedBatch(vectors, quantise_directions(regions), fine)
