"""Make an index and look at it: `photoseek build`, `use` and `info`."""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from indexer.errors import PhotoseekError
from photoseek.commands.console import echo_json, progress_bars, say
from photoseek.commands.options import (
    POSITIVE_INTEGER,
    PRECISION,
    FloatRange,
    device_option,
    encoder_options,
    examples,
    index_option,
    quiet_option,
    ranker_option,
)

if TYPE_CHECKING:
    from indexer.index import Index
    from indexer.photos.scan import Skipped
    from reranker.ranker import Ranker
    from search.moderation.policy_filter import Moderation


@click.command()
@examples("photoseek build ~/Pictures")
@click.argument("photos")
@index_option
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
@device_option
@quiet_option
def build(
    photos: str,
    folder: Path,
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
    device: str,
    quiet: bool,
) -> None:
    """Index the folder PHOTOS, or bring its index up to date.

    Broken files are skipped and named; a build that was cut short goes on where it stopped.
    """
    from indexer.callbacks import BuildCallbacks
    from indexer.embedding.pipeline import Decoding
    from indexer.index import Index
    from indexer.photos.decode import MAX_PIXELS
    from photoseek.attach import attach_ranker, no_ranker_advice, ranker_for

    begin = time.monotonic()
    _check_policy(policy)
    name, options = _encoder_of_build(folder, encoder, encoder_options(weights, preprocess))
    with progress_bars(quiet) as on_stage:
        index = Index.build(
            photos,
            folder,
            encoder=name,
            encoder_options={"device": device, "precision": precision, **options},
            decoding=Decoding(workers, deadline, max_pixels or MAX_PIXELS),
            regions=regions or None,
            callbacks=BuildCallbacks(
                on_progress=lambda done, total: on_stage("indexing", done, total),
                on_skip=(lambda _skipped: None) if quiet else _say_skipped,
                on_note=say,
            ),
        )
        _set_policy(index, policy)
        chosen = ranker_for(index, ranker, on_stage)
        if chosen is not None:
            attach_ranker(index, chosen, on_stage=on_stage, on_problem=say)
    _echo_build(index, time.monotonic() - begin)
    if chosen is None:
        say(no_ranker_advice(index))


def _check_policy(policy: str | None) -> None:
    """Refuse a policy that cannot be read, before the work begins."""
    from reranker.moderation.policy import Policy

    if policy is not None and policy != "none":
        Policy.load(policy)


def _encoder_of_build(folder: Path, encoder: str | None, given: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return name and options of the image encoder: those given, else those of the index, else the default one."""
    from indexer.index import DEFAULT_ENCODER, Index

    known, kept = None, {}
    if (folder / "manifest.json").exists():
        manifest = Index.open(folder).manifest
        known, kept = manifest.encoder_name, dict(manifest.encoder_options)
    name = encoder or known or DEFAULT_ENCODER
    return name, {**(kept if name == known else {}), **given}


def _set_policy(index: "Index", policy: str | None) -> None:
    """Set the policy of an index as `--policy` says: None keeps what it has, "none" takes it away."""
    if policy is None:
        return
    # Every search reads the policy file again, whatever folder it is started in.
    kept = os.path.abspath(policy) if policy.endswith(".toml") else policy
    index.set_policy(None if policy == "none" else kept)


def _say_skipped(skipped: "Skipped") -> None:
    """Name a photo that was skipped, and the reason."""
    from indexer.printable import printable

    say(f"skipped {printable(os.fsdecode(skipped.path))}: {printable(skipped.reason)}")


def _echo_build(index: "Index", seconds: float) -> None:
    """Print what the last build of an index did."""
    last = index.history()[-1]
    click.echo(
        f"{index.catalogue.photo_count()} photos in {index.folder}: {last.added} added, {last.changed} changed, "
        f"{last.removed} removed, {last.skipped} skipped, {seconds:.1f} s"
    )


@click.command()
@examples("photoseek use rankers/team -i indexes/photos")
@click.argument("ranker", type=click.Path(path_type=Path))
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
@click.option("--skipped", is_flag=True, help="List the skipped photos with their reasons.")
@click.option("--held-back", "held_back", is_flag=True, help="List the photos that the policy holds back, and why.")
def info(folder: Path, as_json: bool, skipped: bool, held_back: bool) -> None:
    """Print the state of an index."""
    from indexer.index import Index
    from indexer.printable import printable
    from reranker.ranker import NOT_CALIBRATED

    index = Index.open(folder)
    moderation = _moderation_of(index)
    held = [] if moderation is None else moderation.held_back_photos()
    facts: dict[str, Any] = dict(index.facts())
    if (ranker := _ranker_of(index)) is not None and not ranker.is_calibrated:
        facts["relevance"] = NOT_CALIBRATED
    if moderation is not None:
        facts |= {"policy_digest": moderation.policy.digest, "held_back": len(held)}
    if as_json:
        echo_json(facts | ({"held_back_photos": held} if held_back else {}))
        return
    _echo_facts(facts)
    if skipped:
        for path, reason in facts["skipped_photos"]:
            click.echo(f"  {printable(path)}: {printable(reason)}")
    if held_back:
        for path, prompt, score in held:
            click.echo(f"  {printable(path)}: {score:.3f} for {prompt!r}")


def _ranker_of(index: "Index") -> "Ranker | None":
    """Return the ranker of an index; None without one, or if it cannot be read, which every search says."""
    from search.searcher import ranker_of

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
    """Print the facts of an index, one per line, without the list of skipped photos."""
    from indexer.printable import printable

    for name, value in facts.items():
        if name != "skipped_photos":
            shown = ", ".join(value) if isinstance(value, list) else str(value)
            click.echo(f"{name.replace('_', ' '):<16}{printable(shown)}")
