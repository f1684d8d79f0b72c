"""Read a vocabulary of class names, and name the classes that an image encoder's own classifier knows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.encoders import ImageEncoder
from indexer.errors import PhotoseekError
from reranker.judgments.tables import TableReader, refuse_row

# Endings of a vocabulary.
SUFFIXES = (".txt", ".tsv", ".csv")


@dataclass(frozen=True, slots=True)
class ClassName:
    """One class of a vocabulary, with its examples.

    Attributes:
        names: Its names; any of them finds its photos.
        index: Number of a class of the image encoder's own classifier, if that is what shows it.
        photos: Photos of the judged folder that show it. With neither, captions that say a name point to photos.
    """

    names: tuple[str, ...]
    index: int | None = None
    photos: tuple[str, ...] = ()


def read_class_names(path: Path) -> list[ClassName]:
    """Read a vocabulary.

    Args:
        path: A `.txt` file has one class per line, its names separated by commas. A `.tsv` or `.csv` file has a header
            with `names` and, if wanted, `index` (a class of the encoder's classifier) or `photo` (a file of the judged
            folder; a class may have several lines).

    Returns:
        The classes, in the order of their first lines.

    Raises:
        PhotoseekError: The file cannot be read or has another ending, or a line is wrong; the message names it.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise PhotoseekError(f"{path}: the ending must be one of {', '.join(SUFFIXES)}")
    table = TableReader(path, on_bad=refuse_row)
    found: dict[tuple[str, ...], ClassName] = {}
    for line, row in _rows(table):
        names = tuple(name.strip() for name in row["names"].split(",") if name.strip())
        if not names:
            continue
        index, photo = row.get("index", "").strip(), row.get("photo", "").strip()
        if index and not index.isdecimal():
            table.bad(line, "malformed rows", f"index {index!r} is no class number")
        before = found.get(names, ClassName(names))
        photos = (*before.photos, photo) if photo else before.photos
        found[names] = ClassName(names, int(index) if index else before.index, photos)
    if not found:
        raise PhotoseekError(f"{path}: no names in it")
    return list(found.values())


def own_class_names(image: ImageEncoder) -> list[ClassName]:
    """Return the classes that the image encoder's own classifier knows: ImageNet's, as torchvision names them.

    Args:
        image: The image encoder; one without a classifier knows none.
    """
    if image.prototypes is None:
        return []
    from torchvision.models import ResNet18_Weights

    return [ClassName((name,), index) for index, name in enumerate(ResNet18_Weights.DEFAULT.meta["categories"])]


def with_own_class_names(image: ImageEncoder, class_names: Sequence[ClassName]) -> list[ClassName]:
    """Return a vocabulary behind the image encoder's own classes.

    Args:
        image: The image encoder.
        class_names: The vocabulary; an own class that it names by its number has the vocabulary's names alone.
    """
    named = {class_name.index for class_name in class_names}
    return [*(class_name for class_name in own_class_names(image) if class_name.index not in named), *class_names]


def _rows(table: TableReader) -> Iterator[tuple[int, dict[str, str]]]:
    """Read the rows of a vocabulary file with their line numbers, by the names of their columns."""
    if table.path.suffix == ".txt":
        yield from ((line, {"names": " ".join(fields)}) for line, fields in table.lines())
    else:
        yield from table.rows("\t" if table.path.suffix == ".tsv" else ",", ("names",))
