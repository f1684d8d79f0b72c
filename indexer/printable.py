"""Text that is safe to print: file names may hold any byte."""


def printable(path: str) -> str:
    """A path that is safe on a terminal and on one line: what cannot be shown is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii") for c in path)
