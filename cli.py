"""The command line: open, call, echo. Data goes to stdout, talk to stderr; the only place that knows all rooms."""

import errno
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from indexer.errors import PhotoseekError

DEFAULT_INDEX = "indexes/photos"
NOTHING_FOUND, INTERRUPTED = 3, 130


class _Group(click.Group):
    """Turns the error family into one line and exit code 1, once, for every command."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PhotoseekError as error:
            click.echo(f"photoseek: {error}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("photoseek: interrupted; the same command goes on where it stopped", err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader of our output has gone; there is nobody left to tell.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            click.echo("photoseek: output cannot be written: disk is full", err=True)
            ctx.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="photoseek", message="photoseek %(version)s")
def main() -> None:
    """Find photos by what is in them: the right photo for a sentence, offline, on a plain CPU.

    \b
    photoseek build ~/Pictures
    photoseek search "a dog catches a frisbee"
    """


def index_option(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "-i",
        "--index",
        "folder",
        type=click.Path(path_type=Path),
        envvar="PHOTOSEEK_INDEX",
        default=DEFAULT_INDEX,
        show_default=True,
        help="The index folder ($PHOTOSEEK_INDEX).",
    )(command)


def ranker_option(text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option("--ranker", type=click.Path(path_type=Path), help=text)


def quiet_option(command: Callable[..., None]) -> Callable[..., None]:
    return click.option("-q", "--quiet", is_flag=True, help="No progress, no list of skipped files.")(command)


def device_option(command: Callable[..., None]) -> Callable[..., None]:
    choice = click.Choice(["auto", "cpu", "cuda"])
    return click.option("--device", type=choice, default="auto", help="Where the image encoder runs.")(command)


class _FloatRange(click.FloatRange):
    """A range that NaN lies outside of; click's own lets it in, as it is neither below one end nor above the other."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number


K = click.IntRange(min=1)
SCORE = _FloatRange(0, 1)


