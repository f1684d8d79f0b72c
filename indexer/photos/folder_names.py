"""Names of one folder: through links, with `..`, and with accents composed or decomposed."""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product

# Ways to write the accents of a path that are tried at most: eight parts with accents, each composed or decomposed.
WAYS = 256


def existing_name(path: bytes) -> bytes:
    """Return the name by which a folder is on the disk, where its accents may be written otherwise than was typed.

    macOS writes "é" as two characters, keyboards write it as one. A name that is there as it was typed comes first.

    Args:
        path: An absolute path.

    Returns:
        The path on disk; `path` itself if there is none.
    """
    return path if os.path.lexists(path) else next(filter(os.path.lexists, ways_to_write(path)), path)


def ways_to_write(path: bytes) -> Iterator[bytes]:
    """Yield a path with the accents of each part as given, composed (NFC) and decomposed (NFD); at most `WAYS`."""
    parts = [dict.fromkeys((part, *_forms(part))) for part in path.split(b"/")]
    for ways in islice(product(*parts), WAYS):
        yield b"/".join(ways)


def composed(path: bytes) -> bytes:
    """Return a path with composed accents (NFC), in which two names of one folder are equal."""
    if path.isascii():
        return path
    return os.fsencode(unicodedata.normalize("NFC", os.fsdecode(path)))


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with all that tells it from others, looked up once.

    Attributes:
        path: Its absolute path.
        real: The path with links followed.
        identity: Its device and its number there; None if it is not there.
    """

    path: bytes
    real: bytes
    identity: tuple[int, int] | None

    @classmethod
    def at(cls, path: bytes) -> "Folder":
        """Look up the folder at an absolute path."""
        try:
            info = os.stat(path)
        except OSError:
            return cls(path, os.path.realpath(path), None)
        return cls(path, os.path.realpath(path), (info.st_dev, info.st_ino))

    def is_same(self, other: "Folder") -> bool:
        """Return whether two paths lead to one folder, or are the same name of one that is gone."""
        if self.identity is not None and other.identity is not None:
            return self.identity == other.identity
        return composed(self.path) == composed(other.path)

    def inside(self, other: "Folder") -> bytes | None:
        """Return the path below another folder that it is in, links followed; None if it is elsewhere or the same."""
        start = other.real.rstrip(b"/") + b"/"
        return self.real[len(start) :] if self.real.startswith(start) and self.real != start else None


def places_below(root: bytes, folder: bytes, *, follow_links: bool = False) -> list[bytes]:
    """Return where a folder lies below a root, with accents in either form.

    Args:
        root: Absolute path of the root.
        folder: A path; a relative one is taken from the root.
        follow_links: Whether to look up what links lead to, which the disk must be there for.

    Returns:
        Paths below the root, in every way to write their accents, each without a slash at its end; `[b""]` if the
        folder is the root or above it, an empty list if it is elsewhere.
    """
    if not os.path.isabs(folder):
        places = [os.path.normpath(folder)]
        if places == [b"."]:
            return [b""]
    else:
        if follow_links:
            root, folder = os.path.realpath(root), os.path.realpath(folder)
        places = [os.path.relpath(folder, root), os.path.relpath(composed(folder), composed(root))]
        if any(set(place.split(b"/")) <= {b"..", b"."} for place in places):
            return [b""]
    inside = [place for place in places if place.split(b"/")[0] != b".."]
    return list(dict.fromkeys(way for place in inside for way in ways_to_write(place)))


def _forms(part: bytes) -> tuple[bytes, ...]:
    """Return one part of a path composed and decomposed."""
    if part.isascii():
        return ()
    text = os.fsdecode(part)
    return tuple(os.fsencode(unicodedata.normalize(form, text)) for form in ("NFC", "NFD"))
