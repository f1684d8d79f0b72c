"""Repair an index: manifest and catalogue first, then rows, view, and what protects them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from indexer.callbacks import BuildCallbacks
from indexer.embedding.pipeline import Decoding
from indexer.encoders import ImageEncoder
from indexer.index import Index
from indexer.printable import counted, printable
from indexer.verification.find_photos import find_photos
from indexer.verification.plan_repair import RepairPlan, plan_repair
from indexer.verification.rebuild_catalogue import finish_rebuild, rebuild_catalogue
from indexer.verification.repair_rows import repair_rows
from indexer.verification.verify import VerifySettings, verify_index
from photoseek.attach import attach_ranker, ranker_for
from reranker.ranker import Ranker


@dataclass(frozen=True, slots=True)
class RepairCallbacks:
    """Callbacks of a repair; by default none does anything.

    Attributes:
        on_line: Gets a line about what will be done, and about what was done.
        on_note: Gets a line about what could not be done, and why.
        on_stage: Called with (what is done, how much, of how much).
        build: Those of the build that finds the photos of a catalogue that was made anew.
    """

    on_line: Callable[[str], None] = lambda _line: None
    on_note: Callable[[str], None] = lambda _note: None
    on_stage: Callable[[str, int, int], None] = lambda _stage, _done, _total: None
    build: BuildCallbacks = field(default_factory=BuildCallbacks)


def repair_index(folder: Path, callbacks: RepairCallbacks, encoder: ImageEncoder | None = None) -> None:
    """Mend what a verification of an index finds; what is right stays as it is.

    Args:
        folder: The index folder, an absolute path.
        callbacks: What to call on the way.
        encoder: The encoder of the index, in its precision; loaded when it is needed without one.

    Raises:
        PhotoseekError: Something is damaged that cannot be repaired, or the index cannot be written.
    """
    plan = _announced_plan(folder, callbacks)
    if plan.manifest or plan.catalogue or plan.photos:
        _restore(plan, callbacks, encoder)
        # What is damaged beside shows only now.
        plan = _announced_plan(folder, callbacks)
    if plan.has_work:
        _mend(plan, callbacks, encoder)


def _announced_plan(folder: Path, callbacks: RepairCallbacks) -> RepairPlan:
    """Verify an index, plan what to do, and say it."""
    plan = plan_repair(folder, verify_index(folder, VerifySettings(Ranker.load, None), callbacks.on_stage))
    for line in plan.lines():
        callbacks.on_line(line)
    return plan


def _restore(plan: RepairPlan, callbacks: RepairCallbacks, encoder: ImageEncoder | None) -> None:
    """Write a lost manifest again, make a lost catalogue anew, and find its photos."""
    if plan.manifest:
        plan.restore_manifest()
        callbacks.on_line("manifest written again")
    if plan.catalogue:
        made = rebuild_catalogue(plan.folder, plan.described, Ranker.load)
        callbacks.on_line(f"catalogue made anew with {counted(made.rows, 'row')}")
        if made.damaged:
            callbacks.on_line(f"{counted(made.damaged, 'row')} damaged, whose photos are embedded again")
        if made.lost:
            callbacks.on_line(f"lost: {', '.join(made.lost)}")
    if plan.photos or plan.catalogue:
        encoder = encoder or plan.load_encoder()
        for root in find_photos(plan.folder, plan.described, encoder, Decoding(), callbacks.build):
            shown = printable(root)
            callbacks.on_note(f"{shown} is not there; a build of it finds its photos again without embedding them")


def _mend(plan: RepairPlan, callbacks: RepairCallbacks, encoder: ImageEncoder | None) -> None:
    """Mend rows, view and what protects them."""
    waiting = 0
    if plan.seal:
        plan.renew_seal()
    if plan.rows:
        encoder = encoder or plan.load_encoder()
        done = repair_rows(plan.folder, plan.rows, encoder, Decoding(), lambda d, t: callbacks.on_stage("rows", d, t))
        callbacks.on_line(f"{counted(done.written, 'row')} written, {done.right:,} right as they were")
        waiting = done.waiting
        if waiting:
            callbacks.on_note(
                f"{counted(waiting, 'row')} wait for photos that cannot be read; call repair again with them"
            )
    if plan.records and not waiting:  # a record tells that a row is damaged until the row is mended
        plan.renew_records()
    with Index.open(plan.folder) as index:
        ranker = ranker_for(index, on_stage=callbacks.on_stage) if plan.view and index.rows else None
        if ranker is not None:
            attach_ranker(index, ranker, anew=True, on_stage=callbacks.on_stage, on_problem=callbacks.on_note)
            callbacks.on_line(f"view of ranker {ranker.id} built again")
    if plan.unfinished:
        finish_rebuild(plan.folder, plan.described)
