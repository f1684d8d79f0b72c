"""Digests of files that need not be decoded: those of moved, copied and merely touched photos."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

NO_DIGESTS = np.zeros(0, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class KnownDigests:
    """Digests that an index has rows for, in two sieves.

    A decoding process reads a file, compares its digest with the coarse sieve, and decodes the photo only if it is not
    in it. The fine one, which may read the catalogue, decides on the others.

    Attributes:
        is_known: The fine sieve: says of a digest, 16 bytes, whether its file need not be embedded.
        beginnings: The coarse sieve: first 8 bytes of the digests as big-endian numbers, (n,) uint64, sorted. One that
            is missing costs the decoding of its file only.
    """

    is_known: Callable[[bytes], bool] = lambda digest: False
    beginnings: np.ndarray = field(default_factory=lambda: NO_DIGESTS)


def may_be_known(beginnings: np.ndarray, digest: bytes) -> bool:
    """Return whether a digest passes the coarse sieve.

    Args:
        beginnings: (n,) uint64, sorted, as in `KnownDigests`.
        digest: 16 bytes.
    """
    wanted = np.uint64(int.from_bytes(digest[:8], "big"))
    place = int(np.searchsorted(beginnings, wanted))
    return place < len(beginnings) and bool(beginnings[place] == wanted)
