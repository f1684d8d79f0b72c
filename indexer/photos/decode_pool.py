"""Decode in separate processes: path -> worker -> pixels in shared memory, or the reason why there are none.

A damaged file may hang its decoder or crash the whole process, so each photo is decoded in a process that can be lost.
A worker is a fresh Python that runs `serve` and nothing else: it does not import the caller's script and has none of
its threads, and it ends with the process that started it, also if that one is killed.
"""

import contextlib
import mmap
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import numpy as np

from indexer.child_process import fill_standard_descriptors, python_command
from indexer.errors import PhotoseekError
from indexer.photos.decode import UnreadablePhotoError, decode_read, read_photo
from indexer.photos.decoding.limits import MoreMemoryError, memory_budget, out_of_memory
from indexer.photos.known_digests import NO_DIGESTS, may_be_known
from indexer.photos.memory.share import WITHOUT_ASKING, MemoryShare, limit_growth, shared_bytes
from indexer.photos.metadata.reading import read_metadata
from indexer.photos.metadata.record import PhotoMetadata
from indexer.photos.perceptual_hash import perceptual_hash
from indexer.photos.retry import ALWAYS, OTHER_DECODER, with_seconds
from indexer.photos.square_transform import SquareTransform

# What a worker runs; it gets the arguments of `serve`.
START = "import indexer.photos.decode_pool as pool; pool.serve(*sys.argv[1:])"
# Seconds after its deadline after which a worker whose parent was killed in the meantime ends itself.
GRACE = 5.0
# Seconds to wait for a worker to end by itself, and after it is killed: one that waits for a network disk that does not
# answer cannot even be killed.
END_TIMEOUT, KILL_TIMEOUT = 0.5, 1.0
# For glibc's malloc in a worker, which else gives memory back to the system after every photo and asks for it again: up
# to 64 MB stay with the worker, and only pieces over 32 MB go back at once.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(64 << 20), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}


@dataclass(frozen=True, slots=True)
class PhotoInfo:
    """Properties of a photo, other than its pixels; as in `DecodedPhoto`, with its metadata and its perceptual hash.

    `is_decoded`: False for one whose digest may be known, so that it was only read; its width and height are 0 then,
    and it has no perceptual hash.
    """

    digest: bytes
    width: int
    height: int
    note: str | None = None
    metadata: PhotoMetadata | None = None
    perceptual_hash: bytes | None = None
    is_decoded: bool = True


@dataclass(frozen=True, slots=True)
class SlowestFile:
    """The file that took longest so far, with its seconds."""

    path: bytes
    seconds: float


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
        beginnings: Beginnings of digests that are known, (n,) uint64, sorted, as in `KnownDigests`.
    """

    def __init__(
        self,
        count: int,
        transform: SquareTransform,
        max_pixels: int,
        deadline: float,
        slots: int = 1,
        beginnings: np.ndarray = NO_DIGESTS,
    ) -> None:
        self._job_settings = _JobSettings(transform, max_pixels, deadline)
        layout = _Layout(len(beginnings), slots, transform.size)
        fill_standard_descriptors()
        self._memory = _nameless_file(layout.bytes)
        shared_beginnings, is_read, self.pixels = layout.map(self._memory)
        shared_beginnings[:] = beginnings
        self.slowest = SlowestFile(b"", 0.0)
        self._slowest_lock = threading.Lock()
        self._workers = [_Worker(self._memory, layout, is_read) for _ in range(count)]
        self._threads = ThreadPoolExecutor(count)
        # Last in, first out: a handful of photos does not start a process per core.
        self._memory_share = MemoryShare(shared_bytes())
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def schedule(self, path: bytes, slot: int = 0, *, known_too: bool = False) -> "Future[PhotoInfo]":
        """Decode a file; its pixels are in a slot when the future is done, and nothing writes to the slot afterwards.

        Args:
            path: The file.
            slot: The slot, which no other file has.
            known_too: Whether a file whose digest may be known is decoded, too.

        Returns:
            The future. It raises UnreadablePhotoError if the file gives no picture, takes too long or crashes, and
            PhotoseekError if no process can be started.
        """
        return self._threads.submit(self._decode, path, slot, known_too)

    def close(self) -> None:
        """End every process and cancel what was scheduled and not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown()
        for worker in self._workers:
            worker.stop()
        os.close(self._memory)

    def _decode(self, path: bytes, slot: int, known_too: bool) -> PhotoInfo:
        worker = self._idle.get()
        job = _Job(path, slot, known_too)
        try:
            while True:
                # A process that waits for memory holds none, so that no two wait for each other.
                with self._memory_share.taken(job.memory if job.memory > WITHOUT_ASKING else 0):
                    try:
                        return self._decode_timed(worker, job)
                    except MoreMemoryError as error:
                        job = replace(job, memory=error.needed)
        finally:
            self._idle.put(worker)

    def _decode_timed(self, worker: "_Worker", job: "_Job") -> PhotoInfo:
        begin = time.monotonic()
        try:
            return worker.decode(job, self._job_settings)
        finally:
            seconds = time.monotonic() - begin
            with self._slowest_lock:
                if seconds > self.slowest.seconds:
                    self.slowest = SlowestFile(job.path, seconds)


@dataclass(frozen=True, slots=True)
class _Job:
    """A file to decode into a slot, with the bytes of memory that this may take; as `DecodeWorkers.schedule` has it."""

    path: bytes
    slot: int
    known_too: bool
    memory: int = WITHOUT_ASKING


