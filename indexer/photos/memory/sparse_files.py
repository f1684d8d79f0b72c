"""Tell how many bytes of a file are really there: the holes of a sparse file read as zeros and are stored nowhere."""

import os

# Bytes of a block in which `stat` counts, whatever the file system's own are (POSIX).
STAT_BLOCK = 512
# Pieces of a file that are looked at; one of more is taken for whole from there on.
MOST_PIECES = 10_000


def stored_bytes(descriptor: int, size: int) -> int:
    """Return how many bytes of a file lie outside its holes.

    A file system that compresses stores less than the file's size without any hole, so that a low count of blocks is
    only why the holes are looked for. Where holes cannot be told, as on some network disks, all bytes count.

    Args:
        descriptor: Descriptor of the open file, whose position is the beginning again afterwards.
        size: Bytes of the file.
    """
    if getattr(os.fstat(descriptor), "st_blocks", size) * STAT_BLOCK >= size or not hasattr(os, "SEEK_HOLE"):
        return size
    stored = place = 0
    try:
        for _ in range(MOST_PIECES):
            begin = os.lseek(descriptor, place, os.SEEK_DATA)
            place = os.lseek(descriptor, begin, os.SEEK_HOLE)
            stored += place - begin
        stored += size - place
    except OSError:  # no data behind this place: the end of the file, or a hole up to it
        pass
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
    return stored
