"""A lock for objects that several threads use, and that a process may carry into a child by fork."""

import os
import threading
import weakref
from types import TracebackType


class ForkSafeLock:
    """A re-entrant lock that is free in a forked child, whichever thread of the parent held it.

    A child has only the thread that forked. A plain lock that another thread held would stay locked there for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _LOCKS.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Begin with a free lock."""
        self._lock = threading.RLock()


_LOCKS: "weakref.WeakSet[ForkSafeLock]" = weakref.WeakSet()


def _renew_locks() -> None:
    for lock in _LOCKS:
        lock.renew()


if hasattr(os, "register_at_fork"):  # not where processes cannot fork
    os.register_at_fork(after_in_child=_renew_locks)