@dataclass(frozen=True, slots=True)
class _JobSettings:
    """Settings that all files of a pool have in common."""

    transform: SquareTransform
    max_pixels: int
    deadline: float


@dataclass(frozen=True, slots=True)
class _Layout:
    """Layout of the shared memory: beginnings of digests, then for every slot whether its file is read, then pixels.

    `beginnings`: how many; `slots`: how many; `size`: side of a photo.
    """

    beginnings: int
    slots: int
    size: int

    @property
    def bytes(self) -> int:
        return 8 * self.beginnings + self.slots * (1 + self.size * self.size * 3)

    def map(self, memory: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Map the memory: (beginnings,) uint64, (slots,) bool and (slots, size, size, 3) uint8."""
        mapped = mmap.mmap(memory, self.bytes)
        behind = 8 * self.beginnings
        beginnings = np.frombuffer(mapped, np.uint64, self.beginnings)
        is_read = np.frombuffer(mapped, np.bool_, self.slots, behind)
        pixels = np.frombuffer(mapped, np.uint8, offset=behind + self.slots)
        return beginnings, is_read, pixels.reshape(self.slots, self.size, self.size, 3)


class _Worker:
    """Handle of one decoding process; used by one thread at a time."""

    def __init__(self, memory: int, layout: _Layout, is_read: np.ndarray) -> None:
        self._memory, self._layout, self._is_read = memory, layout, is_read
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def decode(self, job: _Job, settings: _JobSettings) -> PhotoInfo:
        """Decode a file into a slot, in the process, which is started if there is none."""
        connection = self._connection or self._start()
        try:
            connection.send((job, settings))
            in_time = connection.poll(settings.deadline)
            answer = connection.recv() if in_time else None
        except (EOFError, OSError):
            code = self.stop()
            # The system kills a process that takes too much memory, which is not always the photo's fault.
            retry = ALWAYS if code in (None, -signal.SIGKILL) else OTHER_DECODER
            raise UnreadablePhotoError(f"decoding killed its process (exit code {code})", retry) from None
        if not in_time:
            self.stop()
            if not self._is_read[job.slot]:
                raise UnreadablePhotoError(
                    f"reading took over {settings.deadline:g} s and was ended (--deadline changes it)", ALWAYS
                )
            raise UnreadablePhotoError(
                f"decoding took over {settings.deadline:g} s and was ended (--deadline changes it)",
                with_seconds(settings.deadline),
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
                python_command(START, theirs.fileno(), self._memory, *astuple(self._layout)),
                pass_fds=[theirs.fileno(), self._memory],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the process that talks to the user
                env={**os.environ, **KEEP_MEMORY},
            )
        self._connection = ours
        try:
            ours.recv()  # it is up; only from now on does the time count
        except (EOFError, OSError):
            raise PhotoseekError(f"a decoding process could not be started (exit code {self.stop()})") from None
        return ours


def serve(*descriptors_and_layout: str) -> None:
    """Run a worker: decode each file that is asked for into its slot, until the connection ends.

    Args:
        descriptors_and_layout: Descriptors of the connection and of the shared memory, and the values of its `_Layout`.
    """
    descriptor, memory, *layout = map(int, descriptors_and_layout)
    connection = Connection(descriptor)
    beginnings, is_read, pixels = _Layout(*layout).map(memory)
    # libtiff and LibRaw print warnings on stderr, which would disturb the user's progress bar.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with contextlib.suppress(EOFError, OSError):
        connection.send(None)
        while True:
            job, settings = connection.recv()
            signal.setitimer(signal.ITIMER_REAL, settings.deadline + GRACE)
            limit_growth(memory_budget(settings.max_pixels))
            answer: PhotoInfo | Exception
            try:
                answer = _answer(job, settings, beginnings, is_read, pixels)
            # A new error: the one that was caught holds the pixels of its photo, by its traceback.
            except UnreadablePhotoError as error:
                answer = UnreadablePhotoError(str(error), error.retry)
            except MoreMemoryError as error:
                answer = MoreMemoryError(error.needed)
            except MemoryError:
                answer = out_of_memory(settings.max_pixels)
            except Exception as error:
                answer = error
                error.add_note("in a decoding process:\n" + traceback.format_exc())
            signal.setitimer(signal.ITIMER_REAL, 0)
            connection.send(answer)


def _answer(
    job: _Job, settings: _JobSettings, beginnings: np.ndarray, is_read: np.ndarray, pixels: np.ndarray
) -> PhotoInfo:
    """Read a file and decode it into its slot, unless its digest may be known."""
    is_read[job.slot] = False
    read = read_photo(job.path, settings.max_pixels)
    is_read[job.slot] = True
    if not job.known_too and may_be_known(beginnings, read.digest):
        return PhotoInfo(read.digest, 0, 0, metadata=read_metadata(job.path), is_decoded=False)
    decoded = decode_read(read, settings.transform, settings.max_pixels, job.memory)
    pixels[job.slot] = decoded.pixels
    found = (decoded.note, read_metadata(job.path), perceptual_hash(decoded.pixels))
    return PhotoInfo(decoded.digest, decoded.width, decoded.height, *found)


def _nameless_file(size: int) -> int:
    """Return the descriptor of `size` bytes that no other process can find and nothing needs to clean up."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("photoseek")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
