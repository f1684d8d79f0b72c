"""Read what `train` is given: judged folders with their photo folder and weight, and tables of captions alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from indexer.user_paths import expand_home

# Photos are not seen more often than this beside those of a set of weight 1.
MAX_WEIGHT = 100.0
# How a judged folder is given.
FORM = "FOLDER[:PHOTOS][=WEIGHT]"


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """One judged folder as it was named: `FOLDER[:PHOTOS][=WEIGHT]`.

    Attributes:
        folder: The folder, or a table of captions.
        photos: Its photo folder or split to train on; None for the default one.
        weight: How often its photos are seen, beside those of a set of weight 1.
    """

    folder: Path
    photos: str | None = None
    weight: float = 1.0


class JudgedSetType(click.ParamType):
    """A judged folder, perhaps with a photo folder or split and a weight.

    Args:
        with_tables: Whether a table of captions without photos may stand for one.
    """

    name = "judged"

    def __init__(self, *, with_tables: bool) -> None:
        self.with_tables = with_tables

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> JudgedSet:
        """Parse `FOLDER[:PHOTOS][=WEIGHT]`; a folder whose name has these signs is taken as it is."""
        if isinstance(value, JudgedSet):
            return value
        text = expand_home(str(value))
        if not self.with_tables and Path(text).is_file():
            self.fail(f"{text!r} is a file; give a judged folder with photos, {FORM}", param, ctx)
        if Path(text).exists():
            return JudgedSet(Path(text))
        rest, weight = text, 1.0
        if "=" in text:
            rest, _, number = text.rpartition("=")
            try:
                weight = float(number)
            except ValueError:
                self.fail(f"{text!r}: weight {number!r} is not a number", param, ctx)
            if not 0 < weight <= MAX_WEIGHT:
                self.fail(f"{text!r}: a weight is above 0 and at most {MAX_WEIGHT:g}", param, ctx)
        folder, photos = Path(rest), None
        if not folder.exists() and ":" in rest:
            name, _, photos = rest.rpartition(":")
            folder = Path(name)
        if folder.is_file():
            self.fail(f"{text!r}: captions without photos have no part and no weight", param, ctx)
        if not folder.exists():
            self.fail(f"{text!r}: no such folder; give a judged folder, {FORM}", param, ctx)
        return JudgedSet(folder, photos, weight)


JUDGED_SET, JUDGED_FOLDER = JudgedSetType(with_tables=True), JudgedSetType(with_tables=False)


def set_names(sets: Sequence[JudgedSet]) -> list[str]:
    """Name judged sets after their folders, so that no two names are alike.

    Args:
        sets: The sets.

    Returns:
        A name per set: the folder's, with the photo folder or a number behind it where two are alike.
    """
    names: list[str] = []
    for one in sets:
        name = one.folder.resolve().name
        if name in names and one.photos is not None:
            name = f"{name}-{one.photos}"
        number, plain = 2, name
        while name in names:
            name, number = f"{plain}-{number}", number + 1
        names.append(name)
    return names
