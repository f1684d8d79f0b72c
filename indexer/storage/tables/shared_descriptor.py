"""Read the bytes of a file that SQLite has open in this process.

Whoever closes any descriptor of a file drops all locks that the process holds on it, those of SQLite among them
(https://www.sqlite.org/howtocorrupt.html, section 2.2). So a process has one descriptor of such a file beside SQLite's
own, and closes it after the last of its connections.
"""

import os
import weakref
from dataclasses import dataclass
from pathlib import Path

from indexer.storage.fork_safe_lock import ForkSafeLock

# Device and inode of a file.
_Identity = tuple[int, int]


@dataclass(slots=True)
class _Shared:
    """A descriptor, and how many have it."""

    descriptor: int
    users: int = 0


_LOCK = ForkSafeLock()
_OPEN: dict[_Identity, _Shared] = {}


class SharedDescriptor:
    """A descriptor for reading a file, shared with all of this process that have the file open.

    Args:
        path: The file.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        info = os.stat(path)
        identity = info.st_dev, info.st_ino
        with _LOCK:
            shared = _OPEN.get(identity)
            if shared is None:
                shared = _OPEN[identity] = _Shared(os.open(path, os.O_RDONLY))
            shared.users += 1
        self.descriptor = shared.descriptor
        self._close = weakref.finalize(self, _leave, identity)
        # At the end of the process connections may still be open.
        self._close.atexit = False

    @property
    def is_open(self) -> bool:
        """Whether it was not closed."""
        return self._close.alive

    def close(self) -> None:
        """Leave the descriptor, which is closed when nobody has it any more."""
        self._close()


def _leave(identity: _Identity) -> None:
    with _LOCK:
        shared = _OPEN[identity]
        shared.users -= 1
        if not shared.users:
            del _OPEN[identity]
            os.close(shared.descriptor)
