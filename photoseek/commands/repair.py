"""Repair an index: `photoseek repair`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from photoseek.options.standard_options import examples, index_option, quiet_option
from photoseek.progress.build_talk import BuildTalk
from photoseek.progress.console import Stages, progress_bars, say

if TYPE_CHECKING:
    from indexer.verification.plan_repair import RepairPlan


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

    place = absolute_path(folder)
    plan = _announced_plan(place, quiet)
    if plan.manifest or plan.catalogue or plan.photos:
        with progress_bars(quiet) as on_stage:
            _restore(plan, quiet, on_stage)
        # What is damaged beside shows only now.
        plan = _announced_plan(place, quiet)
    if plan.has_work:
        with progress_bars(quiet) as on_stage:
            _mend(plan, on_stage)


def _announced_plan(folder: Path, quiet: bool) -> "RepairPlan":
    """Verify an index, plan what to do, and say it."""
    from indexer.verification.plan_repair import plan_repair
    from indexer.verification.verify import VerifySettings, verify_index
    from reranker.ranker import Ranker

    with progress_bars(quiet) as on_stage:
        plan = plan_repair(folder, verify_index(folder, VerifySettings(Ranker.load, None), on_stage))
    for line in plan.lines():
        click.echo(line)
    return plan


def _restore(plan: "RepairPlan", quiet: bool, on_stage: Stages) -> None:
    """Write a lost manifest again, make a lost catalogue anew, and find its photos."""
    from indexer.embedding.pipeline import Decoding
    from indexer.printable import counted, printable
    from indexer.verification.find_photos import find_photos
    from indexer.verification.rebuild_catalogue import rebuild_catalogue
    from reranker.ranker import Ranker

    if plan.manifest:
        plan.restore_manifest()
        click.echo("manifest written again")
    if plan.catalogue:
        made = rebuild_catalogue(plan.folder, plan.described, Ranker.load)
        click.echo(f"catalogue made anew with {counted(made.rows, 'row')}")
        if made.damaged:
            click.echo(f"{counted(made.damaged, 'row')} damaged; their photos are embedded again")
        if made.lost:
            click.echo(f"lost: {', '.join(made.lost)}")
    if plan.photos or plan.catalogue:
        talk = BuildTalk(quiet)
        away = find_photos(plan.folder, plan.described, plan.load_encoder(), Decoding(), talk.callbacks(on_stage))
        for root in away:
            say(f"{printable(root)} is not there; a build of it finds its photos again, without embedding them")


def _mend(plan: "RepairPlan", on_stage: Stages) -> None:
    """Mend rows, view and what protects them."""
    from indexer.embedding.pipeline import Decoding
    from indexer.index import Index
    from indexer.printable import counted
    from indexer.verification.rebuild_catalogue import finish_rebuild
    from indexer.verification.repair_rows import repair_rows
    from photoseek.attach import attach_ranker, ranker_for

    if plan.seal:
        plan.renew_seal()
    if plan.rows:
        encoder = plan.load_encoder()
        done = repair_rows(plan.folder, plan.rows, encoder, Decoding(), lambda d, t: on_stage("rows", d, t))
        click.echo(f"{counted(done.written, 'row')} written, {done.right:,} right as they were")
        if done.waiting:
            say(f"{counted(done.waiting, 'row')} wait for photos that cannot be read; call repair again with them")
    if plan.records:
        plan.renew_records()
    with Index.open(plan.folder) as index:
        ranker = ranker_for(index, on_stage=on_stage) if plan.view and index.rows else None
        if ranker is not None:
            attach_ranker(index, ranker, anew=True, on_stage=on_stage, on_problem=say)
            click.echo(f"view of ranker {ranker.id} built again")
    if plan.unfinished:
        finish_rebuild(plan.folder, plan.described)
