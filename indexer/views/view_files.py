"""The files of a view folder, and the card `view.json` that says what they hold."""

import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from indexer.errors import PhotoseekError
from indexer.views.ann_search import SearchParameters

CARD = "view.json"
RANKER = "ranker"
STRUCTURE = "candidates.faiss"
# Only where there are lists: the 8-bit codes of the rows in them, and the mean directions of the kinds of query.
CODES = "codes.u8"
MEANS = "kinds.npy"
# What the ranker made of each photo, row by row.
Z = "z.f16"
HUBNESS = "hub.f32"
HIDDEN = "hidden.f16"
REGIONS = "regions.i8"
DTYPES: dict[str, np.dtype] = {
    Z: np.dtype("<f2"),
    HUBNESS: np.dtype("<f4"),
    HIDDEN: np.dtype("<f2"),
    REGIONS: np.dtype("i1"),
}


@dataclass(frozen=True, slots=True)
class ViewCard:
    """Description of the files of a view. A card of an older version lacks the values that have a default here.

    Attributes:
        rows: Rows that the view was built with, which are those in its candidate structure.
        z_width: Width of a row of `z.f16`.
        hidden_width: Width of a row of `hidden.f16`.
        region_shape: (count, width) of a row of `regions.i8`; (0, 0) if there is no such file.
        built_with_regions: Whether the index kept regions, whatever the ranker made of them.
        ranker_id: Id of the view's ranker, "" if it is not known.
        ranker_files: SHA-256 of each file of the ranker, in hex digits; None if it is not known.
        nlist: How many lists the structure has; 0 if it scores every row.
        kinds: How lists are searched for each kind of query; empty if every row is scored.
        exact_reason: Why every row is scored; None if there are lists, or if it is not known.
    """

    rows: int
    z_width: int
    hidden_width: int
    region_shape: tuple[int, int] = (0, 0)
    built_with_regions: bool = False
    ranker_id: str = ""
    ranker_files: Mapping[str, str] | None = None
    nlist: int = 0
    kinds: Mapping[str, SearchParameters] = field(default_factory=dict)
    exact_reason: str | None = None

    def row_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a row of one of the files in `DTYPES`."""
        return {Z: (self.z_width,), HUBNESS: (), HIDDEN: (self.hidden_width,), REGIONS: self.region_shape}[name]

    def to_json(self) -> dict[str, Any]:
        """Return the object that `view.json` holds."""
        values: dict[str, Any] = {
            "rows": self.rows,
            "k": self.z_width,
            "hidden": self.hidden_width,
            "regions": self.region_shape,
            "saw_regions": self.built_with_regions,
            "ranker": self.ranker_id,
            "ranker_files": self.ranker_files,
        }
        if self.kinds:
            kinds = {
                name: {"probes": parameters.nprobe, "depth": parameters.refine_k, "recall": parameters.recall}
                for name, parameters in self.kinds.items()
            }
            return values | {"tuning": {"lists": self.nlist, "kinds": kinds}}
        return values | {"exact": self.exact_reason}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ViewCard":
        """Read the object that `view.json` holds.

        Raises:
            KeyError: A key is missing that has no default.
            TypeError: A value is of another type.
            ValueError: A value is of another type, or there are lists and no kinds of query.
        """
        count, width = values.get("regions", (0, 0))
        tuning = values.get("tuning")
        kinds = {
            name: SearchParameters(int(kind["probes"]), int(kind["depth"]), float(kind["recall"]))
            for name, kind in ({} if tuning is None else tuning["kinds"]).items()
        }
        if tuning is not None and not kinds:
            raise ValueError("lists without kinds of query")
        return cls(
            rows=int(values["rows"]),
            z_width=int(values["k"]),
            hidden_width=int(values["hidden"]),
            region_shape=(int(count), int(width)),
            built_with_regions=bool(values.get("saw_regions")),
            ranker_id=str(values.get("ranker", "")),
            ranker_files=values.get("ranker_files"),
            nlist=0 if tuning is None else int(tuning["lists"]),
            kinds=kinds,
            exact_reason=values.get("exact"),
        )


def write_card(folder: Path, card: ViewCard) -> None:
    """Write the card of a view that is being built.

    Args:
        folder: Its folder.
        card: What it holds.
    """
    (folder / CARD).write_text(json.dumps(card.to_json(), indent=1))


def read_card(folder: Path) -> ViewCard:
    """Read the card of a view.

    Args:
        folder: Its folder.

    Raises:
        OSError: It cannot be read.
        KeyError: It is damaged.
        TypeError: It is damaged.
        ValueError: It is damaged.
        AttributeError: It is damaged.
    """
    return ViewCard.from_json(json.loads((folder / CARD).read_text()))


def map_file(folder: Path, name: str, rows: int, card: ViewCard) -> np.memmap:
    """Map the first rows of one of the files in `DTYPES` into memory, read-only.

    Args:
        folder: The view's folder.
        name: The file.
        rows: How many rows.
        card: What the view holds.

    Returns:
        (rows, ...) of the file's dtype.

    Raises:
        OSError: The file cannot be read.
        ValueError: It has fewer rows.
    """
    return np.memmap(folder / name, DTYPES[name], "r", shape=(rows, *card.row_shape(name)))


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a folder by its name, in hex digits."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def damaged_view(folder: Path, reason: str) -> PhotoseekError:
    """Return the error to raise for a view that cannot be used."""
    return PhotoseekError(f"view {folder} is damaged ({reason}); {attach_advice(folder.parents[1])}")


@contextmanager
def explain_view_errors(folder: Path, name: str) -> Iterator[None]:
    """Turn errors of reading a file of a view inside the block into a line.

    Args:
        folder: The view's folder.
        name: The file.

    Raises:
        PhotoseekError: The block could not read the file.
    """
    try:
        yield
    except FileNotFoundError:
        raise damaged_view(folder, f"{name} is missing") from None
    except OSError as error:  # what a permission or a network disk withholds is not damaged
        raise PhotoseekError(f"{folder / name} cannot be read: {error.strerror or error}") from None
    except (EOFError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise damaged_view(folder, f"{name} cannot be read or is too short") from None


def attach_advice(index: Path) -> str:
    """Return what attaches a ranker to an index whose view cannot be used: that of the user, or the shipped one."""
    place = shlex.quote(str(index))
    return f"run: photoseek use RANKER -i {place}, or for the shipped ranker: photoseek build PHOTOS -i {place}"
