"""Records that go into the catalogue of an index and come out of it."""

from dataclasses import dataclass
from typing import NamedTuple

from indexer.photos.metadata.record import PhotoMetadata


@dataclass(frozen=True, slots=True)
class CataloguedPhoto:
    """A photo of the catalogue.

    Attributes:
        root: Absolute path of the folder that was indexed, as the bytes on disk.
        path: Path of the photo below `root`, as the bytes on disk.
        size: Bytes of the file.
        mtime_ns: When the file was changed, in nanoseconds since 1970.
        row: Row of its embedding, None for a skipped photo.
        reason: Why it was skipped, None if it was not.
    """

    root: bytes
    path: bytes
    size: int
    mtime_ns: int
    row: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class NewPhoto:
    """A decoded photo on its way into the catalogue.

    Attributes:
        path: Path below its root, as the bytes on disk.
        size: Bytes of the file.
        mtime_ns: When the file was changed, in nanoseconds since 1970.
        digest: Digest of the file's bytes, 16 bytes.
        width: Pixels of the upright photo.
        height: Pixels of the upright photo.
        note: What was damaged, None if nothing was.
        metadata: What the file says beside its picture; None if that could not be read.
        perceptual_hash: Hash of its picture, None if there is none.
    """

    path: bytes
    size: int
    mtime_ns: int
    digest: bytes
    width: int
    height: int
    note: str | None = None
    metadata: PhotoMetadata | None = None
    perceptual_hash: bytes | None = None


class KnownFile(NamedTuple):
    """A file as it was when a build last read it, by which a changed file is recognised.

    Attributes:
        size: Bytes.
        mtime_ns: Nanoseconds since 1970.
        row: Row of its embedding, None for a photo that was skipped.
        retry: When a skipped photo is worth another try, a word of `indexer.photos.retry`; None if it is not known.
    """

    size: int
    mtime_ns: int
    row: int | None
    retry: str | None = None

    @property
    def was_skipped(self) -> bool:
        """Whether the photo has no row."""
        return self.row is None


class ActiveView(NamedTuple):
    """The view that searches use.

    Attributes:
        id: Name of its folder: the ranker's id, a hyphen, something random.
        rows: How many rows of the index it covers.
    """

    id: str
    rows: int

    @property
    def ranker_id(self) -> str:
        """Id of the ranker that the view was made by."""
        return self.id.rpartition("-")[0]


@dataclass(frozen=True, slots=True)
class BuildCounts:
    """Photos of one build: found, newly indexed, indexed again, gone from the folder, and passed over."""

    seen: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """One build of the history, with its photos as in `BuildCounts`; all 0 for a build that was cut short.

    Attributes:
        started: Seconds since 1970.
        finished: Seconds since 1970, None for a build that was cut short.
    """

    started: float
    finished: float | None
    seen: int
    added: int
    changed: int
    removed: int
    skipped: int
