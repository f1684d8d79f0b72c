"""Paths as users write them, made absolute when they come in, so that a later `chdir` changes nothing."""

import os
from pathlib import Path

from indexer.argument_checks import check_kind
from indexer.errors import PhotoseekError


def absolute_path(path: str | Path) -> Path:
    """Return a path with `~` as the home directory, from the root of the file system; links stay as they are.

    Args:
        path: The path as it was written.

    Raises:
        PhotoseekError: It begins with `~` and there is no home directory or no such user, or it is relative and the
            current folder is gone.
    """
    try:
        return Path(os.path.abspath(expand_home(path)))
    except FileNotFoundError:
        raise PhotoseekError(f"{os.fspath(path)}: the current folder is gone; go to another one") from None


def expand_home(path: str | Path) -> str:
    """Return a path with `~` as the home directory, and `~NAME` as that of the user of this name.

    Args:
        path: The path as it was written. A file or folder whose own name begins with `~` is taken as it is.

    Raises:
        PhotoseekError: It is of another type, or it begins with `~` and there is no home directory, or with `~NAME/`
            and there is no such user.
    """
    check_kind("a path", path, (str, os.PathLike), "a str or a Path")
    written = os.fspath(path)
    expanded = os.path.expanduser(written)
    first, slash, _ = expanded.partition("/")
    if first == "~":
        raise PhotoseekError(f"{written}: there is no home directory; write the path out")
    if first.startswith("~") and slash and not os.path.lexists(first):
        raise PhotoseekError(
            f"{written}: there is no user {first[1:]}; if it is a folder's own name, write ./{written}"
        )
    return expanded
