"""Count the queries that run, so that what they need is closed when none does."""

from indexer.errors import PhotoseekError
from indexer.storage.fork_safe_lock import ForkSafeLock

CLOSED = "the searcher is closed; open another: Searcher(Index.open(folder))"


class RunningQueries:
    """The queries of a searcher that run, in any thread; after `close` no more begin."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._count, self._closed = 0, False

    def check_open(self) -> None:
        """Refuse whoever comes after `close`.

        Raises:
            PhotoseekError: It was called.
        """
        if self._closed:
            raise PhotoseekError(CLOSED)

    def begin(self) -> None:
        """Begin a query, which `end` ends.

        Raises:
            PhotoseekError: `close` was called.
        """
        with self._lock:
            self.check_open()
            self._count += 1

    def end(self) -> bool:
        """End a query, and return whether it was the last one after `close`."""
        with self._lock:
            self._count -= 1
            return self._closed and not self._count

    def close(self) -> bool:
        """Let no more queries begin, and return whether none runs; False if this was called before."""
        with self._lock:
            was_open, self._closed = not self._closed, True
            return was_open and not self._count
