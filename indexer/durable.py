"""Writes that survive a power cut: the bytes reach the disk before the name does."""

import os
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
