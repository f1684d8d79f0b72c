"""Text that is safe to print: file names may hold any byte."""


def printable(path: str) -> str:
    """Make a path safe for a terminal and for one line: what cannot be shown is escaped.

    Args:
        path: A file name, as `os.fsdecode` gives it.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in path)
