"""Repair an index: `photoseek repair`."""

from pathlib import Path

import click

from photoseek.options.standard_options import examples, index_option, quiet_option
from photoseek.progress.build_talk import BuildTalk
from photoseek.progress.console import progress_bars, say


@click.command()
@examples("photoseek repair -i indexes/photos")
@index_option
@quiet_option
def repair(folder: Path, quiet: bool) -> None:
    """Mend what verify finds: rows, view, catalogue, manifest.

    The photos of damaged rows are embedded again, and rows that are right stay as they are. A damaged or lost catalogue
    is made anew, and photos whose file is as it was are not embedded. Where photos cannot be read, as on a disk that is
    not mounted, repair goes on when it is called again.
    """
    from indexer.user_paths import absolute_path
    from photoseek.repair import RepairCallbacks, repair_index

    with progress_bars(quiet) as on_stage:
        talk = BuildTalk(quiet).callbacks(on_stage)
        repair_index(absolute_path(folder), RepairCallbacks(click.echo, say, on_stage, talk))
