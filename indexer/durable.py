"""Writes that survive a power cut, as the bytes reach the disk before the name does; and files whole or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
