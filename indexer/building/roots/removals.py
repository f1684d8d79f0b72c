"""Refuse to remove photos where a disk that is not mounted is likelier than that they were deleted."""

import json
import os
from collections import Counter
from collections.abc import Iterable

from indexer.building.changes import Changes, Scan
from indexer.errors import PhotoseekError
from indexer.photos.found_files import PhotoFile
from indexer.printable import counted, printable
from indexer.storage.catalogue import Catalogue

# A build that removes more photos of a folder than this, and a larger share of them, must say that it is meant.
MOST_REMOVED, MOST_REMOVED_SHARE = 100, 0.25
# The catalogue's setting that names the folders in a root that were disks of their own, by the root's id.
MOUNTS_SETTING = "mounts-{}"
ADVICE = "no photo was removed; if they were deleted on purpose, build with --accept-removals"


def refuse_removals(catalogue: Catalogue, scan: Scan, changes: Changes) -> None:
    """Refuse a build that would remove a large part of a folder, or all that was on a disk mounted in it.

    A photo that was renamed or moved inside the folder is not removed: its size and time are found again.

    Args:
        catalogue: The catalogue.
        scan: The walk of the folder.
        changes: What it found.

    Raises:
        PhotoseekError: The photos are many, or the disk is not there.
    """
    lost = _lost(changes)
    if not lost:
        return
    for mount in _kept_mounts(catalogue, changes.root_id):
        on_it = [path for path in lost if path.startswith(mount + b"/")]
        if on_it and not any(file.path.startswith(mount + b"/") for file in scan.files):
            place = printable(os.fsdecode(os.path.join(scan.root, mount)))
            raise PhotoseekError(
                f"{place!r} was a disk of its own with {counted(len(on_it), 'photo')}, and holds none now; is it not "
                f"mounted? {ADVICE}"
            )
    known = sum(not file.was_skipped for path, file in changes.known.items() if scan.walked(path))
    if len(lost) > MOST_REMOVED and len(lost) > MOST_REMOVED_SHARE * known:
        raise PhotoseekError(
            f"{len(lost):,} of {known:,} photos under {printable(scan.place)!r} are gone; is a disk not mounted? "
            f"{ADVICE}"
        )


def keep_mounts(catalogue: Catalogue, scan: Scan, root_id: int) -> None:
    """Keep which folders in a root are disks of their own, inside a transaction; a walk of a part says nothing of it.

    Args:
        catalogue: The catalogue.
        scan: The walk of the root.
        root_id: Its id.
    """
    if scan.below:
        return
    mounts = [os.fsdecode(path) for path in mount_points(scan.root, scan.files)]
    value = json.dumps(mounts) if mounts else None
    if value != catalogue.setting(MOUNTS_SETTING.format(root_id)):
        catalogue.set_setting(MOUNTS_SETTING.format(root_id), value)


def mount_points(root: bytes, files: Iterable[PhotoFile]) -> list[bytes]:
    """Return the folders with photos, as paths below a root, that lie on another device than the folder above them.

    Args:
        root: The root.
        files: The photos that were found in it.
    """
    devices = {b"": os.stat(root).st_dev}
    mounts = []
    for folder in sorted({folder for file in files for folder in _folders_of(file.path)}):
        try:
            info = os.lstat(os.path.join(root, folder))
        except OSError:  # it went meanwhile
            continue
        devices[folder] = info.st_dev
        if devices.get(os.path.dirname(folder), info.st_dev) != info.st_dev:
            mounts.append(folder)
    return mounts


def _folders_of(path: bytes) -> list[bytes]:
    """Return the folders that a photo is in, as paths below the root."""
    folders = []
    while path := os.path.dirname(path):
        folders.append(path)
    return folders


def _lost(changes: Changes) -> list[bytes]:
    """Return the photos with a row that are gone, without those whose size and time a new file has."""
    found = Counter((file.size, file.mtime_ns) for file in changes.new)
    lost = []
    for path in changes.gone:
        before = changes.known[path]
        state = before.size, before.mtime_ns
        if before.was_skipped:
            continue
        if found[state]:
            found[state] -= 1
        else:
            lost.append(path)
    return lost


def _kept_mounts(catalogue: Catalogue, root_id: int) -> list[bytes]:
    """Return the folders in a root that were disks of their own when it was walked last."""
    value = catalogue.setting(MOUNTS_SETTING.format(root_id))
    return [] if value is None else [os.fsencode(path) for path in json.loads(value)]
