"""Say what an index lacks whose build goes on or was interrupted, and why an index has no view."""

import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.encoders import is_joint_name
from indexer.errors import PhotoseekError
from indexer.storage.catalogue import Catalogue
from indexer.storage.manifest import Manifest
from indexer.storage.write_lock import is_being_written
from indexer.views.view_files import attach_advice

if TYPE_CHECKING:
    # The decoders, which a search does not need.
    from indexer.building.changes import Changes

# The catalogue's setting that says how many photos the index will hold, about, when the build is finished.
EXPECTED = "photos_expected"


def expect_photos(catalogue: Catalogue, found: "Iterable[Changes]") -> None:
    """Keep how many photos an index is going to hold, which a search says while they are not all there.

    Args:
        catalogue: The catalogue, open for writing.
        found: What the build is about to write, one for each folder.
    """
    to_come = sum(
        file.path not in changes.known or changes.known[file.path].was_skipped
        for changes in found
        for file in changes.new
    )
    catalogue.set_setting(EXPECTED, str(catalogue.photo_count() + to_come))


def expect_no_more(catalogue: Catalogue) -> None:
    """Note that a build is finished.

    Args:
        catalogue: The catalogue, open for writing.
    """
    catalogue.set_setting(EXPECTED, None)


def is_unfinished(catalogue: Catalogue) -> bool:
    """Return whether an index lacks photos that its last build or repair was to find.

    Args:
        catalogue: Its catalogue.
    """
    expected = catalogue.setting(EXPECTED)
    return expected is not None and catalogue.photo_count() < int(expected)


def missing_note(folder: Path, catalogue: Catalogue) -> str | None:
    """Return a note on how much of an index is missing, None if its last build was finished.

    Args:
        folder: The index folder.
        catalogue: Its catalogue.
    """
    if not is_unfinished(catalogue):
        return None
    expected, present = catalogue.setting(EXPECTED) or "0", catalogue.photo_count()
    advice = "a build is running" if is_being_written(folder) else "run the build again"
    return f"{present:,} of about {int(expected):,} photos are indexed so far; {advice}"


def no_view(folder: Path, manifest: Manifest, catalogue: Catalogue) -> PhotoseekError:
    """Return the error to raise for an index without a view: its cause, and the next command.

    Args:
        folder: The index folder.
        manifest: What it holds.
        catalogue: Its catalogue.
    """
    if has_other_view(folder, ""):
        return copied_without_changes(folder)
    if not catalogue.row_count():
        if is_being_written(folder):
            return PhotoseekError(f"index {folder} holds no photos yet; a build is running, search again in a while")
        return PhotoseekError(
            f"index {folder} holds no photos: its build was interrupted before the first were kept, or none could be "
            "read; run the build again"
        )
    name = manifest.encoder_name
    missing = missing_note(folder, catalogue)
    what = f"index {folder} has no ranker yet" + (f" ({missing})" if missing else "")
    place = shlex.quote(str(folder))
    if is_joint_name(name):
        return PhotoseekError(f"{what}; photoseek build PHOTOS -i {place} attaches {name}'s own")
    return PhotoseekError(
        f"{what}; photoseek use RANKER -i {place} attaches one, {manifest.training_command} makes one"
    )


def has_other_view(folder: Path, name: str) -> bool:
    """Return whether an index lacks the view that its catalogue names, and has another one.

    Args:
        folder: The index folder.
        name: Name of the view; "" if the catalogue names none.
    """
    views = folder / "views"
    if name and os.path.isdir(views / name):
        return False
    try:
        return any(not other.startswith(".") for other in os.listdir(views))
    except OSError:  # there is none, or it may not be looked at
        return False


def copied_without_changes(folder: Path) -> PhotoseekError:
    """Return the error to raise for an index that has another view than its catalogue says."""
    return PhotoseekError(
        f"index {folder} has another view than its catalogue says, as when it is copied without catalogue.sqlite-wal; "
        f"copy the whole folder again, or {attach_advice(folder)}"
    )