@main.command()
@click.argument("photos")
@index_option
@click.option("--encoder", default=None, help="Image encoder, e.g. torchvision:resnet18.  [default: efficientnet-lite]")
@click.option("--weights", help="A local state dict for a torchvision encoder.")
@click.option("--preprocess", help="How a file: encoder wants its pixels.")
@click.option("--regions", is_flag=True, help="Keep region vectors, too, for finer reranking: about 5 KB a photo.")
@ranker_option("The ranker folder to attach.  [default: the attached one, else the shipped one]")
@click.option("--policy", help="Policy that searches obey: minors, or a .toml file; 'none' takes it away.")
@click.option("--max-pixels", type=click.IntRange(min=1), default=None, help="Skip photos larger than this.")
@click.option(
    "--deadline", type=_FloatRange(min=0.1), default=60.0, show_default=True, help="Seconds a photo may take."
)
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
    from indexer.decode import MAX_PIXELS
    from indexer.index import DEFAULT_ENCODER, Index
    from indexer.pipeline import Decoding
    from reranker.policy import Policy

    if policy not in (None, "none"):
        Policy.load(str(policy))
    known_encoder, known_options = _encoder_of(folder)
    name = encoder or known_encoder or DEFAULT_ENCODER
    given = {"weights": None if weights is None else os.path.abspath(weights), "preprocess": preprocess}
    options = {"device": device, **(known_options if name == known_encoder else {})}
    options |= {key: value for key, value in given.items() if value is not None}
    with _progress("indexing", quiet) as advance:
        index = Index.build(
            photos,
            folder,
            encoder=name,
            encoder_options=options,
            decoding=Decoding(workers, deadline, max_pixels or MAX_PIXELS),
            regions=regions or None,
            on_progress=advance,
            on_skip=None if quiet else _say_skipped,
        )
    last = index.history()[-1]
    seconds = (last.finished or last.started) - last.started
    if policy is not None:
        # A policy file is looked up by every search, wherever that is started.
        index.set_policy(None if policy == "none" else os.path.abspath(policy) if policy.endswith(".toml") else policy)
    chosen = _ranker_for(index, ranker)
    if chosen is not None:
        with _progress("ranker's view", quiet) as advance:
            index.attach(chosen, advance)
        _export_text_encoder(chosen)
    click.echo(
        f"{index.catalogue.photo_count()} photos in {folder}: {last.added} added, {last.changed} changed, "
        f"{last.removed} removed, {last.skipped} skipped, {seconds:.1f} s"
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

    if ranker is not None:
        return Ranker.load(ranker)
    shipped = Ranker.shipped(index.encoder)
    active = index.catalogue.active_view()
    # A damaged view of a shipped ranker is built again from the shipped one.
    if active is not None and (shipped is None or active[0].rpartition("-")[0] != shipped.id):
        return Ranker.load(index.view().ranker_folder)
    return shipped


def _export_text_encoder(ranker: Any) -> None:
    """Export it now, while torch may be loaded, so that no search has to."""
    from indexer.encoders import open_text_encoder

    open_text_encoder(ranker.text_encoder, ranker.text_encoder_name).encode(["a photo"])


@main.command()
@click.argument("text", required=False)
@index_option
@ranker_option("Refuse unless this ranker is the attached one.")
@click.option("-k", "count", type=K, default=10, show_default=True, help="How many photos.")
@click.option("--min-score", type=SCORE, default=0.0, help="Leave out photos of lower relevance.")
@click.option("--under", metavar="DIR", help="Only photos below this folder.")
@click.option("--like", metavar="PHOTO", type=click.Path(), help="Photos that look like this one, instead of TEXT.")
@click.option("--without", metavar="TEXT", help="Prefer photos that this does not describe.")
@click.option("--misses", is_flag=True, help="Show the best misses, too, when nothing is a good match.")
@click.option(
    "--sheet", type=click.Path(path_type=Path, dir_okay=False), help="Write a contact sheet (.jpg, .png, ...)."
)
@click.option("--paths", is_flag=True, help="Print paths only.")
@click.option("-0", "null", is_flag=True, help="Print raw paths only, each ended by a NUL, for xargs -0.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--fail-if-empty", is_flag=True, help="Exit with 3 when nothing is found.")
@quiet_option
def search(
    text: str | None,
    folder: Path,
    ranker: Path | None,
    count: int,
    min_score: float,
    under: str | None,
    like: str | None,
    without: str | None,
    misses: bool,
    sheet: Path | None,
    paths: bool,
    null: bool,
    as_json: bool,
    fail_if_empty: bool,
    quiet: bool,
) -> None:
    """Print the photos that TEXT describes, with their relevance from 0 to 1.

    \b
    photoseek search "two dogs play in the snow" -k 5 --sheet snow.jpg
    """
    if (text is None or not text.strip()) == (like is None):
        raise click.UsageError("give a TEXT that says what the photo shows, or --like PHOTO")
    if like is not None and without is not None:
        raise click.UsageError("--without goes with a TEXT, not with --like")
    searcher = _searcher(folder, ranker)
    if like is not None:
        answer = searcher.like(like, count, min_score=min_score, under=under)
    else:
        answer = searcher.answer(text or "", count, min_score=min_score, under=under, without=without)
    found = answer.hits if answer.good or misses or as_json else ()
    if as_json:
        click.echo(json.dumps(answer.as_dict()))
    elif answer.blocked is not None:
        click.echo(answer.blocked, err=paths or null)
    elif null:
        for hit in found:
            sys.stdout.buffer.write(os.fsencode(hit.path) + b"\0")
        sys.stdout.buffer.flush()
    else:
        _print_answer(answer, found, paths, min_score)
    if sheet is not None and answer.blocked is None:
        from search.sheet import write_sheet

        write_sheet([answer], sheet)
        if not quiet:
            click.echo(f"contact sheet: {sheet}", err=True)
    for note in answer.notes:
        click.echo(f"note: {note}", err=True)
    if fail_if_empty and not (found and answer.good):
        sys.exit(NOTHING_FOUND)


def _print_answer(answer: Any, found: tuple[Any, ...], paths: bool, min_score: float) -> None:
    from dataclasses import replace

    from search.results import printable, table

    if paths:
        for hit in found:
            click.echo(printable(hit.path))
        return
    if not answer.good:
        best = (
            f" (best relevance {answer.hits[0].relevance:.3f}; --misses shows it)" if answer.hits and not found else ""
        )
        click.echo(f"no good match for {answer.text!r}{best}")
    elif not found:
        click.echo(f"nothing of relevance {min_score:g} or more for {answer.text!r}")
    if found:
        click.echo(table(replace(answer, hits=found)))


@main.command()
@click.argument("queries", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help=".csv, .jsonl, .parquet, .trec",
)
@index_option
@ranker_option("Refuse unless this ranker is the attached one.")
@click.option("-k", "count", type=K, default=10, show_default=True, help="How many photos a query.")
@click.option("--min-score", type=SCORE, default=0.0, help="Leave out photos of lower relevance.")
@click.option("--under", metavar="DIR", help="Only photos below this folder.")
@click.option("--column", help="The column of the query texts.  [default: query_text, query, text or caption]")
@click.option("--keep-going", is_flag=True, help="Go past bad rows; their answers carry an error.")
@click.option("--sheet", type=click.Path(path_type=Path, dir_okay=False), help="Write a contact sheet of all queries.")
@quiet_option
def batch(
    queries: Path,
    output: Path,
    folder: Path,
    ranker: Path | None,
    count: int,
    min_score: float,
    under: str | None,
    column: str | None,
    keep_going: bool,
    sheet: Path | None,
    quiet: bool,
) -> None:
    """Answer every query of a file (.txt, .csv, .jsonl, .parquet).

    \b
    photoseek batch queries.csv -o results.jsonl -k 5
    """
    from search.queries import read_queries
    from search.results import RESULT_SUFFIXES, Answer, write_answers
    from search.sheet import write_sheet

    if output.suffix not in RESULT_SUFFIXES:
        raise click.UsageError(f"-o {output}: the ending must be one of {', '.join(RESULT_SUFFIXES)}")
    if output.exists() and output.samefile(queries):
        raise click.UsageError(f"-o {output} is the query file itself")
    asked = read_queries(queries, keep_going=keep_going, column=column)
    searcher = _searcher(folder, ranker)
    good = [(query.id, query.text) for query in asked if query.error is None]
    with _progress("queries", quiet) as advance:
        found = iter(searcher.answer_many(good, count, min_score=min_score, under=under, on_progress=advance))
    answers = [
        next(found) if query.error is None else Answer(query.id, query.text, (), good=False, error=query.error)
        for query in asked
    ]
    write_answers(answers, output)
    if sheet is not None:
        write_sheet(answers, sheet)
    wrong = len(asked) - len(good)
    click.echo(
        f"{len(good)} queries answered, {sum(not a.good for a in answers if a.error is None)} without a good match, "
        f"{wrong} with an error -> {output}"
    )


@main.command()
@click.argument("ranker", type=click.Path(path_type=Path))
@index_option
@quiet_option
def use(ranker: Path, folder: Path, quiet: bool) -> None:
    """Attach the ranker folder RANKER to an index: build its view, then switch searches to it.

    \b
    photoseek use rankers/team -i indexes/photos
    """
    from indexer.index import Index
    from reranker.ranker import Ranker

    chosen = Ranker.load(ranker)
    index = Index.open(folder)
    with _progress("ranker's view", quiet) as advance:
        index.attach(chosen, advance)
    _export_text_encoder(chosen)
    click.echo(f"index {folder} now uses ranker {chosen.id}")


@main.command()
@index_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--skipped", is_flag=True, help="List the skipped photos with their reasons.")
def info(folder: Path, as_json: bool, skipped: bool) -> None:
    """Print the state of an index.

    \b
    photoseek info
    """
    from indexer.index import Index
    from search.results import printable

    facts = Index.open(folder).facts()
    if as_json:
        click.echo(json.dumps({"format": 1, **facts}))
        return
    for name, value in facts.items():
        if name != "skipped_photos":
            shown = ", ".join(value) if isinstance(value, list) else str(value)
            click.echo(f"{name.replace('_', ' '):<16}{printable(shown)}")
    if skipped:
        for path, reason in facts["skipped_photos"]:
            click.echo(f"  {printable(path)}: {printable(reason)}")


@main.command()
@index_option
@ranker_option("Refuse unless this ranker is the attached one.")
@click.option(
    "--queries",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Queries to time.  [default: built in]",
)
@click.option("--count", type=click.IntRange(min=1), default=200, show_default=True, help="Warm queries to time.")
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True, help="Fresh processes to time.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@quiet_option
def bench(
    folder: Path, ranker: Path | None, queries: Path | None, count: int, runs: int, as_json: bool, quiet: bool
) -> None:
    """Measure latency by stage, cold and warm, throughput, memory and recall against exact search.

    \b
    photoseek bench --json
    """
    from search.bench import measure, report
    from search.queries import read_queries

    texts = [query.text for query in read_queries(queries)] if queries is not None else None
    searcher_of = lambda timer: _searcher(folder, ranker, timer)  # noqa: E731
    with _progress("bench", quiet) as advance:
        figures = measure(searcher_of, folder, texts, count, runs, advance)
    click.echo(json.dumps({"format": 1, **figures}) if as_json else report(figures))


@main.command()
@click.argument("judged", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The ranker folder to write.")
@click.option(
    "--photos", "photo_set", default=None, help="Photo folder of JUDGED to train on.  [default: train_images, else all]"
)
@click.option("--image-encoder", default=None, help="[default: that of --from, else efficientnet-lite]")
@click.option("--weights", help="A local state dict for a torchvision encoder.")
@click.option("--preprocess", help="How a file: encoder wants its pixels.")
@click.option("--text-encoder", default=None, help="[default: that of --from, else minilm]")
@click.option(
    "--from",
    "base",
    type=click.Path(path_type=Path),
    help="A ranker to fine-tune: its space is kept, its MLPs go on learning. It must not have seen these photos.",
)
@click.option(
    "--class-names",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your own vocabulary (.txt, .tsv, .csv), so that its words are found as names.",
)
@click.option("--keep-order", is_flag=True, help="With --from: learn relevance only, and leave the ranking as it is.")
@click.option("--policy", help="Leave out what this policy protects: minors, or a .toml file.")
@click.option(
    "--epochs", type=click.IntRange(min=0), default=None, help="Contrastive epochs of the map; 0 keeps the closed form."
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--keep-going", is_flag=True, help="Drop bad rows of the judged data, and count them.")
@device_option
@quiet_option
def train(
    judged: Path,
    output: Path,
    photo_set: str | None,
    image_encoder: str | None,
    weights: str | None,
    preprocess: str | None,
    text_encoder: str | None,
    base: Path | None,
    class_names: Path | None,
    keep_order: bool,
    policy: str | None,
    epochs: int | None,
    seed: int,
    keep_going: bool,
    device: str,
    quiet: bool,
) -> None:
    """Train a ranker on the judged folder JUDGED (photos, captions, expert grades, crowd votes).

    \b
    photoseek train data/sample -o rankers/team
    """
    from dataclasses import replace

    from indexer.encoders import load_image_encoder, load_text_encoder
    from indexer.index import DEFAULT_ENCODER
    from reranker.features import embed_judgments
    from reranker.judgments import load_judgments
    from reranker.policy import Policy
    from reranker.ranker import Ranker, check_place
    from reranker.train import TrainSettings, training_photos
    from reranker.train import train as train_ranker
    from reranker.vocabulary import read_class_names

    if keep_order and base is None:
        raise click.UsageError("--keep-order goes with --from RANKER, whose order is kept")
    if base is not None and epochs is not None:
        raise click.UsageError("--from keeps the map of its ranker, so --epochs has nothing to tune")
    check_place(output)
    start = None if base is None else Ranker.load(base)
    things = None if class_names is None else read_class_names(class_names)
    problem = None if quiet else _say
    judgments = load_judgments(judged, keep_going=keep_going, on_problem=problem)
    if judgments.dropped:
        click.echo(f"{judgments.dropped} bad rows dropped", err=True)
    judgments = judgments.restrict(training_photos(judgments, photo_set))
    if policy is not None:
        before = len(judgments.photos)
        judgments = Policy.load(policy).filter(judgments)
        click.echo(f"policy {policy}: {before - len(judgments.photos)} of {before} photos left out", err=True)
    image_name = image_encoder or (DEFAULT_ENCODER if start is None else start.image_encoder.rpartition("@")[0])
    image = load_image_encoder(image_name, device=device, weights=weights, preprocess=preprocess)
    text = load_text_encoder(text_encoder or ("minilm" if start is None else start.text_encoder_name))
    with _progress("embedding", quiet) as advance:
        features = embed_judgments(judgments, image, text, advance)
    settings = TrainSettings(seed=seed, keep_order=keep_order)
    if epochs is not None:
        tuned = replace(settings.space.map, epochs=epochs)
        settings = replace(settings, space=replace(settings.space, map=tuned))
    with _stages(quiet) as on_stage:
        ranker = train_ranker(
            features, judgments, (image, text), settings, base=start, things=things, on_stage=on_stage
        )
    ranker.save(output)
    for name, value in {**ranker.training, **ranker.figures}.items():
        if name != "before":
            click.echo(f"{name:<26}{value}")
    click.echo(f"ranker {ranker.id} -> {output}")


@main.command()
@click.argument("judged", type=click.Path(exists=True, file_okay=False, path_type=Path))
@ranker_option("The ranker folder to measure.  [default: the shipped one]")
@click.option("--protocol", "protocols", multiple=True, help="Run only this one; may be given several times.")
@click.option(
    "--breadth",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of named photos.  [default: JUDGED/../imagen]",
)
@click.option(
    "--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Trainings of each protocol that trains."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--keep-going", is_flag=True, help="Drop bad rows of the judged data, and count them.")
@device_option
@quiet_option
def evaluate(
    judged: Path,
    ranker: Path | None,
    protocols: tuple[str, ...],
    breadth: Path | None,
    seeds: int,
    as_json: bool,
    keep_going: bool,
    device: str,
    quiet: bool,
) -> None:
    """Measure a ranker on the judged folder JUDGED, with 95 % intervals.

    \b
    photoseek evaluate data/sample --protocol official --json
    """
    from reranker.evaluate import PROTOCOLS, report
    from reranker.evaluate import evaluate as evaluate_ranker
    from reranker.evaluation import Evaluation
    from reranker.judgments import load_judgments
    from reranker.ranker import Ranker

    unknown = [name for name in protocols if name not in PROTOCOLS]
    if unknown:
        raise click.UsageError(f"no protocol {unknown[0]!r}; there are: {', '.join(PROTOCOLS)}")
    judgments = load_judgments(judged, keep_going=keep_going, on_problem=None if quiet else _say)
    chosen = Ranker.load(ranker) if ranker is not None else Ranker.default()
    with _stages(quiet) as on_stage:
        evaluation = Evaluation(judgments, chosen, breadth, seeds, device, on_stage)
        figures = evaluate_ranker(evaluation, protocols or tuple(PROTOCOLS))
    click.echo(json.dumps({"format": 1, **figures}) if as_json else report(figures))


def _searcher(folder: Path, ranker: Path | None, timer: Callable[[str, float], None] | None = None) -> Any:
    from indexer.index import Index
    from reranker.ranker import Ranker
    from search.searcher import Searcher

    return Searcher(Index.open(folder), None if ranker is None else Ranker.load(ranker), timer)


def _say(message: str) -> None:
    click.echo(message, err=True)


def _say_skipped(skipped: Any) -> None:
    from search.results import printable

    _say(f"skipped {printable(os.fsdecode(skipped.path))}: {printable(skipped.reason)}")


@contextmanager
def _progress(label: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr for `advance(done, total)`; nothing at all when quiet or off a terminal."""
    with _stages(quiet) as on_stage:
        yield lambda done, total: on_stage(label, done, total)


@contextmanager
def _stages(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr for each stage that `on_stage(name, done, total)` names."""
    if quiet or not sys.stderr.isatty():
        yield lambda stage, done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, Any] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def on_stage(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage)
            bars.update(tasks[stage], completed=done, total=total)

        yield on_stage


if __name__ == "__main__":
    main()
