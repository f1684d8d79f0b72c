"""The cache folder, for what can be made again: exported networks, cached embeddings."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path
from safetensors import SafetensorError

from indexer.errors import PhotoseekError
from indexer.user_paths import absolute_path

# What to do about a cache that cannot be used.
ADVICE = "set PHOTOSEEK_CACHE to a folder that can be written"


def cache_folder() -> Path:
    """Return `$PHOTOSEEK_CACHE`, or else the user's cache folder of photoseek.

    Without a home directory, or with one in which no cache can be made, it is a folder of the user's among the
    temporary files.

    Raises:
        PhotoseekError: There is no home directory, and the folder among the temporary files is not the user's own.
    """
    override = os.environ.get("PHOTOSEEK_CACHE")
    if override:
        return absolute_path(override)
    try:
        folder = user_cache_path("photoseek")
    except RuntimeError:  # there is no home directory; older versions of platformdirs return a path that begins with ~
        return _temporary_cache()
    return folder if folder.is_absolute() and _can_be(folder) else _temporary_cache()


@contextmanager
def explain_cache_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the disk, while the block writes into a folder of the cache, into one line.

    Args:
        folder: The folder.

    Raises:
        PhotoseekError: The block raised an OSError of the disk, or safetensors could not write.
    """
    try:
        yield
    except BrokenPipeError:  # from a progress line that nobody reads, not from the disk
        raise
    except OSError as error:
        raise PhotoseekError(f"cache {folder} cannot be written: {error.strerror or error} ({ADVICE})") from None
    except SafetensorError as error:
        raise PhotoseekError(f"cache {folder} cannot be written: {error} ({ADVICE})") from None


def _can_be(folder: Path) -> bool:
    """Return whether a folder is there, or could be made."""
    above = next(place for place in (folder, *folder.parents) if place.exists())
    return above == folder or os.access(above, os.W_OK)


def _temporary_cache() -> Path:
    """Return the user's cache among the temporary files, which only the user may write."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"photoseek-cache-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
    except OSError as error:
        raise PhotoseekError(f"no cache folder can be made in {folder}: {error.strerror} ({ADVICE})") from None
    # Exported networks are run, so a folder that somebody else prepared is not used.
    if folder.is_symlink() or (hasattr(os, "getuid") and state.st_uid != user) or state.st_mode & 0o022:
        raise PhotoseekError(f"the cache folder {folder} belongs to somebody else ({ADVICE})")
    return folder
