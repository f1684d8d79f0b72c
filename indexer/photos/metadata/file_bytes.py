"""Read parts of an open file as if it were bytes, so that the metadata of a large photo costs a few reads."""

import os
from typing import Protocol

# The first bytes of a file, which hold the metadata of most, are read once.
HEAD = 1 << 16
# Bytes of one part at most: a block of metadata has no more, whatever its size claims.
LONGEST_PART = 1 << 24


class ByteParts(Protocol):
    """Bytes, or whatever gives parts of them."""

    def __len__(self) -> int:
        """Return how many bytes there are."""
        ...

    def __getitem__(self, part: slice, /) -> bytes:
        """Return a part, cut off where the bytes end."""
        ...


class OpenFileParts:
    """The bytes of an open file, read when a part is asked for.

    Args:
        descriptor: The open file; it stays the caller's to close.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._head = os.pread(descriptor, HEAD, 0)

    def __len__(self) -> int:
        """Return the size of the file."""
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        """Return a part, cut off where the file ends and after `LONGEST_PART`."""
        start, stop, _ = part.indices(self._size)
        if stop <= len(self._head):
            return self._head[start:stop]
        return os.pread(self._descriptor, min(max(0, stop - start), LONGEST_PART), start)
