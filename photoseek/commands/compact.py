"""Give back the room of photos that are gone: `photoseek compact`, and what proposes it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from photoseek.options.standard_options import examples, index_option, index_words, quiet_option
from photoseek.progress.console import progress_bars, say

if TYPE_CHECKING:
    from indexer.compaction.plan import CompactionPlan
    from indexer.index import Index


@click.command()
@examples("photoseek compact -i indexes/photos")
@index_option
@quiet_option
def compact(folder: Path, quiet: bool) -> None:
    """Give back the room of rows whose photos are gone: write the others anew, then switch to them.

    Searches that are open keep the old files until they end, and an interruption leaves the index as it was.
    """
    from indexer.compaction.compact import compact_index
    from indexer.index import Index
    from indexer.printable import counted
    from indexer.user_paths import absolute_path
    from photoseek.attach import attach_ranker
    from reranker.ranker import Ranker

    place = absolute_path(folder)

    def on_plan(plan: "CompactionPlan") -> None:
        for line in plan.lines():
            say(line)

    with progress_bars(quiet) as on_stage:
        done = compact_index(place, Ranker.load, on_plan, on_stage)
        if not done.dead_rows:
            return
        with Index.open(place) as index:
            if index.catalogue.active_view() is not None:
                attach_ranker(index, on_stage=on_stage, on_problem=say)
            rows = index.rows
    click.echo(f"{counted(done.dead_rows, 'row')} removed, {rows:,} left in {folder}")


def propose_compaction(index: "Index") -> None:
    """Say how the room of an index's dead rows is given back, if they are many."""
    from indexer.compaction.plan import plan_compaction

    plan = plan_compaction(index.folder, index.manifest, index.catalogue)
    if plan.is_worthwhile:
        say(
            f"{plan.dead_rows:,} of {plan.rows:,} rows are of photos that are gone; their room comes back with: "
            f"photoseek compact{index_words(index.folder)}"
        )
