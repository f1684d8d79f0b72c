import numpy as np
import pytest

from indexer.photos.known_digests import KnownDigests, may_be_known


def digest(first: int) -> bytes:
    return first.to_bytes(8, "big") + bytes(range(8))


@pytest.mark.parametrize("known", [[], [5], [0, 5, 2**63, 2**64 - 1]])
def test_the_coarse_sieve_holds_back_whatever_begins_otherwise(known):
    beginnings = np.array(known, np.uint64)
    for first in (0, 1, 4, 5, 6, 2**63, 2**64 - 2, 2**64 - 1):
        assert may_be_known(beginnings, digest(first)) is (first in known)


def test_by_default_nothing_is_known():
    nothing = KnownDigests()
    assert not may_be_known(nothing.beginnings, digest(0))
    assert not nothing.is_known(digest(0))
