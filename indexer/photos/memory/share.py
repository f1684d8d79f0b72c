"""Share the memory of the machine among decoding processes: huge photos wait for each other, all others do not."""

import os
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Bytes that every process may take for a photo without asking: nearly all photos need less.
WITHOUT_ASKING = 128_000_000
# Share of the machine's memory for photos that need more, all together.
SHARED = 0.25
# Limit of a container (cgroup v2), a number of bytes or "max".
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def shared_bytes() -> int:
    """Return how many bytes the photos that need more than `WITHOUT_ASKING` may take together."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):
        memory = min(memory, int(CONTAINER_LIMIT.read_text()))
    return int(SHARED * memory)


class MemoryShare:
    """A number of bytes that threads take parts of; one that wants more than is left waits.

    Args:
        total: Bytes in all.
    """

    def __init__(self, total: int) -> None:
        self._total, self._taken = total, 0
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, wanted: int) -> Iterator[None]:
        """Hold so many bytes; more than there are in all are had when no other thread holds any.

        Args:
            wanted: Bytes; 0 never waits.
        """
        with self._changed:
            self._changed.wait_for(lambda: not wanted or not self._taken or self._taken + wanted <= self._total)
            self._taken += wanted
        try:
            yield
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()


def limit_growth(most: int) -> None:
    """Have the system refuse this process more memory than it has now and so many bytes; on Linux only.

    A decoder that is told so raises MemoryError or says that it failed; it would fill the machine's memory otherwise.

    Args:
        most: Bytes.
    """
    if sys.platform == "linux":
        # Seven numbers of pages, of which the sixth counts data and stacks.
        now = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = now + most
        resource.setrlimit(
            resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
