"""Make an index and look at it: `photoseek build`, `use` and `info`."""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from indexer.errors import PhotoseekError
from photoseek.commands.compact import propose_compaction
from photoseek.commands.folders import (
    echo_passed_over,
    echo_passed_over_paths,
    passed_over_paths,
    pattern_options,
    photo_folders,
)
from photoseek.commands.watch import watch_until_stopped
from photoseek.options.standard_options import (
    POSITIVE_INTEGER,
    PRECISION,
    FloatRange,
    UserPath,
    device_option,
    encoder_options,
    examples,
    index_option,
    quiet_option,
    ranker_option,
)
from photoseek.progress.build_talk import BuildTalk
from photoseek.progress.console import Stages, echo_json, progress_bars, say

if TYPE_CHECKING:
    from indexer.index import Index
    from indexer.storage.tables.metadata_table import MetadataSummary
    from reranker.ranker import Ranker
    from search.moderation.policy_filter import Moderation

# Cameras that `info` names; `--json` has all.
SHOWN_CAMERAS = 5
DAMAGED = "indexed although damaged"


@click.command()
@examples("photoseek build ~/Pictures")
@click.argument("photos", nargs=-1, required=True)
@index_option
@pattern_options
@click.option(
    "--encoder",
    default=None,
    help="Image encoder; clip:NAME-OR-FOLDER searches at once, without training.  [default: efficientnet-lite]",
)
@click.option("--weights", help="A local state dict for a torchvision encoder.")
@click.option("--preprocess", help="How a file:PATH encoder expects its pixels.")
@click.option("--regions", is_flag=True, help="Keep region vectors, too, for finer reranking: about 5 KB per photo.")
@click.option(
    "--precision",
    type=PRECISION,
    default="auto",
    help="Number format that the encoder computes in; later builds keep it.  [default: the fastest that is as good]",
)
@ranker_option("The ranker folder to attach.  [default: the attached one, else the shipped one]")
@click.option("--policy", help="Policy that searches obey: minors, or a .toml file; 'none' takes it away.")
@click.option("--max-pixels", type=POSITIVE_INTEGER, default=None, help="Skip photos larger than this.")
@click.option(
    "--deadline", type=FloatRange(min=0.1), default=60.0, show_default=True, help="Seconds that one photo may take."
)
@click.option("--workers", type=POSITIVE_INTEGER, default=None, help="Decoding processes.  [default: one per core]")
@click.option("--rehash", is_flag=True, help="Read every file again, whatever its size and time; embed what changed.")
@click.option("--retry-skipped", is_flag=True, help="Try every skipped photo again.")
@click.option("--accept-removals", is_flag=True, help="Remove photos that are gone, however many they are.")
@click.option("--watch", is_flag=True, help="Go on: index what changes in the folders, until Ctrl-C.")
@device_option
@quiet_option
def build(
    photos: tuple[str, ...],
    folder: Path,
    exclude: tuple[str, ...],
    include: tuple[str, ...],
    encoder: str | None,
    weights: str | None,
    preprocess: str | None,
    regions: bool,
    precision: str,
    ranker: Path | None,
    policy: str | None,
    max_pixels: int | None,
    deadline: float,
    workers: int | None,
    rehash: bool,
    retry_skipped: bool,
    accept_removals: bool,
    watch: bool,
    device: str,
    quiet: bool,
) -> None:
    """Index the folders PHOTOS, or bring their index up to date.

    Broken files are skipped and named; a build that was cut short goes on where it stopped.
    """
    from indexer.embedding.pipeline import Decoding
    from indexer.file_checks import FileChecks
    from indexer.index import Index
    from indexer.photos.decode import MAX_PIXELS

    _check_policy(policy)
    name, options = _encoder_of_build(folder, encoder, encoder_options(weights, preprocess))
    builds = 0

    def build_once(settle_seconds: float = 0.0) -> bool:
        nonlocal builds
        begin, talk, is_first = time.monotonic(), BuildTalk(quiet), builds == 0
        checks = FileChecks(rehash and is_first, settle_seconds, retry_skipped and is_first)
        # Later builds take the patterns that the index keeps by then.
        patterns = ((), ()) if builds else (exclude, include)
        folders = photo_folders(photos, *patterns, accept_removals)
        with progress_bars(quiet) as on_stage:
            index = Index.build(
                folders,
                folder,
                encoder=name,
                encoder_options={"device": device, "precision": precision, **options},
                decoding=Decoding(workers, deadline, max_pixels or MAX_PIXELS, checks),
                regions=regions or None,
                callbacks=talk.callbacks(on_stage),
            )
            if builds == 0:
                _set_policy(index, policy)
            if builds == 0 or _has_new_rows(index):
                _attach(index, ranker, on_stage)
        talk.echo_summary(index, time.monotonic() - begin, only_changes=builds > 0)
        if builds == 0:
            echo_passed_over(index, photos)
            propose_compaction(index)
        builds += 1
        return talk.unsettled > 0

    if watch:
        watch_until_stopped(photos, folder, build_once)
    else:
        build_once()


