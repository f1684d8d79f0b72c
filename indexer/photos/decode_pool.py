"""Decoding in processes of their own: path -> worker -> pixels in shared memory, or the reason why there are none.

A damaged file may hang its decoder or take the whole process down, so each photo is decoded where that costs nothing
but the photo. A worker is a fresh Python that runs `serve` and nothing else: neither the caller's script nor its
threads are in it, and it ends when the process that started it does, however that ends.
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
from indexer.photos.decode import Fit, UnreadablePhoto, load

START = (
    "import json, sys; sys.path = json.loads(sys.argv[1]); "
    "import indexer.photos.decode_pool as pool; pool.serve(*sys.argv[2:])"
)
# How long after its deadline a worker whose parent was killed in the meantime ends itself.
GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Photo:
    """What is known of a decoded photo beside its pixels; as `decode.Decoded`."""

    digest: bytes
    width: int
    height: int


class DecodeWorkers:
    """A pool of decoding processes, each started when there is first something for it to do. Close it at the end.

    `pixels`: (slots, size, size, 3) uint8, memory that the workers share: each writes a photo right into its slot. The
    memory has no name, so it goes with the last process that has it, however that ends.
    """

    def __init__(self, count: int, fit: Fit, max_pixels: int, deadline: float, slots: int = 1) -> None:
        self.fit, self.max_pixels, self.deadline = fit, max_pixels, deadline
        self._memory = _nameless_file(slots * fit.size * fit.size * 3)
        self.pixels = _mapped(self._memory, slots, fit.size)
        self._workers = [_Worker(self._memory, slots, fit.size) for _ in range(count)]
        self._threads = ThreadPoolExecutor(count)
        # Last in, first out: a handful of photos does not start a process a core.
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def schedule(self, path: bytes, slot: int = 0) -> "Future[Photo]":
        """Decode a file as `decode.load` does; its pixels are in `slot` when the future is done.

        It raises what `load` raises, and UnreadablePhoto also if that takes too long or crashes. Nothing writes to the
        slot afterwards.
        """
        return self._threads.submit(self._load, path, slot)

    def close(self) -> None:
        """End every process; what was scheduled and not begun is cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown()
        for worker in self._workers:
            worker.stop()
        os.close(self._memory)

    def _load(self, path: bytes, slot: int) -> Photo:
        worker = self._idle.get()
        try:
            return worker.load(path, slot, self.fit, self.max_pixels, self.deadline)
        finally:
            self._idle.put(worker)


class _Worker:
    """One decoding process, seen from outside; used by one thread at a time."""

    def __init__(self, memory: int, slots: int, size: int) -> None:
        self._memory, self._shape = memory, (slots, size)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def load(self, path: bytes, slot: int, fit: Fit, max_pixels: int, deadline: float) -> Photo:
        connection = self._connection or self._start()
        try:
            connection.send((path, slot, fit, max_pixels, deadline + GRACE))
            in_time = connection.poll(deadline)
            answer = connection.recv() if in_time else None
        except (EOFError, OSError):
            raise UnreadablePhoto(f"decoding killed its process (exit code {self.stop()})") from None
        if not in_time:
            self.stop()
            raise UnreadablePhoto(f"decoding took over {deadline:g} s and was ended (--deadline changes it)")
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Photo)
        return answer

    def kill(self) -> None:
        """From another thread; whoever waits for an answer gets the end of the connection instead."""
        if self._process is not None:
            self._process.kill()

    def stop(self) -> int | None:
        """End the process, if there is one, and forget it; its exit code, which is its own if it had ended already."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if connection is not None:
            connection.close()
        if process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(0.5)  # it goes by itself when the connection ends, unless it hangs
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(1)  # one that waits for a dead network disk cannot even be killed
        return None

    def _start(self) -> Connection:
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
    """The life of a worker: decode what comes into the slot that it is given, until the connection ends.

    It is told the descriptors of its connection and of the shared memory, how many slots that has, and their size.
    """
    descriptor, memory, slots, size = map(int, descriptors_and_shape)
    connection = Connection(descriptor)
    pixels = _mapped(memory, slots, size)
    # libtiff and LibRaw print what they find odd; to the user it would be noise between the lines.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with contextlib.suppress(EOFError, OSError):
        connection.send(None)
        while True:
            path, slot, fit, max_pixels, limit = connection.recv()
            signal.setitimer(signal.ITIMER_REAL, limit)
            answer: Photo | Exception
            try:
                decoded = load(path, fit, max_pixels)
                pixels[slot] = decoded.pixels
                answer = Photo(decoded.digest, decoded.width, decoded.height)
            except Exception as error:
                answer = error
                if not isinstance(error, UnreadablePhoto):
                    error.add_note("in a decoding process:\n" + traceback.format_exc())
            signal.setitimer(signal.ITIMER_REAL, 0)
            connection.send(answer)


def _nameless_file(size: int) -> int:
    """The descriptor of `size` bytes that no other process can find and nothing needs to clean up."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("photoseek")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor


def _mapped(memory: int, slots: int, size: int) -> np.ndarray:
    return np.frombuffer(mmap.mmap(memory, slots * size * size * 3), np.uint8).reshape(slots, size, size, 3)
