"""Photo folders of an index: one name for each, no photo in two of them, and photos that moved between them.

A photo belongs to the outermost folder of the index that reaches it. A folder inside another is a part of that, unless
it is left out there, as `~/.photos` is in `~`: then it is a folder of its own.
"""

import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from indexer.building.changes import Scan, scan_folder
from indexer.errors import PhotoseekError
from indexer.photos.folder_names import Folder, existing_name, places_below
from indexer.photos.rules.patterns import Patterns
from indexer.photos.scan import Identity
from indexer.printable import counted, printable
from indexer.stacks.stacking import regroup
from indexer.storage.catalogue import Catalogue
from indexer.user_paths import absolute_path


def scan_roots(
    photos: Sequence[str | Path],
    known: Sequence[bytes],
    patterns: Patterns,
    on_walk: Callable[[int], None] = lambda found: None,
) -> list[Scan]:
    """Walk the folders that a build names.

    Args:
        photos: The folders. A folder that the index knows by another name keeps the name there.
        known: The roots of the index.
        patterns: What to leave out or take beside the defaults.
        on_walk: Gets how many photos were found so far in all folders, again and again.

    Returns:
        A walk of each folder. One that lies in another folder of the index gives a walk of that part of it.

    Raises:
        PhotoseekError: A folder cannot be read, or a pattern is not valid gitignore syntax.
    """
    roots = [Folder.at(path) for path in known]
    named: list[Folder] = []
    for path in photos:
        folder = Folder.at(existing_name(os.fsencode(absolute_path(path))))
        folder = next((root for root in roots if root.is_same(folder)), folder)
        if not any(folder.is_same(other) for other in named):
            named.append(folder)
    roots = list(dict.fromkeys((*named, *roots)))
    scans: list[Scan] = []

    def scan(root: Folder, below: bytes = b"") -> Scan:
        before = sum(len(done.files) for done in scans)
        return scan_folder(root.path, patterns, _others(root, roots), below, lambda found: on_walk(before + found))

    # From the outside in, so that a walk shows whether it reaches the folders inside it.
    for folder in sorted(named, key=_depth):
        found = _scan_inside(folder, roots, named, scans, scan)
        scans += [scan(folder)] if found is None else found
    return scans


def _scan_inside(
    folder: Folder,
    roots: Iterable[Folder],
    named: Sequence[Folder],
    scans: Iterable[Scan],
    scan: Callable[[Folder, bytes], Scan],
) -> list[Scan] | None:
    """Walk a folder as a part of the outermost root that reaches it; nothing if it was walked, None without such."""
    outer = [(root, place) for root in roots if (place := folder.inside(root)) is not None]
    for root, place in sorted(outer, key=lambda item: _depth(item[0])):
        if any(done.root == root.path and done.walked(place) and not done.leaves_out(place) for done in scans):
            return []
        if root not in named and root.identity is not None:
            found = scan(root, place)
            if not found.leaves_out(place):
                return [found]
    return None


def _depth(folder: Folder) -> int:
    """Return how many folders a folder is in."""
    return folder.real.count(b"/")


def _others(root: Folder, roots: Iterable[Folder]) -> frozenset[Identity]:
    """Return what tells the other roots that a walk may meet behind links; those inside the root are parts of it."""
    others = {other.identity for other in roots if not other.is_same(root) and other.inside(root) is None}
    return frozenset(identity for identity in others if identity is not None)


def take_over(catalogue: Catalogue, scan: Scan, root_id: int, folders: Mapping[bytes, Folder]) -> list[str]:
    """Give a root the photos of other roots that are the same files, inside a transaction.

    These are roots inside it, other names of it, and roots that are gone while the same files (path, size and time) are
    here: the folder was renamed or moved. Of the latter only what is found goes.

    Args:
        catalogue: The catalogue.
        scan: The walk of the root.
        root_id: Its id.
        folders: The roots of the catalogue by their paths, this one among them.

    Returns:
        What was done, a line each.
    """
    notes = []
    for other, other_id in catalogue.root_folders.ids().items():
        place = None if other == scan.root else _place_of(folders[other], scan, folders[scan.root])
        if other == scan.root or (place is None and os.path.lexists(other)):
            continue
        count = _move(catalogue, scan, root_id, other_id, place or b"")
        if place is not None:
            catalogue.root_folders.move_left_out(other_id, root_id, place)
            catalogue.root_folders.forget(other_id)
            notes.append(f"{_shown(other)} is a part of {_shown(scan.root)} in the index from now on")
        elif count:
            notes.append(f"{counted(count, 'photo')} moved from {_shown(other)} to {_shown(scan.root)}")
            if not catalogue.root_folders.photo_count(other_id):
                catalogue.root_folders.move_left_out(other_id, root_id, b"")
                catalogue.root_folders.forget(other_id)
    return notes


