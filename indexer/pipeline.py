"""From files to embeddings: files -> decode workers (with a deadline) -> encoder -> embedded or skipped, in order."""

import concurrent.futures
import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from pebble import ProcessExpired, ProcessPool

from indexer.catalogue import Embedded
from indexer.decode import MAX_PIXELS, Decoded, Fit, UnreadablePhoto, load
from indexer.embeddings import check
from indexer.encoders import ImageEncoder
from indexer.photos import PhotoFile, Skipped

BLOCK = 64


@dataclass(frozen=True, slots=True)
class Decoding:
    """How files are decoded. `workers` None: one a core. `deadline`: seconds a photo may take before it is given up."""

    workers: int | None = None
    deadline: float = 60.0
    max_pixels: int = MAX_PIXELS


def embed_files(
    root: bytes, files: Iterable[PhotoFile], encoder: ImageEncoder, decoding: Decoding
) -> Iterator[tuple[PhotoFile, tuple[Embedded, np.ndarray] | Skipped]]:
    """Decode and embed files: yields (file, (what it is, its (d,) float32 unit vector) or why it was skipped).

    Order is kept. A file that breaks, hangs or kills its worker is skipped; its neighbours are not touched.
    """
    block: list[tuple[PhotoFile, Decoded | Skipped]] = []
    for item in _decode_all(root, files, encoder.fit, decoding):
        block.append(item)
        if len(block) == BLOCK:
            yield from _embed_block(block, encoder)
            block = []
    if block:
        yield from _embed_block(block, encoder)


def _embed_block(
    block: list[tuple[PhotoFile, Decoded | Skipped]], encoder: ImageEncoder
) -> Iterator[tuple[PhotoFile, tuple[Embedded, np.ndarray] | Skipped]]:
    pixels = [decoded.pixels for _, decoded in block if isinstance(decoded, Decoded)]
    vectors = encoder.encode(np.stack(pixels)) if pixels else np.zeros((0, encoder.dim), np.float32)
    usable = iter(zip(vectors, check(vectors), strict=True))
    for file, decoded in block:
        if isinstance(decoded, Skipped):
            yield file, decoded
            continue
        vector, fine = next(usable)
        if fine:
            photo = Embedded(file.path, file.size, file.mtime_ns, decoded.digest, decoded.width, decoded.height)
            yield file, (photo, vector)
        else:
            yield file, Skipped(file.path, f"encoder {encoder.name} gave a vector of zeros, NaN or infinity")


def _decode_all(
    root: bytes, files: Iterable[PhotoFile], fit: Fit, decoding: Decoding
) -> Iterator[tuple[PhotoFile, Decoded | Skipped]]:
    workers = decoding.workers if decoding.workers is not None else os.cpu_count() or 1
    # A fork of a process that runs OpenVINO's threads may deadlock; the fork server starts from a clean one.
    context = multiprocessing.get_context("forkserver")
    with ProcessPool(workers, context=context) as pool:
        waiting: deque[tuple[PhotoFile, concurrent.futures.Future[Decoded]]] = deque()
        try:
            for file in files:
                path = os.path.join(root, file.path)
                future = pool.schedule(load, (path, fit, decoding.max_pixels), timeout=decoding.deadline)
                waiting.append((file, future))
                # Decode one block ahead of the encoder and no more, so that memory stays bounded.
                if len(waiting) >= 2 * BLOCK:
                    yield _result(*waiting.popleft(), decoding.deadline)
            while waiting:
                yield _result(*waiting.popleft(), decoding.deadline)
        except BaseException:
            pool.stop()
            raise


def _result(
    file: PhotoFile, future: "concurrent.futures.Future[Decoded]", deadline: float
) -> tuple[PhotoFile, Decoded | Skipped]:
    try:
        return file, future.result()
    except UnreadablePhoto as error:
        return file, Skipped(file.path, str(error))
    except concurrent.futures.TimeoutError:
        return file, Skipped(file.path, f"decoding took over {deadline:g} s and was ended (--deadline changes it)")
    except ProcessExpired as error:
        return file, Skipped(file.path, f"decoding killed its process (exit code {error.exitcode})")
