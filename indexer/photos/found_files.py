"""Records of what a walk finds: photos, what could not be read, what is no photo or is left out."""

from dataclasses import dataclass, field

from indexer.photos.retry import ALWAYS


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A regular file whose name, or else whose first bytes, say that it is a photo.

    Attributes:
        path: Its path relative to the root, as the bytes on disk.
        size: Its bytes.
        mtime_ns: When it was changed, in nanoseconds since 1970.
    """

    path: bytes
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A photo, or a folder that may hold some, that should have been read and was not.

    Attributes:
        path: Its path relative to the root, as the bytes on disk.
        reason: Why.
        is_folder: Whether nothing below it was seen either.
        retry: When the same file is worth another try, a word of `indexer.photos.retry`.
    """

    path: bytes
    reason: str
    is_folder: bool = False
    retry: str = field(default=ALWAYS, compare=False)


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Something that is no photo, or is left out.

    Attributes:
        path: Its path relative to the root, as the bytes on disk.
        kind: Why: "videos", "thumbnails", "patterns", ...
        is_folder: Whether it is a folder, of which nothing below was taken either.
        photos: How many photos were counted below the folder.
        all_counted: Whether these are all; False for a folder of more names than are looked at.
    """

    path: bytes
    kind: str
    is_folder: bool = False
    photos: int = 0
    all_counted: bool = True
