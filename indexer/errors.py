"""The one error family, and errors of other libraries as one line."""

import errno
import os
import shlex
from pathlib import Path

INTACT = "what was committed is intact, run the build again"
# Letters of another library's message that are shown at most.
LONGEST_LINE = 200


class PhotoseekError(Exception):
    """Something was refused or failed for a reason outside the code.

    The message is one line that names the thing and, where there is one, the next command. The command line prints
    it and exits with 1; any other exception is a bug and keeps its traceback.
    """


class DamageError(PhotoseekError):
    """Refusal of something that is not as it was written, rather than withheld, busy or on a full disk."""


class PhotoseekWarning(RuntimeWarning):
    """Something that a person should know although the work goes on. The command line prints it as a note."""


def damaged_index(folder: Path, what: str) -> DamageError:
    """Return the error to raise for a damaged index.

    Args:
        folder: The index folder.
        what: Which of its files, and what is wrong with it.
    """
    place = shlex.quote(str(folder))
    return DamageError(f"{what}: the index is damaged; run: photoseek repair -i {place}")


def says_withheld(text: str) -> bool:
    """Return whether a message says that a file may not be read, which is no damage."""
    return os.strerror(errno.EACCES) in text


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, where transformers and its hub say what is wrong, or its kind."""
    lines = _lines(str(error))
    return (lines[0] if lines else type(error).__name__)[:LONGEST_LINE]


def last_line(error: Exception) -> str:
    """Return the last line of an error's text, where OpenVINO and torch say what is wrong, or its kind."""
    return last_line_of(str(error)) or type(error).__name__


def last_line_of(text: str) -> str:
    """Return the last line of a text that is not blank, "" if there is none."""
    lines = _lines(text)
    return lines[-1][:LONGEST_LINE] if lines else ""


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
