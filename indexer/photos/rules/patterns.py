"""Patterns of the user, in gitignore syntax: what a walk leaves out, and what it takes all the same.

A path is decided by the first of these that says anything: `--include`; `--exclude`, the last pattern that fits; the
ignore files, the deepest first. If none does, the defaults decide (`indexer.photos.rules.default_exclusions`).
"""

import json
import os
import re
import shlex
import stat
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from indexer.errors import PhotoseekError
from indexer.printable import printable

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

# A file in a photo folder whose lines are patterns, relative to where it lies.
IGNORE_FILE = b".photoseekignore"
# Bytes of an ignore file that are read.
LARGEST_FILE = 1_000_000


@dataclass(frozen=True, slots=True)
class Patterns:
    """Patterns of an index, in gitignore syntax, relative to each of its photo folders.

    Attributes:
        exclude: What is left out; a pattern that begins with `!` takes back what one before it left out. One that
            begins with `#` is no comment.
        include: What is taken, whatever else would leave it out.
    """

    # The catalogue's setting that holds them.
    SETTING: ClassVar[str] = "patterns"

    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()

    def described(self) -> str:
        """Return them as the options that give them; "none" without any."""
        options = [("--exclude", pattern) for pattern in self.exclude] + [("--include", p) for p in self.include]
        return " ".join(f"{name} {shlex.quote(pattern)}" for name, pattern in options) or "none"

    def to_json(self) -> str:
        """Return the text by which an index keeps them."""
        return json.dumps({"exclude": self.exclude, "include": self.include})

    @classmethod
    def from_json(cls, text: str | None) -> "Patterns":
        """Read the text of `to_json`; None for no patterns."""
        return cls() if text is None else cls(**{name: tuple(values) for name, values in json.loads(text).items()})


@dataclass(frozen=True, slots=True)
class PhotoFolders:
    """The photos that a build is asked for.

    Attributes:
        paths: The folders. One inside another is a part of that.
        patterns: What to leave out or take in them, for this build and later ones; None for what the index keeps.
        accept_removals: Whether photos that are gone are removed however many they are. A build without it refuses to
            remove a large part of a folder, since a disk may not be mounted.
    """

    paths: Sequence[str | Path]
    patterns: Patterns | None = None
    accept_removals: bool = False


@dataclass(frozen=True, slots=True)
class FolderRules:
    """The patterns that hold in one folder: those of the index, and the ignore files there and above.

    Attributes:
        include: What is taken, whatever else would leave it out; None without such patterns.
        exclude: What is left out; None without such patterns.
        ignore_files: (letters of the folder's path, patterns) of each ignore file, the deepest first.
    """

    include: "GitIgnoreSpec | None"
    exclude: "GitIgnoreSpec | None"
    ignore_files: "tuple[tuple[int, GitIgnoreSpec], ...]" = ()

    @classmethod
    def of(cls, patterns: Patterns) -> "FolderRules":
        """Return the rules of a root: the patterns of the index, without ignore files.

        Args:
            patterns: The patterns.

        Raises:
            PhotoseekError: A pattern is not valid gitignore syntax.
        """
        return cls(
            _compile(_literal(patterns.include), "--include") if patterns.include else None,
            _compile(_literal(patterns.exclude), "--exclude") if patterns.exclude else None,
        )

    @property
    def has_includes(self) -> bool:
        """Whether anything below a folder that is left out may be taken all the same."""
        return self.include is not None

    @property
    def is_empty(self) -> bool:
        """Whether no pattern holds."""
        return self.include is None and self.exclude is None and not self.ignore_files

    def with_ignore_file(self, top: bytes, folder: bytes) -> "FolderRules":
        """Return the rules of a folder below that has an ignore file.

        Args:
            top: The root.
            folder: Path of the folder below the root, with a slash at its end.

        Raises:
            OSError: The file cannot be read.
            PhotoseekError: A line of it is not valid gitignore syntax.
        """
        path = os.path.join(top, folder, IGNORE_FILE)
        spec = _compile(_read_lines(path), os.fsdecode(os.path.join(folder, IGNORE_FILE)))
        return replace(self, ignore_files=((len(_text(folder)), spec), *self.ignore_files))

    def includes(self, path: bytes) -> bool:
        """Return whether `--include` names a path, or a folder that it is in.

        Args:
            path: The path below the root; that of a folder ends with a slash.
        """
        return self.include is not None and self.include.check_file(_text(path)).include is True

    def excludes(self, path: bytes) -> bool | None:
        """Return whether a path is left out, and None where no pattern but `--include` says anything.

        Args:
            path: The path below the root; that of a folder ends with a slash.
        """
        if self.exclude is None and not self.ignore_files:
            return None
        text = _text(path)
        verdict = None if self.exclude is None else self.exclude.check_file(text).include
        for start, spec in self.ignore_files:
            if verdict is None:
                verdict = spec.check_file(text[start:]).include
        return verdict


def _literal(patterns: Sequence[str]) -> list[str]:
    """Return patterns of the index, none of which is a comment: folders of NAS systems are called `#recycle`."""
    return [f"\\{pattern}" if pattern.startswith("#") else pattern for pattern in patterns]


def _compile(lines: Sequence[str], source: str) -> "GitIgnoreSpec":
    """Compile patterns; `source` is where they are from, for the message."""
    from pathspec import GitIgnoreSpec

    # "a/**" is all that is in a, but not a itself, for git; pathspec would take it for both.
    composed = [re.sub(r"/\*\*$", "/*", unicodedata.normalize("NFC", line)) for line in lines]
    for line in composed:
        try:
            GitIgnoreSpec.from_lines([line])
        except (ValueError, re.error):
            raise PhotoseekError(f"{printable(source)}: {line!r} is no pattern of gitignore") from None
    return GitIgnoreSpec.from_lines(composed)


def _read_lines(path: bytes) -> list[str]:
    """Read an ignore file; a pipe of that name must not be waited for."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(0, "not a regular file")
        return os.fsdecode(file.read(LARGEST_FILE)).removeprefix("\ufeff").splitlines()


def _text(path: bytes) -> str:
    """Return a path as patterns are matched against it: letters with accents are one character each."""
    text = os.fsdecode(path)
    return text if text.isascii() else unicodedata.normalize("NFC", text)
