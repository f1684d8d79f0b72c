"""Make and look at an index: `photoseek build`, `use` and `info`."""

import json
import os
import time
from pathlib import Path
from typing import Any

import click

from indexer.errors import PhotoseekError
from photoseek.commands.console import progress, say, stages
from photoseek.commands.options import PRECISION, FloatRange, device_option, index_option, quiet_option, ranker_option


@click.command()
@click.argument("photos")
@index_option
@click.option("--encoder", default=None, help="Image encoder, e.g. torchvision:resnet18.  [default: efficientnet-lite]")
@click.option("--weights", help="A local state dict for a torchvision encoder.")
@click.option("--preprocess", help="How a file: encoder wants its pixels.")
@click.option("--regions", is_flag=True, help="Keep region vectors, too, for finer reranking: about 5 KB a photo.")
@click.option(
    "--precision",
    type=PRECISION,
    default="auto",
    help="What the encoder computes in; a later build keeps it.  [default: what is fast here and as good]",
)
@ranker_option("The ranker folder to attach.  [default: the attached one, else the shipped one]")
@click.option("--policy", help="Policy that searches obey: minors, or a .toml file; 'none' takes it away.")
@click.option("--max-pixels", type=click.IntRange(min=1), default=None, help="Skip photos larger than this.")
@click.option("--deadline", type=FloatRange(min=0.1), default=60.0, show_default=True, help="Seconds a photo may take.")
@click.option("--workers", type=click.IntRange(min=1), default=None, help="Decoding processes.  [default: one a core]")
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

    \b
    photoseek build ~/Pictures
    """
    from indexer.embedding.pipeline import Decoding
    from indexer.index import DEFAULT_ENCODER, Index
    from indexer.photos.decode import MAX_PIXELS
    from photoseek.attach import attach_ranker
    from reranker.moderation.policy import Policy

    begin = time.monotonic()
    if policy not in (None, "none"):
        Policy.load(str(policy))
    known_encoder, known_options = _encoder_of(folder)
    name = encoder or known_encoder or DEFAULT_ENCODER
    given = {"weights": None if weights is None else os.path.abspath(weights), "preprocess": preprocess}
    options = {"device": device, "precision": precision, **(known_options if name == known_encoder else {})}
    options |= {key: value for key, value in given.items() if value is not None}
    with progress("indexing", quiet) as advance:
        index = Index.build(
            photos,
            folder,
            encoder=name,
            encoder_options=options,
            decoding=Decoding(workers, deadline, max_pixels or MAX_PIXELS),
            regions=regions or None,
            on_progress=advance,
            on_skip=None if quiet else _say_skipped,
            on_note=say,
        )
    last = index.history()[-1]
    if policy is not None:
        # A policy file is looked up by every search, wherever that is started.
        index.set_policy(None if policy == "none" else os.path.abspath(policy) if policy.endswith(".toml") else policy)
    chosen = _ranker_for(index, ranker)
    if chosen is not None:
        with stages(quiet) as on_stage:
            attach_ranker(index, chosen, on_stage=on_stage, on_problem=say)
    click.echo(
        f"{index.catalogue.photo_count()} photos in {folder}: {last.added} added, {last.changed} changed, "
        f"{last.removed} removed, {last.skipped} skipped, {time.monotonic() - begin:.1f} s"
    )
    if chosen is None:
        click.echo(
            f"no ranker for {name} yet; train one: photoseek train JUDGED -o RANKER --image-encoder {name}", err=True
        )


def _encoder_of(folder: Path) -> tuple[str | None, dict[str, str]]:
    """The encoder of an index that exists and its options, so that an update need not name them again."""
    from indexer.index import Index

    if not (folder / "manifest.json").exists():
        return None, {}
    manifest = Index.open(folder).manifest
    return str(manifest["encoder_name"]), dict(manifest["encoder_options"])


def _ranker_for(index: Any, ranker: Path | None) -> Any:
    """The ranker to attach: the one asked for, else the one attached before, else the shipped one if it fits."""
    from reranker.ranker import Ranker
    from search.searcher import ranker_of

    if ranker is not None:
        return Ranker.load(ranker)
    shipped = Ranker.shipped(index.encoder)
    active = index.catalogue.active_view()
    # A damaged view of a shipped ranker is built again from the shipped one.
    if active is not None and (shipped is None or active[0].rpartition("-")[0] != shipped.id):
        return ranker_of(index.view())
    return shipped


@click.command()
@click.argument("ranker", type=click.Path(path_type=Path))
@index_option
@quiet_option
def use(ranker: Path, folder: Path, quiet: bool) -> None:
    """Attach the ranker folder RANKER to an index: build its view, then switch searches to it.

    \b
    photoseek use rankers/team -i indexes/photos
    """
    from indexer.index import Index
    from photoseek.attach import attach_ranker
    from reranker.ranker import Ranker

    chosen = Ranker.load(ranker)
    index = Index.open(folder)
    with stages(quiet) as on_stage:
        attach_ranker(index, chosen, on_stage=on_stage, on_problem=say)
    click.echo(f"index {folder} now uses ranker {chosen.id}")


@click.command()
@index_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--skipped", is_flag=True, help="List the skipped photos with their reasons.")
@click.option("--held-back", "held_back", is_flag=True, help="List the photos that the policy holds back, and why.")
def info(folder: Path, as_json: bool, skipped: bool, held_back: bool) -> None:
    """Print the state of an index.

    \b
    photoseek info
    """
    from indexer.index import Index
    from search.results import printable

    index = Index.open(folder)
    moderation = _moderation_of(index)
    facts = index.facts()
    held = [] if moderation is None else moderation.held_back()
    if moderation is not None:
        facts |= {"policy_digest": moderation.policy.digest, "held_back": len(held)}
    if as_json:
        if held_back:
            facts["held_back_photos"] = held
        click.echo(json.dumps({"format": 1, **facts}))
        return
    for name, value in facts.items():
        if name != "skipped_photos":
            shown = ", ".join(value) if isinstance(value, list) else str(value)
            click.echo(f"{name.replace('_', ' '):<16}{printable(shown)}")
    if skipped:
        for path, reason in facts["skipped_photos"]:
            click.echo(f"  {printable(path)}: {printable(reason)}")
    if held_back:
        for path, prompt, score in held:
            click.echo(f"  {printable(path)}: {score:.3f} for {prompt!r}")


def _moderation_of(index: Any) -> Any:
    """What the policy of an index does to its searches; None without a policy, or while nothing can be searched."""
    from search.searcher import Searcher

    if index.policy is None or index.catalogue.active_view() is None:
        return None
    try:
        return Searcher(index, on_problem=say).moderation
    except PhotoseekError as error:
        # The state of an index is asked for most of all when something about it is wrong.
        say(f"photoseek: {error}")
        return None


def _say_skipped(skipped: Any) -> None:
    from search.results import printable

    say(f"skipped {printable(os.fsdecode(skipped.path))}: {printable(skipped.reason)}")
