"""Write files and folders whole or not at all, and turn errors of the disk into one line."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from indexer.errors import INTACT, PhotoseekError


def fsync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk.

    Args:
        path: An existing file or folder.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents, each with its name on the disk, unless there is one.

    Args:
        path: The folder.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        with suppress(PermissionError):  # a folder that may be written need not be readable
            fsync(folder.parent)


def write_text_durably(path: Path, text: str) -> None:
    """Write a file beside `path`, fsync it and rename it, so that a power cut leaves the old text or the new one.

    Args:
        path: The file to write or replace.
        text: Its content, written as UTF-8.
    """
    scratch = path.with_name(f".{path.name}")
    scratch.write_text(text, encoding="utf-8")
    fsync(scratch)
    os.replace(scratch, path)
    fsync(path.parent)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; rename it when the block ends, remove it when the block fails.

    Nothing is fsynced: after a power cut the file may be missing or empty.

    Args:
        path: The file to write or replace. One process writes one file of a folder at a time.

    Yields:
        The path to write to, with the same suffix.
    """
    scratch = path.with_name(f".photoseek-{os.getpid()}{path.suffix}")
    try:
        yield scratch
        os.replace(scratch, path)
    finally:
        with suppress(OSError):
            scratch.unlink()


@contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a new folder, and remove it when the block ends unless `publish_folder` gave it another name.

    Args:
        parent: Where the folder is made.
        prefix: How its name begins; with a dot, so that it is hidden.

    Yields:
        The empty folder, which only its owner may read.
    """
    scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def publish_folder(scratch: Path, path: Path) -> None:
    """Give a finished scratch folder its name, readable by others.

    Args:
        scratch: A folder of `scratch_folder`.
        path: Its new name on the same file system, which no folder that holds anything may have.
    """
    scratch.chmod(0o755)
    os.rename(scratch, path)


@contextmanager
def explain_disk_errors(index: Path) -> Iterator[None]:
    """Turn errors of the disk inside the block into a line that names the index.

    Args:
        index: The folder of the index that is written.

    Raises:
        PhotoseekError: The block raised an OSError, other than a BrokenPipeError.
    """
    try:
        yield
    except BrokenPipeError:  # from a progress line that nobody reads, not from the disk
        raise
    except OSError as error:
        what = "disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise PhotoseekError(f"index {index}: {what}; {INTACT}") from None
