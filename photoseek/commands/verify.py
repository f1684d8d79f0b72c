"""Verify an index, repair it, and give room back: `photoseek verify`, `photoseek repair`, `photoseek compact`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from photoseek.options.standard_options import examples, index_option, index_words, quiet_option
from photoseek.progress.console import echo_json, progress_bars, say

if TYPE_CHECKING:
    from indexer.compaction.plan import CompactionPlan
    from indexer.index import Index
    from indexer.verification.findings import Verification


@click.command()
@examples("photoseek verify -i indexes/photos", "photoseek verify --full")
@index_option
@click.option(
    "--sample", metavar="N", type=click.IntRange(min=0), default=1000, show_default=True, help="Rows compared."
)
@click.option("--full", is_flag=True, help="Compare all rows with the view.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@quiet_option
def verify(folder: Path, sample: int, full: bool, as_json: bool, quiet: bool) -> None:
    """Read everything that an index keeps, and name what is not as it was written.

    Nothing is changed. The exit status is 1 if anything was found.
    """
    from indexer.user_paths import absolute_path
    from indexer.verification.verify import VerifySettings, verify_index
    from reranker.ranker import Ranker

    settings = VerifySettings(Ranker.load, None if full else sample)
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


@click.command()
@examples("photoseek repair -i indexes/photos")
@index_option
@quiet_option
def repair(folder: Path, quiet: bool) -> None:
    """Mend what verify finds: embed the photos of damaged rows again, and build a damaged view again.

    Rows that are right stay as they are. Where photos cannot be read, as on a disk that is not mounted, repair goes on
    when it is called again. A damaged catalogue or manifest cannot be mended.
    """
    from indexer.embedding.pipeline import Decoding
    from indexer.index import Index
    from indexer.printable import counted
    from indexer.user_paths import absolute_path
    from indexer.verification.plan_repair import plan_repair
    from indexer.verification.repair_rows import repair_rows
    from indexer.verification.verify import VerifySettings, verify_index
    from photoseek.attach import attach_ranker, ranker_for
    from reranker.ranker import Ranker

    place = absolute_path(folder)
    with progress_bars(quiet) as on_stage:
        plan = plan_repair(place, verify_index(place, VerifySettings(Ranker.load, None), on_stage))
    for line in plan.lines():
        click.echo(line)
    if not plan.has_work:
        return
    with progress_bars(quiet) as on_stage:
        if plan.seal:
            plan.renew_seal()
        if plan.rows:
            encoder = plan.load_encoder()
            done = repair_rows(place, plan.rows, encoder, Decoding(), lambda d, t: on_stage("rows", d, t))
            click.echo(f"{counted(done.written, 'row')} written, {done.right:,} right as they were")
            if done.waiting:
                say(f"{counted(done.waiting, 'row')} wait for photos that cannot be read; call repair again with them")
        with Index.open(folder) as index:
            ranker = ranker_for(index, on_stage=on_stage) if plan.view else None
            if ranker is not None:
                attach_ranker(index, ranker, anew=True, on_stage=on_stage, on_problem=say)
                click.echo(f"view of ranker {ranker.id} built again")


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
