"""Tell when a file that could not be decoded is worth another try although its size and time are the same.

A skipped photo keeps one of these words in the catalogue: a file that hangs its decoder must not cost its time in every
build, and one whose decoder was not installed must be found when it is.
"""

from dataclasses import dataclass
from importlib.util import find_spec

# Version of what the decoders make of a file. Raise it when more files are read, or some otherwise.
DECODER_VERSION = 3

# The reason may go away by itself: no permission, a disk that fails, too little memory.
ALWAYS = "always"
# The reason is in the file, so that only another decoder may read it.
OTHER_DECODER = f"decoder {DECODER_VERSION}"


def with_module(name: str) -> str:
    """Return the word for a file that needs a package, tried again where that can be imported."""
    return f"module {name}"


def with_pixels(count: int) -> str:
    """Return the word for a photo of `count` pixels, tried again where so many are allowed."""
    return f"pixels {count}"


def with_seconds(deadline: float) -> str:
    """Return the word for a file that took longer than `deadline` seconds, tried again where it may take more."""
    return f"seconds {deadline!r}"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a build that files are skipped for.

    Attributes:
        max_pixels: Photos of more pixels are refused.
        deadline: Seconds that a photo may take.
    """

    max_pixels: int
    deadline: float

    def allow_retry(self, retry: str | None) -> bool:
        """Return whether a file that was skipped is worth another try.

        Args:
            retry: One of the words of this module; None for a file that an older version skipped.
        """
        kind, _, value = (retry or ALWAYS).partition(" ")
        if kind == "decoder":
            return retry != OTHER_DECODER
        if kind == "module":
            return find_spec(value) is not None
        if kind == "pixels":
            return int(value) <= self.max_pixels
        if kind == "seconds":
            return float(value) < self.deadline
        return True
