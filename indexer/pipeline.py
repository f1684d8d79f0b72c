"""From files to embeddings: files -> decode workers (with a deadline) -> encoder -> embedded or skipped, in order."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from indexer.catalogue import Embedded
from indexer.decode import MAX_PIXELS, Decoded, Fit, UnreadablePhoto
from indexer.embeddings import check, directions
from indexer.encoders import ImageEncoder
from indexer.photos import PhotoFile, Skipped
from indexer.workers import DecodeWorkers

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
    block: list[tuple[PhotoFile, Decoded | Skipped]] = []
    with closing(_decode_all(root, files, encoder.fit, decoding)) as decoded:
        for item in decoded:
            block.append(item)
            if len(block) == BLOCK:
                yield from _embed_block(block, encoder, is_known, regions)
                block = []
    yield from _embed_block(block, encoder, is_known, regions)


def _embed_block(
    block: list[tuple[PhotoFile, Decoded | Skipped]],
    encoder: ImageEncoder,
    is_known: Callable[[bytes], bool],
    with_regions: bool,
) -> Iterator[tuple[PhotoFile, Result]]:
    decoded = [photo for _, photo in block if isinstance(photo, Decoded)]
    known = {photo.digest for photo in decoded if is_known(photo.digest)}
    pixels = [photo.pixels for photo in decoded if photo.digest not in known]
    embedded = _embed(np.stack(pixels), encoder, with_regions) if pixels else iter(())
    for file, photo in block:
        if isinstance(photo, Skipped):
            yield file, photo
            continue
        entry = Embedded(file.path, file.size, file.mtime_ns, photo.digest, photo.width, photo.height)
        if photo.digest in known:
            yield file, (entry, None, None)
            continue
        vector, regions, fine = next(embedded)
        if fine:
            yield file, (entry, vector, regions)
        else:
            yield file, Skipped(file.path, f"encoder {encoder.name} gave a vector of zeros, NaN or infinity")


def _embed(
    pixels: np.ndarray, encoder: ImageEncoder, with_regions: bool
) -> Iterator[tuple[np.ndarray, np.ndarray | None, bool]]:
    """A photo's vector, its region vectors if asked for, and whether they may be stored."""
    if not with_regions:
        vectors = encoder.encode(pixels)
        return zip(vectors, [None] * len(vectors), check(vectors), strict=True)
    vectors, regions = encoder.encode_with_regions(pixels)
    fine = check(vectors) & np.isfinite(regions).all(axis=(1, 2))
    return zip(vectors, directions(regions), fine, strict=True)


def _decode_all(
    root: bytes, files: Iterable[PhotoFile], fit: Fit, decoding: Decoding
) -> Generator[tuple[PhotoFile, Decoded | Skipped]]:
    count = decoding.workers if decoding.workers is not None else _cores()
    waiting: deque[tuple[PhotoFile, Future[Decoded]]] = deque()
    with closing(DecodeWorkers(count, fit, decoding.max_pixels, decoding.deadline)) as workers:
        for file in files:
            waiting.append((file, workers.schedule(os.path.join(root, file.path))))
            # Decode one block ahead of the encoder and no more, so that memory stays bounded.
            if len(waiting) == 2 * BLOCK:
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())


def _result(file: PhotoFile, future: "Future[Decoded]") -> tuple[PhotoFile, Decoded | Skipped]:
    try:
        return file, future.result()
    except UnreadablePhoto as error:
        return file, Skipped(file.path, str(error))


def _cores() -> int:
    """How many cores this process may run on, which in a container can be fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
