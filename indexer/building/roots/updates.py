"""Update the catalogue for the walked folders of a build: before anything is embedded, and after all is.

A build whose folders have lost all their photos is refused. Photos that moved or came back need no embedding. What is
gone or left out is taken out last.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from indexer.building.changes import Changes, Scan, find_changes
from indexer.building.roots.ownership import take_over
from indexer.building.roots.passed_over import describe_passed_over
from indexer.building.roots.removals import keep_mounts, refuse_removals
from indexer.callbacks import BuildCallbacks
from indexer.embedding.pipeline import Decoding
from indexer.errors import PhotoseekError
from indexer.photos.folder_names import Folder
from indexer.photos.rules.patterns import Patterns
from indexer.printable import counted
from indexer.stacks.stacking import mark_stale
from indexer.storage import manifest
from indexer.storage.catalogue import Catalogue
from indexer.storage.generations import open_for_reading


def read_kept(folder: Path) -> tuple[list[bytes], Patterns]:
    """Return the roots and the patterns that an index keeps, if there is one."""
    if not manifest.exists(folder):
        return [], Patterns()
    _, catalogue = open_for_reading(folder)
    with closing(catalogue):
        return catalogue.roots(), Patterns.from_json(catalogue.setting(Patterns.SETTING))


def with_photos(scans: list[Scan], known: Sequence[bytes], callbacks: BuildCallbacks) -> list[Scan]:
    """Return the walks of folders that hold photos or that the index knows; refuse to go on without any."""
    kept, empty = [], []
    for scan in scans:
        if scan.files or scan.root in known:
            kept.append(scan)
            continue
        passed_over = describe_passed_over(scan.passed_over.values())
        also = f" (passed over: {passed_over})" if passed_over else ""
        empty.append(f"no photos found under {scan.place!r}{also}")
    if not kept:
        raise PhotoseekError("; ".join(empty))
    for line in empty:
        callbacks.on_note(line)
    return kept


def keep_patterns(catalogue: Catalogue, before: Patterns, patterns: Patterns, callbacks: BuildCallbacks) -> None:
    """Keep the patterns of an index for later builds, and say so where they are others than before."""
    if patterns != before:
        catalogue.set_setting(Patterns.SETTING, patterns.to_json())
        callbacks.on_note(f"patterns that the index keeps now: {patterns.described()}")


def refuse_empty(catalogue: Catalogue, scans: list[Scan], callbacks: BuildCallbacks) -> None:
    """Refuse a folder that has lost all its photos but those that are left out, before anything is changed."""
    ids = catalogue.root_folders.ids()
    for scan in scans:
        if scan.files or scan.root not in ids:
            continue
        known = [path for path in catalogue.known_files(ids[scan.root]) if scan.walked(path)]
        if not all(map(scan.leaves_out, known)):
            raise PhotoseekError(
                f"no photos found under {scan.place!r}, where the index knows {len(known)}; is a disk not mounted? "
                "Nothing was changed"
            )
        if not known:
            callbacks.on_note(f"no photos found under {scan.place!r}")


def prepare(
    catalogue: Catalogue, scans: Sequence[Scan], decoding: Decoding, callbacks: BuildCallbacks, accept_removals: bool
) -> list[Changes]:
    """Find what is new, after all that needs no embedding: photos of renamed folders, and photos that were left out.

    What the walks passed over is recorded here, so that it is right in an index whose build is interrupted.

    Args:
        catalogue: The catalogue, open for writing.
        scans: The walks of the folders.
        decoding: How files are checked.
        callbacks: What to call on the way.
        accept_removals: Whether any number of photos may be gone.

    Returns:
        The changes of each folder, in the order of `scans`.

    Raises:
        PhotoseekError: So many photos are gone that a disk is likely not mounted; nothing was written.
    """
    changes: list[Changes] = []
    notes: list[str] = []
    with catalogue.transaction():
        ids = [catalogue.root_id(scan.root) for scan in scans]
        folders = {root: Folder.at(root) for root in catalogue.roots()}
        for scan, root_id in zip(scans, ids, strict=True):
            notes += take_over(catalogue, scan, root_id, folders)
            left_out = catalogue.unindexed.left_out(root_id)
            changes.append(find_changes(scan, root_id, catalogue.known_files(root_id), left_out, decoding))
            if not accept_removals:
                refuse_removals(catalogue, scan, changes[-1])
            catalogue.unindexed.take_back(root_id, changes[-1].returned)
            if not scan.below:  # a part says nothing of the rest
                unseen = ((item.path, item.reason) for item in changes[-1].skipped)
                catalogue.unindexed.record_walk(root_id, scan.passed_over.values(), unseen)
            notes += _notes_on(changes[-1])
        if notes or any(found.new or found.left_out or found.gone for found in changes):
            mark_stale(catalogue)
    for note in notes:
        callbacks.on_note(note)
    return changes


def _notes_on(changes: Changes) -> list[str]:
    """Return lines for photos that go from the index or come back to it, though their files are as they were."""
    notes = []
    if changes.returned:
        notes.append(f"{counted(len(changes.returned), 'photo')} taken again that had been left out")
    leaving = sum(not changes.known[path].was_skipped for path in changes.left_out)
    if leaving:
        notes.append(f"{counted(leaving, 'photo')} of the index left out from now on")
    return notes


def take_out(catalogue: Catalogue, scan: Scan, changes: Changes) -> int:
    """Take out what is gone or left out, and return how many photos are gone."""
    root_id, unindexed = changes.root_id, catalogue.unindexed
    unindexed.leave_out(root_id, changes.left_out)
    unindexed.forget_left_out(root_id, changes.forgotten)
    catalogue.remove(root_id, changes.left_out)
    keep_mounts(catalogue, scan, root_id)
    return catalogue.remove(root_id, changes.gone)
