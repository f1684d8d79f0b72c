"""Plan a compaction: how many rows are dead, and what room it takes and gives."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from indexer.printable import counted
from indexer.storage.catalogue import Catalogue
from indexer.storage.manifest import Manifest
from indexer.storage.recovery.row_records import RECORD
from indexer.views.view_files import RANKER

# The share of rows of photos that are gone from which on a build proposes a compaction.
PROPOSED_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class CompactionPlan:
    """Plan of a compaction.

    Attributes:
        rows: How many rows the index has.
        dead_rows: How many of these no photo has any more.
        left_out: How many of these are of photos that are left out: taken in again, they are embedded anew.
        needed_bytes: About how much room it takes beside the index until it is done.
        freed_bytes: About how much smaller the index is afterwards.
    """

    rows: int
    dead_rows: int
    left_out: int
    needed_bytes: int
    freed_bytes: int

    @property
    def is_worthwhile(self) -> bool:
        """Whether so many rows are of photos that are gone that a build proposes it."""
        return self.gone > 0 and self.gone >= PROPOSED_SHARE * self.rows

    @property
    def gone(self) -> int:
        """Number of rows of photos that are gone."""
        return self.dead_rows - self.left_out

    def lines(self) -> Iterator[str]:
        """Yield what will be done, a line each."""
        if not self.dead_rows:
            yield "nothing to compact: every row has a photo"
            return
        live = self.rows - self.dead_rows
        yield (
            f"to do: write {live:,} of {counted(self.rows, 'row')} anew, without {self.dead_rows:,} that no photo has; "
            f"needs {_megabytes(self.needed_bytes)} beside the index, and gives {_megabytes(self.freed_bytes)} back"
        )
        if self.left_out:
            rows = counted(self.left_out, "row")
            yield f"       of these {rows} of photos that are left out: taken in again, they are embedded anew"


def plan_compaction(folder: Path, manifest: Manifest, catalogue: Catalogue) -> CompactionPlan:
    """Plan the compaction of an index.

    Args:
        folder: The index folder.
        manifest: What it holds.
        catalogue: Its catalogue.
    """
    rows, dead_rows = catalogue.row_count(), len(catalogue.dead_rows())
    live_share = (rows - dead_rows) / rows if rows else 0.0
    view = catalogue.active_view()
    place = folder / "views" / (view.id if view else "")
    in_view = [] if view is None else [path for path in place.iterdir() if path.is_file()]
    of_ranker = 0 if view is None else sum(map(os.path.getsize, (place / RANKER).iterdir()))
    row_bytes = sum(manifest.row_bytes.values()) + RECORD.itemsize
    of_rows = row_bytes * rows + sum(map(os.path.getsize, in_view))
    # A catalogue is written twice: its changes beside it, then into it.
    of_catalogue = os.path.getsize(catalogue.path)
    return CompactionPlan(
        rows=rows,
        dead_rows=dead_rows,
        left_out=catalogue.unindexed.dead_row_count(),
        needed_bytes=int(live_share * (of_rows + 2 * of_catalogue)) + of_ranker,
        freed_bytes=int((1 - live_share) * (of_rows + of_catalogue)),
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