def _check_policy(policy: str | None) -> None:
    """Refuse a policy that cannot be read, before the work begins."""
    from reranker.moderation.policy import Policy

    if policy is not None and policy != "none":
        Policy.load(policy)


def _encoder_of_build(folder: Path, encoder: str | None, given: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return name and options of the image encoder: those given, else those of the index, else the default one."""
    from indexer.index import DEFAULT_ENCODER, Index
    from indexer.storage import manifest

    known, kept = None, {}
    if manifest.exists(folder):
        described = Index.open(folder).manifest
        known, kept = described.encoder_name, dict(described.encoder_options)
    name = encoder or known or DEFAULT_ENCODER
    return name, {**(kept if name == known else {}), **given}


def _set_policy(index: "Index", policy: str | None) -> None:
    """Set the policy of an index as `--policy` says: None keeps what it has, "none" takes it away."""
    if policy is None:
        return
    index.set_policy(None if policy == "none" else policy)


def _has_new_rows(index: "Index") -> bool:
    """Return whether the view of an index lacks some of its rows."""
    active = index.catalogue.active_view()
    return active is not None and active.rows < index.rows


def _attach(index: "Index", ranker: Path | None, on_stage: Stages) -> None:
    """Attach the ranker that a build attaches, or say that there is none."""
    from photoseek.attach import attach_ranker, no_ranker_advice, ranker_for

    chosen = ranker_for(index, ranker, on_stage)
    if chosen is None:
        say(no_ranker_advice(index))
    else:
        attach_ranker(index, chosen, on_stage=on_stage, on_problem=say)


@click.command()
@examples("photoseek use rankers/team -i indexes/photos")
@click.argument("ranker", type=UserPath())
@index_option
@quiet_option
def use(ranker: Path, folder: Path, quiet: bool) -> None:
    """Attach the ranker folder RANKER to an index: build its view, then switch searches to it."""
    from indexer.index import Index
    from photoseek.attach import attach_ranker
    from reranker.ranker import Ranker

    chosen = Ranker.load(ranker)
    index = Index.open(folder)
    with progress_bars(quiet) as on_stage:
        attach_ranker(index, chosen, on_stage=on_stage, on_problem=say)
    click.echo(f"index {folder} now uses ranker {chosen.id}")


@click.command()
@examples("photoseek info")
@index_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--skipped", is_flag=True, help="List the skipped and the damaged photos with their reasons.")
@click.option("--passed-over", "passed_over", is_flag=True, help="List what is no photo, or is left out, by kind.")
@click.option("--held-back", "held_back", is_flag=True, help="List the photos that the policy holds back, and why.")
def info(folder: Path, as_json: bool, skipped: bool, passed_over: bool, held_back: bool) -> None:
    """Print the state of an index."""
    from indexer.building.unfinished_build import missing_note
    from indexer.index import Index
    from indexer.printable import printable
    from reranker.ranker import NOT_CALIBRATED

    index = Index.open(folder)
    if (missing := missing_note(index.folder, index.catalogue)) is not None:
        say(f"note: {missing}")
    moderation = _moderation_of(index)
    held = [] if moderation is None else moderation.held_back_photos()
    facts: dict[str, Any] = dict(index.facts())
    if (ranker := _ranker_of(index)) is not None and not ranker.is_calibrated:
        facts["relevance"] = NOT_CALIBRATED
    if moderation is not None:
        facts |= {"policy_digest": moderation.policy.digest, "held_back": len(held)}
    if as_json:
        facts |= {"held_back_photos": held} if held_back else {}
        echo_json(facts | ({"passed_over_paths": passed_over_paths(index)} if passed_over else {}))
        return
    _echo_facts(facts)
    if skipped:
        for heading, listed in (("skipped", facts["skipped_photos"]), (DAMAGED, facts["notes"])):
            if listed:
                click.echo(f"{len(listed):,} {heading}")
            for path, reason in listed:
                click.echo(f"  {printable(path)}: {printable(reason)}")
    if passed_over:
        echo_passed_over_paths(index)
    if held_back:
        for path, prompt, score in held:
            click.echo(f"  {printable(path)}: {score:.3f} for {prompt!r}")


def _ranker_of(index: "Index") -> "Ranker | None":
    """Return the ranker of an index; None without one, or if it cannot be read, which every search says."""
    from search.opened_view import ranker_of

    with suppress(PhotoseekError):
        return ranker_of(index.view())
    return None


def _moderation_of(index: "Index") -> "Moderation | None":
    """Return the moderation of an index; None without a policy, or while the index cannot be searched."""
    from search.searcher import Searcher

    if index.policy is None or index.catalogue.active_view() is None:
        return None
    try:
        return Searcher(index, on_problem=say).moderation
    except PhotoseekError as error:
        # People ask for the state of an index most of all when something about it is wrong, so the rest is printed.
        say(f"photoseek: {error}")
        return None


def _echo_facts(facts: Mapping[str, Any]) -> None:
    """Print the facts of an index, one per line, without the lists of skipped and damaged photos."""
    from indexer.building.roots.passed_over import in_words
    from indexer.printable import printable

    counts = ", ".join(in_words(kind, count) for kind, count in facts["passed_over"].items())
    shown = {name: value for name, value in facts.items() if name not in ("metadata", "notes", "skipped_photos")}
    if facts["notes"]:
        shown["damaged"] = f"{len(facts['notes'])} {DAMAGED}"
    shown["passed_over"] = counts or "none"
    for name, value in (shown | _metadata_lines(facts["metadata"])).items():
        text = ", ".join(value) or "none" if isinstance(value, list) else str(value)
        click.echo(f"{name.replace('_', ' '):<16}{printable(text)}")


def _metadata_lines(known: "MetadataSummary") -> dict[str, str]:
    """Return what is known of the photos beside their pictures, by the name of its line."""
    first, last = (str(known[name])[:10] for name in ("first_taken", "last_taken"))
    cameras = [f"{name} ({count})" for name, count in list(known["cameras"].items())[:SHOWN_CAMERAS]]
    more = len(known["cameras"]) - len(cameras)
    lines = {
        "taken": "" if known["first_taken"] is None else f"{first} to {last}",
        "file_times": str(known["file_times"] or ""),
        "with_a_place": str(known["places"] or ""),
        "cameras": ", ".join([*cameras, *([f"{more} more"] if more > 0 else [])]),
        "kinds": ", ".join(f"{kind} ({count})" for kind, count in known["kinds"].items()),
        "no_metadata_yet": str(known["missing"] or ""),
    }
    return {name: line for name, line in lines.items() if line}
