"""Decoding in processes of their own: path -> worker -> decoded photo, or the reason why there is none.

A damaged file may hang its decoder or take the whole process down, so each photo is decoded where that costs nothing
but the photo. A worker is a fresh Python that runs `serve` and nothing else: neither the caller's script nor its
threads are in it, and it ends when the process that started it does, however that ends.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from indexer.decode import Decoded, Fit, UnreadablePhoto, load
from indexer.errors import PhotoseekError

START = "import json, sys; sys.path = json.loads(sys.argv[1]); import indexer.workers as w; w.serve(int(sys.argv[2]))"
# How long after its deadline a worker whose parent was killed in the meantime ends itself.
GRACE = 5.0


class DecodeWorkers:
    """A pool of decoding processes, each started when there is first something for it to do. Close it at the end."""

    def __init__(self, count: int, fit: Fit, max_pixels: int, deadline: float) -> None:
        self.fit, self.max_pixels, self.deadline = fit, max_pixels, deadline
        self._workers = [_Worker() for _ in range(count)]
        self._threads = ThreadPoolExecutor(count)
        # Last in, first out: a handful of photos does not start a process a core.
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def schedule(self, path: bytes) -> "Future[Decoded]":
        """What `decode.load` gives, or raises, for a file; UnreadablePhoto also if it takes too long or crashes."""
        return self._threads.submit(self._load, path)

    def close(self) -> None:
        """End every process; what was scheduled and not begun is cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown()
        for worker in self._workers:
            worker.stop()

    def _load(self, path: bytes) -> Decoded:
        worker = self._idle.get()
        try:
            return worker.load(path, self.fit, self.max_pixels, self.deadline)
        finally:
            self._idle.put(worker)


class _Worker:
    """One decoding process, seen from outside; used by one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def load(self, path: bytes, fit: Fit, max_pixels: int, deadline: float) -> Decoded:
        connection = self._connection or self._start()
        try:
            connection.send((path, fit, max_pixels, deadline + GRACE))
            in_time = connection.poll(deadline)
            answer = connection.recv() if in_time else None
        except (EOFError, OSError):
            raise UnreadablePhoto(f"decoding killed its process (exit code {self.stop()})") from None
        if not in_time:
            self.stop()
            raise UnreadablePhoto(f"decoding took over {deadline:g} s and was ended (--deadline changes it)")
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Decoded)
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
                [sys.executable, "-c", START, json.dumps(sys.path), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
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


def serve(descriptor: int) -> None:
    """The life of a worker: decode what comes until the connection ends."""
    connection = Connection(descriptor)
    # libtiff and LibRaw print what they find odd; to the user it would be noise between the lines.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with contextlib.suppress(EOFError, OSError):
        connection.send(None)
        while True:
            path, fit, max_pixels, limit = connection.recv()
            signal.setitimer(signal.ITIMER_REAL, limit)
            answer: Decoded | Exception
            try:
                answer = load(path, fit, max_pixels)
            except Exception as error:
                answer = error
                if not isinstance(error, UnreadablePhoto):
                    error.add_note("in a decoding process:\n" + traceback.format_exc())
            signal.setitimer(signal.ITIMER_REAL, 0)
            connection.send(answer)
