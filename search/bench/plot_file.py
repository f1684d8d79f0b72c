"""The file of a plot: its formats, and the mark by which an older plot is told."""

from pathlib import Path

MARK = "photoseek bench"
# Under which key each format keeps the mark.
KEYS = {".svg": "Creator", ".png": "Software", ".pdf": "Creator"}


def plot_suffixes() -> tuple[str, ...]:
    """Return the endings that a plot may have."""
    return tuple(KEYS)


def plot_metadata(path: Path) -> dict[str, str | None]:
    """Return what a plot says of itself: the mark, and no date, so that the same figures are the same file.

    Args:
        path: The file of the plot.
    """
    suffix = path.suffix.lower()
    return {KEYS[suffix]: MARK, **({"Date": None} if suffix == ".svg" else {})}


def is_plot(path: Path) -> bool:
    """Return whether a file is a plot that the benchmark drew; False if it cannot be read.

    Args:
        path: The file.
    """
    try:
        return MARK.encode() in path.read_bytes()
    except OSError:
        return False
