"""Writes that survive a power cut, as the bytes reach the disk before the name does; files whole or absent; and one
line where the disk refuses."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from indexer.errors import INTACT, PhotoseekError


def fsync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: beside, fsynced, renamed."""
    scratch = path.with_name(f".{path.name}")
    scratch.write_text(text, encoding="utf-8")
    fsync(scratch)
    os.replace(scratch, path)
    fsync(path.parent)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A place beside `path` to write it at: it takes the name when the block is done, and is gone if that fails."""
    scratch = path.with_name(f".photoseek-{os.getpid()}{path.suffix}")
    try:
        yield scratch
        os.replace(scratch, path)
    finally:
        with suppress(OSError):
            scratch.unlink()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """A context in which what the disk refuses to an index is PhotoseekError, one line."""
    try:
        yield
    except BrokenPipeError:  # a progress line that nobody reads, and no disk
        raise
    except OSError as error:
        what = "disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise PhotoseekError(f"index {folder}: {what}; {INTACT}") from None
