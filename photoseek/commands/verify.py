"""Verify an index: `photoseek verify`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from photoseek.options.standard_options import examples, index_option, quiet_option
from photoseek.progress.console import echo_json, progress_bars, say

if TYPE_CHECKING:
    from indexer.verification.findings import Verification


@click.command()
@examples("photoseek verify -i indexes/photos", "photoseek verify --full")
@index_option
@click.option("--sample", metavar="N", type=click.IntRange(min=0), help="Rows compared with the view.  [default: 1000]")
@click.option("--full", is_flag=True, help="Compare all rows with the view.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@quiet_option
def verify(folder: Path, sample: int | None, full: bool, as_json: bool, quiet: bool) -> None:
    """Read everything that an index keeps, and name what is not as it was written.

    Nothing is changed. The exit status is 1 if anything was found.
    """
    from indexer.user_paths import absolute_path
    from indexer.verification.verify import SAMPLE_ROWS, VerifySettings, verify_index
    from reranker.ranker import Ranker

    if full and sample is not None:
        raise click.UsageError("--full compares all rows, --sample some of them; give one")
    settings = VerifySettings(Ranker.load, None if full else SAMPLE_ROWS if sample is None else sample)
    with progress_bars(quiet) as on_stage:
        found = verify_index(absolute_path(folder), settings, on_stage)
    if as_json:
        echo_json(
            {
                "index": str(folder),
                "whole": found.is_whole,
                "findings": [finding.as_dict() for finding in found.findings],
                "notes": found.notes,
                "rows": found.rows,
                "compared_rows": found.compared_rows,
                "read_bytes": found.read_bytes,
            }
        )
    else:
        _echo(folder, found)
    if not found.is_whole:
        click.get_current_context().exit(1)


def _echo(folder: Path, found: "Verification") -> None:
    """Print the findings, with their photos, and a last line that says whether the index is whole."""
    from indexer.printable import counted, printable

    for note in found.notes:
        say(f"note: {note}")
    for finding in found.findings:
        click.echo(f"{finding.file}: {printable(finding.problem)}")
        for photo in finding.photos:
            click.echo(f"  {printable(photo)}")
        if len(finding.rows) > len(finding.photos) > 0:
            click.echo(f"  and {len(finding.rows) - len(finding.photos):,} more rows")
    state = "whole" if found.is_whole else f"damaged: {counted(len(found.findings), 'finding')}"
    click.echo(
        f"{folder} is {state}; {counted(found.rows, 'row')}, {found.read_bytes / 1e6:,.1f} MB read, "
        f"{found.compared_rows:,} compared with the view"
    )
    if not found.is_whole:
        say(f"to mend it: photoseek repair -i {shlex.quote(str(folder))}")