def _place_of(other: Folder, scan: Scan, root: Folder) -> bytes | None:
    """Return where another root is in a walk: what goes before its paths there, None if it is not in it."""
    if other.is_same(root):
        return None if scan.below else b""
    place = other.inside(root) if other.identity is not None else None
    return None if place is None or not scan.walked(place) or scan.leaves_out(place) else place + b"/"


def _move(catalogue: Catalogue, scan: Scan, root_id: int, other_id: int, place: bytes) -> int:
    """Move the photos of another root that a walk found as they were, and return how many have a row."""
    known = catalogue.known_files(root_id)
    others = catalogue.known_files(other_id)
    start = len(place)
    moved = [
        (file.path[start:], file.path)
        for file in scan.files
        if file.path.startswith(place)
        and file.path not in known
        and (before := others.get(file.path[start:])) is not None
        and (before.size, before.mtime_ns) == (file.size, file.mtime_ns)
    ]
    catalogue.root_folders.move_photos(other_id, root_id, moved)
    return sum(not others[old_path].was_skipped for old_path, _ in moved)


def drop_moved(catalogue: Catalogue, built: Sequence[int]) -> list[str]:
    """Remove photos of roots that are gone if the roots of this build have them, inside a transaction.

    A root that is gone and of which nothing else is left goes, too. One whose photos are found nowhere stays, because
    its disk may only be unplugged.

    Args:
        catalogue: The catalogue.
        built: Ids of the roots of this build.

    Returns:
        What was done, a line each.
    """
    notes = []
    for root, root_id in catalogue.root_folders.ids().items():
        if root_id in built or os.path.lexists(root):
            continue
        found = catalogue.root_folders.drop_photos_found_in(root_id, built)
        left = catalogue.root_folders.photo_count(root_id)
        if found and not left:
            catalogue.root_folders.forget(root_id)
            notes.append(f"{_shown(root)} is gone, and all its photos were found elsewhere: the index forgets it")
        elif found:
            notes.append(
                f"{_shown(root)} is gone, and {found:,} of its photos were found elsewhere; "
                f"the other {left:,} are kept until photoseek forget {shlex.quote(_shown(root))} -i "
                f"{shlex.quote(str(catalogue.path.parent))}"
            )
    return notes


def forget_folder(catalogue: Catalogue, folder: bytes) -> int:
    """Forget a root, or a folder below one, in one transaction. Photo files are not touched.

    Args:
        catalogue: The catalogue, open for writing.
        folder: An absolute path; it need not be there any more.

    Returns:
        How many photos were forgotten.

    Raises:
        PhotoseekError: The index knows nothing there, or the folder is not a root but holds some.
    """
    roots = catalogue.root_folders.ids()
    named = Folder.at(folder)
    whole = [root_id for root, root_id in roots.items() if Folder.at(root).is_same(named)]
    parts = [] if whole else _parts_of(roots, folder)
    with catalogue.transaction():
        count = sum(catalogue.root_folders.forget(root_id) for root_id in whole)
        count += sum(catalogue.root_folders.forget(root_id, place) for root_id, place in parts)
        regroup(catalogue)
    if not count and not whole:
        shown = ", ".join(map(_shown, roots)) or "none"
        raise PhotoseekError(f"no photos of the index lie under {_shown(folder)}; its folders: {shown}")
    return count


def _parts_of(roots: Mapping[bytes, int], folder: bytes) -> list[tuple[int, bytes]]:
    """Return in which roots a folder is, and where there; refuse a folder that roots are in."""
    parts: list[tuple[int, bytes]] = []
    for follow_links in (False, True):
        for root, root_id in roots.items():
            places = places_below(root, folder, follow_links=follow_links)
            if b"" in places:
                raise PhotoseekError(f"{_shown(folder)} is above {_shown(root)}, a folder of the index; name that one")
            parts += [(root_id, place) for place in places]
        if parts:
            break
    return parts


def _shown(path: bytes) -> str:
    return printable(os.fsdecode(path))
