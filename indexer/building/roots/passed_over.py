"""Put into words what walks passed over."""

from collections.abc import Iterable

from indexer.printable import counted
from indexer.storage.tables.unindexed import PassedOverFiles

# How files of each kind are called, with {s} for a plural, from what a user may miss to what nobody does.
PHRASES = {
    "patterns": "left out by patterns",
    "thumbnails": "thumbnail{s}",
    "bins": "in bins",
    "snapshots": "in snapshots",
    "caches": "in caches",
    "nomedia": "beside a .nomedia file",
    "hidden": "hidden",
    "indexes": "in indexes",
    "roots": "in other folders of the index",
    "linked": "link{s} to photos that are there anyway",
    "links": "link{s} to nowhere",
    "pictures": "picture{s} of other kinds",
    "videos": "video{s}",
    "sounds": "sound{s}",
    "texts": "text{s}",
    "documents": "document{s}",
    "archives": "archive{s}",
    "sidecars": "sidecar file{s}",
    "other": "other file{s}",
}


def sum_by_kind(passed_over: Iterable[PassedOverFiles]) -> list[PassedOverFiles]:
    """Add up what several walks passed over.

    Args:
        passed_over: What each walk passed over of each kind.

    Returns:
        The sum of each kind of which there is any, without paths, in the order of `PHRASES`.
    """
    sums = {kind: PassedOverFiles(kind) for kind in PHRASES}
    for of_root in passed_over:
        total = sums[of_root.kind]
        total.files += of_root.files
        total.folders += of_root.folders
        total.photos += of_root.photos
        total.all_counted &= of_root.all_counted
    return [total for total in sums.values() if total.files or total.folders]


def describe_passed_over(passed_over: Iterable[PassedOverFiles]) -> str:
    """Return the counts of what was passed over as a list in words; empty folders are not worth one.

    A count includes the photos inside the folders that were left out, as far as they were looked at.

    Args:
        passed_over: What each walk passed over of each kind.

    Returns:
        The list, for example "2 videos, 31 thumbnails (4 folders)"; empty if nothing was passed over.
    """
    return ", ".join(describe(kind) for kind in sum_by_kind(passed_over) if kind.files or kind.photos)


def describe(kind: PassedOverFiles) -> str:
    """Return how much was passed over of one kind: "1,204 thumbnails (31 folders)".

    Args:
        kind: What was passed over of this kind.
    """
    count = in_words(kind.kind, kind.files + kind.photos, all_counted=kind.all_counted)
    return f"{count} ({counted(kind.folders, 'folder')})" if kind.folders else count


def in_words(kind: str, count: int, *, all_counted: bool = True) -> str:
    """Return how many files of a kind were passed over: "1 video", "2 left out by patterns".

    Args:
        kind: The kind, a key of `PHRASES`.
        count: How many files.
        all_counted: Whether these are all.
    """
    return f"{count:,}{'' if all_counted else ' or more'} {PHRASES[kind].format(s='' if count == 1 else 's')}"
