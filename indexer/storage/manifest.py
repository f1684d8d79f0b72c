"""The manifest of an index: one JSON file that says what the folder holds, and makes it an index."""

import hashlib
import json
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indexer.errors import PhotoseekError, damaged_index
from indexer.storage.atomic_files import write_text_durably
from indexer.storage.vector_files import EMBEDDING_DTYPE, REGION_DTYPE

NAME = "manifest.json"
# Format 2 keeps in the catalogue what photos are beside their pictures, format 3 checksums of everything. An index of
# an older format is read as it is, and a build brings it up; a version that knows only the older one would leave the
# new tables behind the photos.
FORMAT = 3
READ_FORMATS = (1, 2, 3)
# The first format that has checksums, and the manifest's own: SHA-256 of all other entries.
CHECKSUMS_FORMAT = 3
CHECKSUM = "sha256"
# Names of the files of embeddings; another name would lead out of the index, or to another of its files.
EMBEDDINGS = re.compile(r"embeddings-[1-9][0-9]{0,8}\.f16")
# Options of an image encoder that `photoseek train` takes, too.
TRAINING_OPTIONS = ("weights", "preprocess")
# The catalogue, whose name is this where no manifest says another.
CATALOGUE = "catalogue.sqlite"
# The copy of the manifest that `indexer.storage.recovery` keeps.
RECOVERY = "recovery.json"
# How the names begin of what lies in an index folder before its manifest does.
BEGINNINGS = ("writer.", "catalogue.sqlite", ".manifest.json")


