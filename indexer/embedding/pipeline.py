"""From files to embeddings: files -> decode workers -> shared pixels -> encoder, a batch at a time -> rows, in order.

One thread leads: it hands files and slots of memory to the workers, full batches to the encoder, and results to its
caller. All three go on side by side; none waits for another but for lack of photos or of room.
"""

import os
import random
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue

import numpy as np

from indexer.embedding.slots import Slots
from indexer.encoders import ImageEncoder
from indexer.encoders.base import BATCH
from indexer.photos.decode import MAX_PIXELS, Fit, UnreadablePhoto
from indexer.photos.decode_pool import DecodeWorkers, Photo
from indexer.photos.scan import PhotoFile, Skipped
from indexer.storage.catalogue import Embedded
from indexer.storage.vector_files import check, directions

BLOCK = 64

# What became of a file: what it is, its (d,) float32 unit vector, None where its bytes were known, and its
# (count, width) int8 region vectors, None where they were not asked for; or why not.
Result = tuple[Embedded, np.ndarray | None, np.ndarray | None] | Skipped


@dataclass(frozen=True, slots=True)
class Decoding:
    """How files are decoded. `workers` None: one a core. `deadline`: seconds a photo may take before it is given up."""

    workers: int | None = None
    deadline: float = 60.0
    max_pixels: int = MAX_PIXELS


def embed_files(
    root: bytes,
    files: Iterable[PhotoFile],
    encoder: ImageEncoder,
    decoding: Decoding,
    is_known: Callable[[bytes], bool] = lambda digest: False,
    *,
    regions: bool = False,
) -> Generator[tuple[PhotoFile, Result]]:
    """Decode and embed files, with their region vectors if `regions`: yields (file, result), in their order.

    A file that breaks, hangs or kills its worker is skipped; its neighbours are not touched. A file whose digest
    `is_known`, as after a move, is not embedded again. Close the iterator to end the workers early.
    """
    with closing(_Pipeline(root, encoder, decoding, is_known, regions)) as pipeline:
        yield from pipeline.run(files)


def sample_pixels(root: bytes, files: Iterable[PhotoFile], fit: Fit, decoding: Decoding, count: int) -> np.ndarray:
    """Up to `count` of the files, decoded, leaving out those that break: (n, size, size, 3) uint8, drawn at random."""
    drawn = list(files)
    random.Random(0).shuffle(drawn)
    drawn = drawn[:count]
    found = []
    cores = decoding.workers if decoding.workers is not None else _cores()
    with closing(DecodeWorkers(cores, fit, decoding.max_pixels, decoding.deadline, slots=len(drawn))) as workers:
        futures = [workers.schedule(os.path.join(root, file.path), slot) for slot, file in enumerate(drawn)]
        for slot, future in enumerate(futures):
            with suppress(UnreadablePhoto):
                future.result()
                found.append(slot)
        return np.array(workers.pixels[found])


@dataclass(slots=True, eq=False)
class _Underway:
    """A file from when it is read until its result is taken."""

    file: PhotoFile
    photo: Photo | None = None
    result: Result | None = None


class _Pipeline:
    def __init__(
        self, root: bytes, encoder: ImageEncoder, decoding: Decoding, is_known: Callable[[bytes], bool], regions: bool
    ) -> None:
        self.root, self.encoder, self.is_known, self.regions = root, encoder, is_known, regions
        cores = decoding.workers if decoding.workers is not None else _cores()
        # Read ahead no further than this, so that memory stays bounded; many cores take more to be kept busy.
        self.ahead = 2 * BLOCK * max(1, cores // 8)
        batch = min(BATCH, BLOCK)
        self.slots = Slots(self.ahead // batch, batch)
        self.workers = DecodeWorkers(cores, encoder.fit, decoding.max_pixels, decoding.deadline, slots=len(self.slots))
        # One more than the cores: while its rows are put in order, the next batch runs.
        self.embedders = ThreadPoolExecutor(cores + 1)
        # What happened in other threads, for this one to act upon: the catalogue belongs to it.
        self.events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.by_slot: dict[int, _Underway] = {}
        self.decoding = self.embedding = 0

    def run(self, files: Iterable[PhotoFile]) -> Iterator[tuple[PhotoFile, Result]]:
        source = iter(files)
        underway: deque[_Underway] = deque()
        more = True
        while True:
            while more and len(underway) < self.ahead and len(self.slots):
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
            if not self.decoding and not (more and self.embedding):
                # Nothing comes that would fill them.
                for number in self.slots.waiting():
                    self._embed(number)
            self.events.get()()

    def close(self) -> None:
        self.workers.close()
        self.embedders.shutdown(cancel_futures=True)

    def _decode(self, file: PhotoFile) -> _Underway:
        item, slot = _Underway(file), self.slots.take()
        future = self.workers.schedule(os.path.join(self.root, file.path), slot)
        self.decoding += 1
        future.add_done_callback(lambda done: self.events.put(partial(self._decoded, item, slot, done)))
        return item

    def _decoded(self, item: _Underway, slot: int, future: "Future[Photo]") -> None:
        self.decoding -= 1
        try:
            item.photo = future.result()
        except UnreadablePhoto as error:
            item.result = Skipped(item.file.path, str(error))
        else:
            if self.is_known(item.photo.digest):
                item.result = self._result(item, None, None)
        if item.result is not None:
            self.slots.give_back(slot)
            return
        self.by_slot[slot] = item
        full = self.slots.fill(slot)
        if full is not None:
            self._embed(full)

    def _embed(self, number: int) -> None:
        slots = self.slots.start(number)
        first = number * self.slots.batch
        pixels = self.workers.pixels[first : slots[-1] + 1]
        future = self.embedders.submit(_embed, pixels, self.encoder, self.regions)
        self.embedding += 1
        rows = [slot - first for slot in slots]
        items = [self.by_slot.pop(slot) for slot in slots]
        future.add_done_callback(lambda done: self.events.put(partial(self._embedded, number, rows, items, done)))

    def _embedded(self, number: int, rows: list[int], items: list[_Underway], future: "Future[_Rows]") -> None:
        self.embedding -= 1
        self.slots.release(number)
        vectors, regions, fine = future.result()
        for row, item in zip(rows, items, strict=True):
            if fine[row]:
                item.result = self._result(item, vectors[row], None if regions is None else regions[row])
            else:
                reason = f"encoder {self.encoder.name} gave a vector of zeros, NaN or infinity"
                item.result = Skipped(item.file.path, reason)

    @staticmethod
    def _result(item: _Underway, vector: np.ndarray | None, regions: np.ndarray | None) -> Result:
        file, photo = item.file, item.photo
        assert photo is not None
        return (
            Embedded(file.path, file.size, file.mtime_ns, photo.digest, photo.width, photo.height),
            vector,
            regions,
        )


# Vectors, region vectors if asked for, and which of them may be stored.
_Rows = tuple[np.ndarray, np.ndarray | None, np.ndarray]


def _embed(pixels: np.ndarray, encoder: ImageEncoder, with_regions: bool) -> _Rows:
    if not with_regions:
        vectors = encoder.encode(pixels)
        return vectors, None, check(vectors)
    vectors, regions = encoder.encode_with_regions(pixels)
    fine = check(vectors) & np.isfinite(regions).all(axis=(1, 2))
    return vectors, directions(regions), fine


def _cores() -> int:
    """How many cores this process may run on, which in a container can be fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
