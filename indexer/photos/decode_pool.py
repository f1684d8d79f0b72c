"""Decode in separate processes: path -> worker -> pixels in shared memory, or the reason why there are none.

A damaged file may hang its decoder or crash the whole process, so each photo is decoded in a process that can be lost.
A worker is a fresh Python that runs `serve` and nothing else: it does not import the caller's script and has none of
its threads, and it ends with the process that started it, also if that one is killed.
"""

import contextlib
import json
import mmap
import os
import queue
import signal
import subprocess
import sys
import tempfile
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import numpy as np

from indexer.errors import PhotoseekError
from indexer.photos.decode import UnreadablePhotoError, decode_photo
from indexer.photos.square_transform import SquareTransform

# What a worker runs; it gets Python's path and the arguments of `serve`.
START = (
    "import json, sys; sys.path = json.loads(sys.argv[1]); "
    "import indexer.photos.decode_pool as pool; pool.serve(*sys.argv[2:])"
)
# Seconds after its deadline after which a worker whose parent was killed in the meantime ends itself.
GRACE = 5.0
# Seconds to wait for a worker to end by itself, and after it is killed: one that waits for a network disk that does not
# answer cannot even be killed.
END_TIMEOUT, KILL_TIMEOUT = 0.5, 1.0


@dataclass(frozen=True, slots=True)
class PhotoInfo:
    """Properties of a decoded photo, other than its pixels; as in `decode.DecodedPhoto`."""

    digest: bytes
    width: int
    height: int


class DecodeWorkers:
    """A pool of decoding processes, each started when it is first needed. Close it at the end.

    `pixels`, (slots, size, size, 3) uint8 RGB, is memory that the workers share: each writes a photo directly into its
    slot. The memory has no name, so it is freed with the last process that has it, also if that one is killed.

    Args:
        count: Processes.
        transform: The square that each photo becomes.
        max_pixels: Photos of more pixels are refused.
        deadline: Seconds that a photo may take.
        slots: How many photos `pixels` holds.
    """

    def __init__(
        self, count: int, transform: SquareTransform, max_pixels: int, deadline: float, slots: int = 1
    ) -> None:
        size = transform.size
        self._job_settings = _JobSettings(transform, max_pixels, deadline)
        self._memory = _nameless_file(slots * size * size * 3)
        self.pixels = _map_pixels(self._memory, slots, size)
        self._workers = [_Worker(self._memory, slots, size) for _ in range(count)]
        self._threads = ThreadPoolExecutor(count)
        # Last in, first out: a handful of photos does not start a process per core.
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def schedule(self, path: bytes, slot: int = 0) -> "Future[PhotoInfo]":
        """Decode a file; its pixels are in a slot when the future is done, and nothing writes to the slot afterwards.

        Args:
            path: The file.
            slot: The slot, which no other file has.

        Returns:
            The future. It raises UnreadablePhotoError if the file gives no picture, takes too long or crashes, and
            PhotoseekError if no process can be started.
        """
        return self._threads.submit(self._decode, path, slot)

    def close(self) -> None:
        """End every process and cancel what was scheduled and not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown()
        for worker in self._workers:
            worker.stop()
        os.close(self._memory)

    def _decode(self, path: bytes, slot: int) -> PhotoInfo:
        worker = self._idle.get()
        try:
            return worker.decode(path, slot, self._job_settings)
        finally:
            self._idle.put(worker)


@dataclass(frozen=True, slots=True)
class _JobSettings:
    """Settings that all files of a pool have in common."""

    transform: SquareTransform
    max_pixels: int
    deadline: float


class _Worker:
    """Handle of one decoding process; used by one thread at a time."""

    def __init__(self, memory: int, slots: int, size: int) -> None:
        self._memory, self._shape = memory, (slots, size)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def decode(self, path: bytes, slot: int, settings: _JobSettings) -> PhotoInfo:
        """Decode a file into a slot, in the process, which is started if there is none."""
        connection = self._connection or self._start()
        try:
            connection.send((path, slot, settings.transform, settings.max_pixels, settings.deadline + GRACE))
            in_time = connection.poll(settings.deadline)
            answer = connection.recv() if in_time else None
        except (EOFError, OSError):
            raise UnreadablePhotoError(f"decoding killed its process (exit code {self.stop()})") from None
        if not in_time:
            self.stop()
            raise UnreadablePhotoError(
                f"decoding took over {settings.deadline:g} s and was ended (--deadline changes it)"
            )
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, PhotoInfo)
        return answer

    def kill(self) -> None:
        """Kill the process, from another thread; a thread that waits for its answer sees the connection end."""
        if self._process is not None:
            self._process.kill()

    def stop(self) -> int | None:
        """End the process, if there is one; return its exit code, None if there was none or it cannot be killed."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if connection is not None:
            connection.close()
        if process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(END_TIMEOUT)  # it goes by itself when the connection ends, unless it hangs
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(KILL_TIMEOUT)
        return None

    def _start(self) -> Connection:
        """Start the process and wait until it is up."""
        ours, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", START, json.dumps(sys.path)]
                + [str(number) for number in (theirs.fileno(), self._memory, *self._shape)],
                pass_fds=[theirs.fileno(), self._memory],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the process that talks to the user
            )
        self._connection = ours
        try:
            ours.recv()  # it is up; only from now on does the time count
        except (EOFError, OSError):
            raise PhotoseekError(f"a decoding process could not be started (exit code {self.stop()})") from None
        return ours


def serve(*descriptors_and_shape: str) -> None:
    """Run a worker: decode each file that is asked for into its slot, until the connection ends.

    Args:
        descriptors_and_shape: Descriptors of the connection and of the shared memory, how many slots that has, and the
            side of a photo.
    """
    descriptor, memory, slots, size = map(int, descriptors_and_shape)
    connection = Connection(descriptor)
    pixels = _map_pixels(memory, slots, size)
    # libtiff and LibRaw print warnings on stderr, which would disturb the user's progress bar.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with contextlib.suppress(EOFError, OSError):
        connection.send(None)
        while True:
            path, slot, transform, max_pixels, limit = connection.recv()
            signal.setitimer(signal.ITIMER_REAL, limit)
            answer: PhotoInfo | Exception
            try:
                decoded = decode_photo(path, transform, max_pixels)
                pixels[slot] = decoded.pixels
                answer = PhotoInfo(decoded.digest, decoded.width, decoded.height)
            except Exception as error:
                answer = error
                if not isinstance(error, UnreadablePhotoError):
                    error.add_note("in a decoding process:\n" + traceback.format_exc())
            signal.setitimer(signal.ITIMER_REAL, 0)
            connection.send(answer)


def _nameless_file(size: int) -> int:
    """Return the descriptor of `size` bytes that no other process can find and nothing needs to clean up."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("photoseek")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor


def _map_pixels(memory: int, slots: int, size: int) -> np.ndarray:
    """Map shared memory as (slots, size, size, 3) uint8."""
    return np.frombuffer(mmap.mmap(memory, slots * size * size * 3), np.uint8).reshape(slots, size, size, 3)
