"""Say what a build does: its stages, what it skips, and its summary."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from photoseek.progress.console import Stages, say

if TYPE_CHECKING:
    from indexer.callbacks import BuildCallbacks
    from indexer.index import Index
    from indexer.photos.found_files import PhotoFile, Skipped


class BuildTalk:
    """Messages about one build.

    Args:
        quiet: Name no skipped photos.

    Attributes:
        unsettled: How many files were left to the next build, as they were still being written.
    """

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._named = 0
        self.unsettled = 0

    def callbacks(self, on_stage: Stages) -> "BuildCallbacks":
        """Return the callbacks of the build.

        Args:
            on_stage: Shows the stages.
        """
        from indexer.callbacks import BuildCallbacks

        def on_slowest(path: bytes, seconds: float) -> None:
            on_stage.remark(f"slowest so far {_shown(path)} ({seconds:.1f} s)")

        return BuildCallbacks(
            on_walk=lambda found: on_stage("looking for photos", found, 0),
            on_progress=lambda done, total: on_stage("indexing", done, total),
            on_slowest=on_slowest,
            on_skip=self._on_skip,
            on_unsettled=self._on_unsettled,
            on_note=say,
        )

    def echo_summary(self, index: "Index", seconds: float, *, only_changes: bool = False) -> None:
        """Print what the build did.

        Args:
            index: The index, after it.
            seconds: How long it took.
            only_changes: Print nothing if nothing was done.
        """
        from indexer.printable import counted

        last = index.history()[-1]
        if only_changes and not (last.added or last.changed or last.removed):
            return
        before = last.skipped - self._named
        known = f" ({before} known from before)" if before else ""
        click.echo(
            f"{counted(index.catalogue.photo_count(), 'photo')} in {_from_here(index.folder)}: {last.added} added, "
            f"{last.changed} changed, {last.removed} removed, {last.skipped} skipped{known}, {seconds:.1f} s"
        )

    def _on_skip(self, skipped: "Skipped") -> None:
        """Name a photo that was skipped, and the reason."""
        self._named += 1
        if not self._quiet:
            say(f"skipped {_shown(skipped.path)}: {_shown(skipped.reason)}")

    def _on_unsettled(self, _file: "PhotoFile") -> None:
        self.unsettled += 1


def _from_here(folder: Path) -> str:
    """Return a folder as a person names it: from the current folder, if it lies there."""
    with suppress(OSError, ValueError):  # the current folder may be gone, and the folder elsewhere
        return str(folder.relative_to(Path.cwd()))
    return str(folder)


def _shown(text: str | bytes) -> str:
    """Return a text or path as a terminal may get it."""
    from indexer.printable import printable

    return printable(os.fsdecode(text))