class OtherFormatError(PhotoseekError):
    """Refusal of an index that is none of this version's, damaged or not."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Description of an index folder. A manifest of an older version lacks the values that have a default here.

    Attributes:
        encoder: Fingerprint of the image encoder that made the embeddings.
        encoder_name: Name of that encoder, as `load_image_encoder` takes it.
        dim: Width of an embedding.
        encoder_options: Keyword arguments that load that encoder again, beside its name.
        region_shape: How many region vectors a photo has and how wide they are; (0, 0) if the index keeps none.
        embeddings: Name of the file of embeddings.
        dtype: Type of the numbers in that file.
        metric: How two embeddings are compared.
        normalisation: What is done to an embedding before it is stored.
        format: The format of the index.
    """

    encoder: str
    encoder_name: str
    dim: int
    encoder_options: Mapping[str, str] = field(default_factory=dict)
    region_shape: tuple[int, int] = (0, 0)
    embeddings: str = "embeddings-1.f16"
    dtype: str = "float16"
    metric: str = "inner product"
    normalisation: str = "unit rows"
    format: int = FORMAT

    @property
    def has_checksums(self) -> bool:
        """Whether the catalogue has checksums of everything."""
        return self.format >= CHECKSUMS_FORMAT

    @property
    def has_regions(self) -> bool:
        """Whether the index keeps region vectors."""
        return any(self.region_shape)

    @property
    def generation(self) -> int:
        """Number of the generation of the index: 1, and one more after each compaction."""
        return int(self.embeddings.removeprefix("embeddings-").removesuffix(".f16"))

    @property
    def catalogue_file(self) -> str:
        """Name of the catalogue, of the same generation as the embeddings."""
        return CATALOGUE if self.generation == 1 else f"catalogue-{self.generation}.sqlite"

    @property
    def region_file(self) -> str:
        """Name of the file of region vectors, of the same generation as the embeddings."""
        return f"regions-{self.generation}.i8"

    @property
    def digest_file(self) -> str:
        """Name of the file of row records, of the same generation as the embeddings."""
        return f"digests-{self.generation}.bin"

    @property
    def training_command(self) -> str:
        """Command that trains a ranker for these embeddings."""
        options = {"--image-encoder": self.encoder_name}
        options |= {f"--{name}": value for name, value in self.encoder_options.items() if name in TRAINING_OPTIONS}
        given = " ".join(f"{option} {shlex.quote(value)}" for option, value in options.items())
        return f"photoseek train JUDGED -o RANKER {given}"

    @property
    def row_bytes(self) -> dict[str, int]:
        """Bytes of a row of each file of rows, by its name."""
        count, width = self.region_shape
        regions = {self.region_file: count * width * REGION_DTYPE.itemsize} if count else {}
        return {self.embeddings: self.dim * EMBEDDING_DTYPE.itemsize, **regions}

    def to_json(self) -> dict[str, Any]:
        """Return the object that `manifest.json` holds."""
        return {
            "format": self.format,
            "encoder": self.encoder,
            "encoder_name": self.encoder_name,
            "encoder_options": dict(self.encoder_options),
            "dim": self.dim,
            "dtype": self.dtype,
            "metric": self.metric,
            "normalisation": self.normalisation,
            "embeddings": self.embeddings,
            "regions": self.region_shape,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Manifest":
        """Read the object that `manifest.json` holds.

        Raises:
            KeyError: A key is missing that has no default.
            TypeError: A value is of another type.
            ValueError: A value is of another type.
        """
        count, width = map(_whole_number, values.get("regions", (0, 0)))
        embeddings = str(values["embeddings"])
        if not EMBEDDINGS.fullmatch(embeddings):
            raise ValueError(f"{embeddings!r} is no file of embeddings")
        described = {name: str(values[name]) for name in ("dtype", "metric", "normalisation") if name in values}
        return cls(
            encoder=str(values["encoder"]),
            encoder_name=str(values["encoder_name"]),
            dim=_whole_number(values["dim"]),
            encoder_options=dict(values.get("encoder_options", {})),
            region_shape=(count, width),
            embeddings=embeddings,
            format=_whole_number(values["format"]),
            **described,
        )


def exists(folder: Path) -> bool:
    """Return whether the folder is an index, which is one with a manifest.

    Args:
        folder: A folder, which may be missing.
    """
    return os.path.exists(folder / NAME)  # False, too, for what may not be looked at


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a new index durably.

    Args:
        folder: The index folder.
        manifest: What it holds.
    """
    write_values(folder, manifest.to_json())


def add_regions(folder: Path, region_shape: tuple[int, int]) -> None:
    """Name the region vectors in the manifest of an index that had none; every other key stays as it is.

    Args:
        folder: The index folder.
        region_shape: (how many per photo, how wide).
    """
    write_values(folder, _read_json(folder) | {"regions": region_shape})


def bring_up(folder: Path) -> bool:
    """Give the manifest of an older index the format of this version; every other key stays as it is.

    Args:
        folder: The index folder, whose catalogue holds all that this format asks for.

    Returns:
        Whether it had an older format.
    """
    values = _read_json(folder)
    if values["format"] == FORMAT:
        return False
    write_values(folder, values | {"format": FORMAT})
    return True


def switch_generation(folder: Path, embeddings: str) -> None:
    """Name the files of another generation, all at once; every other key stays as it is.

    Args:
        folder: The index folder.
        embeddings: Name of the file of embeddings, which gives the other files their names.
    """
    write_values(folder, _read_json(folder) | {"embeddings": embeddings})


def read(folder: Path) -> Manifest:
    """Read the manifest of an index.

    Args:
        folder: The index folder.

    Raises:
        PhotoseekError: The manifest is missing, damaged or of another format.
    """
    values = _read_json(folder)
    try:
        return Manifest.from_json(values)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _damaged(folder) from None


def values_of(folder: Path) -> dict[str, Any]:
    """Return the object that the manifest of an index holds, without its checksum, keys of other versions included.

    Args:
        folder: The index folder.

    Raises:
        PhotoseekError: The manifest is missing, damaged or of another format.
    """
    return {name: value for name, value in _read_json(folder).items() if name != CHECKSUM}


def write_values(folder: Path, values: Mapping[str, Any]) -> None:
    """Write the object of a manifest durably, with its checksum.

    Args:
        folder: The index folder.
        values: JSON values by name, those of `Manifest.to_json` among them.
    """
    values = {name: value for name, value in values.items() if name != CHECKSUM}
    write_text_durably(folder / NAME, json.dumps({**values, CHECKSUM: checksum_of(values)}, indent=1) + "\n")


def checksum_of(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the entries of a JSON object but its own checksum, in hex digits."""
    others = {name: value for name, value in values.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(others, sort_keys=True).encode()).hexdigest()


def _whole_number(value: Any) -> int:
    """Return a value that is a number of something. Raises ValueError for any other."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no whole number")
    return value


def holds_other_files(folder: Path) -> bool:
    """Return whether a folder holds anything but the first files of an index, so that none can be begun there.

    Args:
        folder: A folder, which may be missing.

    Raises:
        PhotoseekError: It cannot be listed.
    """
    if not os.path.isdir(folder):
        return False
    try:
        return any(not name.startswith(BEGINNINGS) for name in os.listdir(folder))
    except OSError as error:
        raise PhotoseekError(f"{folder} cannot be read: {error.strerror}") from None


def _read_json(folder: Path) -> dict[str, Any]:
    """Read the object of a manifest of this format or an older one."""
    try:
        text = (folder / NAME).read_bytes()
    except FileNotFoundError:
        raise _no_index(folder) from None
    except NotADirectoryError:
        raise PhotoseekError(f"{folder} is a file and no index; name the folder of one with -i") from None
    except IsADirectoryError:
        raise _not_ours(folder) from None
    except OSError as error:
        raise PhotoseekError(f"index {folder}: {NAME} cannot be read: {error.strerror or error}") from None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):  # brackets may be nested deeper than Python goes
        values = None
    if not isinstance(values, dict) or not _is_manifest(values):
        raise _damaged(folder) if holds_index_files(folder) else _not_ours(folder)
    version = values["format"]
    if version not in READ_FORMATS:
        newer = type(version) is int and version > FORMAT
        advice = "update photoseek" if newer else "delete it and build it again"
        raise OtherFormatError(
            f"index {folder} has format {version}, this photoseek reads {READ_FORMATS[0]} to {READ_FORMATS[-1]}; "
            f"{advice}"
        )
    if (version >= CHECKSUMS_FORMAT or CHECKSUM in values) and values.get(CHECKSUM) != checksum_of(values):
        raise _damaged(folder)
    return values


def _is_manifest(values: Mapping[str, Any]) -> bool:
    """Return whether an object is of an index, whatever its format; other programs write a `manifest.json`, too."""
    return type(values.get("format")) is int and ("encoder" in values or "encoder_name" in values)


def holds_index_files(folder: Path) -> bool:
    """Return whether an index was built in a folder, whatever its manifest says.

    Args:
        folder: A folder, which may be missing.
    """
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    has_rows = any(EMBEDDINGS.fullmatch(name) for name in names)
    return has_rows and any(name in (RECOVERY, CATALOGUE) for name in names)


def _no_index(folder: Path) -> PhotoseekError:
    """Return the error to raise for a folder without a manifest."""
    if holds_index_files(folder):
        return damaged_index(folder, f"{folder / NAME} is missing")
    if holds_other_files(folder):
        return PhotoseekError(f"{folder} is not a photoseek index; name the folder of one with -i")
    place = shlex.quote(str(folder))
    return PhotoseekError(f"no index at {folder}; make one: photoseek build PHOTOS -i {place}")


def _not_ours(folder: Path) -> PhotoseekError:
    return PhotoseekError(
        f"{folder} is not a photoseek index ({NAME} in it is of another program); name another folder with -i"
    )


def _damaged(folder: Path) -> PhotoseekError:
    return damaged_index(folder, f"{folder / NAME} cannot be read")
