"""Text that is safe to print: file names may hold any byte."""

import unicodedata

# Letters that turn the direction of a line, so that a name reads as another one.
TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Categories of Unicode: control characters, lone surrogates, line and paragraph separators.
ESCAPED = ("Cc", "Cs", "Zl", "Zp")


def printable(path: str) -> str:
    """Make a path safe for a terminal and for one line: control characters and bytes that are no text are escaped.

    Args:
        path: A file name, as `os.fsdecode` gives it.
    """
    if path.isprintable():
        return path
    return "".join(c.encode("unicode_escape", "surrogatepass").decode("ascii") if _is_escaped(c) else c for c in path)


def _is_escaped(letter: str) -> bool:
    return letter in TURNING or unicodedata.category(letter) in ESCAPED


def counted(count: int, noun: str) -> str:
    """Return a number of things in words: "1 photo", "1,204 photos"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
