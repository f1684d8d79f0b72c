"""Tell where a ranker is, where one can be written, and what to do where there is none."""

import errno
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer.errors import PhotoseekError
from indexer.storage.atomic_files import make_folder_durably

# The file that a ranker folder is told by.
CARD_NAME = "ranker.json"
# The card names the file of the weights. A ranker that replaces another one takes the other name, so that the switch is
# the renaming of one file, the card.
WEIGHTS_NAMES = ("weights.safetensors", "weights-2.safetensors")


def has_no_ranker(folder: Path) -> bool:
    """Return whether a folder is empty, or no ranker at all, which `check_place` refuses.

    Args:
        folder: The folder.
    """
    return not (folder / CARD_NAME).exists()


def check_place(folder: Path) -> None:
    """Refuse a place where no ranker can be written.

    Raises:
        PhotoseekError: `folder` is neither a ranker nor empty, or it is missing and cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise PhotoseekError(f"{folder} is a file; give a folder for the ranker with -o")
    begun = folder.is_dir() and all(path.name in WEIGHTS_NAMES for path in folder.iterdir())
    if folder.exists() and not (folder / CARD_NAME).exists() and not begun:
        raise PhotoseekError(f"{folder} is not a ranker and not empty; give another folder with -o")
    try:
        make_folder_durably(folder.parent)
    except OSError as error:
        raise PhotoseekError(f"ranker {folder} cannot be written: {error.strerror}") from None
    if not os.access(folder.parent, os.W_OK):
        raise PhotoseekError(f"ranker {folder} cannot be written: {folder.parent} is read-only")


@contextmanager
def explain_write_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the disk inside the block into a line that names the ranker.

    Args:
        folder: The folder of the ranker that is written.

    Raises:
        PhotoseekError: The block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        what = "disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise PhotoseekError(f"ranker {folder} cannot be written: {what}; one that was there is intact") from None


def no_ranker(folder: Path) -> PhotoseekError:
    """Return the error to raise for a folder without a ranker, with advice that `check_place` does not refuse.

    Args:
        folder: The folder, which may be missing.
    """
    if folder.is_dir() and any(folder.iterdir()):
        return PhotoseekError(
            f"{folder} is not a ranker, which is a folder that photoseek train writes; name one, or train one into "
            "a new folder: photoseek train JUDGED -o RANKER"
        )
    place = shlex.quote(str(folder))
    return PhotoseekError(f"no ranker at {folder}; train one: photoseek train JUDGED -o {place}")
