"""The writer's lock of an index folder: one process writes at a time."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from indexer.errors import PhotoseekError


@contextmanager
def write_lock(folder: Path) -> Iterator[None]:
    """Hold the writer's lock of an index folder until the block ends; the system frees it when the process dies.

    Args:
        folder: An index folder that exists.

    Raises:
        PhotoseekError: Another process holds the lock, which the line names, or the folder cannot be written.
    """
    import socket

    from filelock import FileLock, Timeout

    holder = folder / "writer.json"
    lock = FileLock(folder / "writer.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise PhotoseekError(
            f"index {folder} is being written by {_name_holder(holder)}; try again when it is done"
        ) from None
    except OSError as error:
        raise PhotoseekError(f"index {folder} cannot be written: {error.strerror or error}") from None
    try:
        with suppress(OSError):  # a full disk is reported by the first write that cannot be done without
            holder.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        yield
    finally:
        with suppress(OSError):
            holder.unlink()
        lock.release()


def is_being_written(folder: Path) -> bool:
    """Return whether a process of this machine holds the writer's lock of an index, without touching the lock.

    Args:
        folder: The index folder.
    """
    import socket

    try:
        values = json.loads((folder / "writer.json").read_text())
        if values["host"] != socket.gethostname():
            return False
        os.kill(values["pid"], 0)
    except PermissionError:  # a process of another user
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


def _name_holder(path: Path) -> str:
    """Name the process that wrote `writer.json`."""
    try:
        values = json.loads(path.read_text())
        return f"process {values['pid']} on {values['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
