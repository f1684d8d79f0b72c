"""The commands around a ranking: check and explore judged data, train on it, evaluate on it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from indexer.errors import PhotoseekError
from indexer.terminal import PRECISION, device_option, progress, quiet_option, ranker_option, say, stages
from reranker.options import encoder_options, image_encoder_options, judged_argument, keep_going_option, seed_option

if TYPE_CHECKING:
    from reranker.figures import Threshold
    from reranker.scores import Method


class ThresholdType(click.ParamType):
    """`NAME=VALUE` -> Threshold, the least value or the largest."""

    name = "NAME=VALUE"

    def __init__(self, at_most: bool) -> None:
        self.at_most = at_most

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> "Threshold":
        from reranker.figures import Threshold

        try:
            return Threshold.parse(value, self.at_most)
        except ValueError:
            example = "calibration.ece=0.02" if self.at_most else "official.recall@10=0.8"
            self.fail(f"{value!r} is not NAME=VALUE, e.g. {example}.", param, ctx)


def show_policy_option(command: Callable[..., None]) -> Callable[..., None]:
    text = "No report shows photos that this policy protects: minors, or a .toml file; 'none' shows all."
    return click.option("--policy", default="minors", show_default=True, help=text)(command)


@click.command()
@judged_argument
@click.option("--no-photos", is_flag=True, help="Check the tables alone, and open no photo.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@device_option
@quiet_option
def check(judged: Path, no_photos: bool, as_json: bool, device: str, quiet: bool) -> None:
    """Check the judged folder JUDGED: bad rows, photos that do not open, what training and test share.

    Exits with 1 if training would refuse it. Photos are embedded, which training then need not do again.

    \b
    photoseek check data/sample
    """
    from indexer.encoders import load_image_encoder
    from indexer.index import DEFAULT_ENCODER
    from reranker.checks import check_judgments, table

    encoder = None if no_photos else load_image_encoder(DEFAULT_ENCODER, device=device)
    with stages(quiet) as on_stage:
        findings = check_judgments(judged, encoder, on_stage)
    shown = {"format": 1, "judged": str(judged), "findings": [finding.as_dict() for finding in findings]}
    click.echo(json.dumps(shown) if as_json else table(findings))
    errors = sum(finding.count for finding in findings if finding.severity == "error")
    if errors:
        raise PhotoseekError(f"judged data {judged}: {errors} error{'s' * (errors > 1)}; mend what is listed")


@click.command()
@judged_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The ranker folder to write.")
@click.option(
    "--photos", "photo_set", default=None, help="Photo folder of JUDGED to train on.  [default: train_images, else all]"
)
@image_encoder_options("that of --from, else efficientnet-lite")
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
@click.option(
    "--score",
    type=click.Choice(["majority", "mean", "latent", "combined"]),
    default="majority",
    show_default=True,
    help="How several people's judgments of a pair become one number.",
)
@click.option("--policy", help="Leave out what this policy protects: minors, or a .toml file.")
@click.option(
    "--epochs", type=click.IntRange(min=0), default=None, help="Contrastive epochs of the map; 0 keeps the closed form."
)
@seed_option
@keep_going_option
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
    score: "Method",
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
    from reranker.pairs import PairSettings
    from reranker.policy import Policy
    from reranker.ranker import Ranker, check_place
    from reranker.train import TrainSettings, training_photos
    from reranker.train import train as train_ranker
    from reranker.trained_with import encoders_of
    from reranker.vocabulary import read_class_names

    if keep_order and base is None:
        raise click.UsageError("--keep-order goes with --from RANKER, whose order is kept")
    if base is not None and epochs is not None:
        raise click.UsageError("--from keeps the map of its ranker, so --epochs has nothing to tune")
    check_place(output)
    start = None if base is None else Ranker.load(base)
    things = None if class_names is None else read_class_names(class_names)
    problem = None if quiet else say
    judgments = load_judgments(judged, keep_going=keep_going, on_problem=problem)
    if judgments.dropped:
        click.echo(f"{judgments.dropped} bad rows dropped", err=True)
    judgments = judgments.restrict(training_photos(judgments, photo_set))
    if policy is not None:
        before = len(judgments.photos)
        judgments = Policy.load(policy).filter(judgments)
        click.echo(f"policy {policy}: {before - len(judgments.photos)} of {before} photos left out", err=True)
        if not judgments.photos:
            raise PhotoseekError(f"policy {policy} leaves no photo of judged data {judged} to train on")
    options = encoder_options(weights, preprocess)
    if start is None:
        image = load_image_encoder(image_encoder or DEFAULT_ENCODER, device=device, **options)
        text = load_text_encoder(text_encoder or "minilm")
    else:
        image, text = encoders_of(start, device, image_encoder, options, text_encoder)
        options = options or (start.image_encoder_options if image.name == start.image_encoder_name else {})
    with progress("embedding", quiet) as advance:
        features = embed_judgments(judgments, image, text, advance)
    settings = TrainSettings(seed=seed, keep_order=keep_order, pairs=PairSettings(score=score))
    if epochs is not None:
        tuned = replace(settings.space.map, epochs=epochs)
        settings = replace(settings, space=replace(settings.space, map=tuned))
    with stages(quiet) as on_stage:
        ranker = train_ranker(
            features, judgments, (image, text), settings, base=start, things=things, on_stage=on_stage
        )
    ranker = replace(ranker, image_encoder_options=options)
    ranker.save(output)
    for name, value in {**ranker.training, **ranker.figures}.items():
        if name != "before":
            click.echo(f"{name:<26}{value}")
    click.echo(f"ranker {ranker.id} -> {output}")


@click.command()
@judged_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The HTML file to write.")
@click.option(
    "--photos", "photo_set", help="Photo folder to look into.  [default: train_images and test_images, else all]"
)
@show_policy_option
@keep_going_option
@device_option
@quiet_option
def explore(
    judged: Path, output: Path, photo_set: str | None, policy: str, keep_going: bool, device: str, quiet: bool
) -> None:
    """Write a report on what is in the judged folder JUDGED: one HTML file with charts, photos and examples.

    \b
    photoseek explore data/sample -o report.html
    """
    from indexer.encoders import load_image_encoder
    from indexer.index import DEFAULT_ENCODER
    from reranker.explore import looked_at
    from reranker.judgments import load_judgments
    from reranker.policy import Policy
    from reranker.reports import Album, write_report
    from reranker.reports.explored import sections_of
    from reranker.reports.page import check_file

    check_file(output)
    chosen = None if policy == "none" else Policy.load(policy)
    judgments = looked_at(load_judgments(judged, keep_going=keep_going, on_problem=None if quiet else say), photo_set)
    with progress("reading photos", quiet) as advance:
        encoder = load_image_encoder(DEFAULT_ENCODER, device=device)
        # A report that shows all photos still says what the usual policy would leave out.
        left_out = chosen or Policy.load("minors")
        sections = sections_of(judgments, left_out, Album.of(judgments, chosen), encoder, advance)
    facts = [("folder", str(judged)), ("photos", f"{len(judgments.photos):,}")]
    size = write_report(output, f"Judged data: {judged.resolve().name}", facts, sections)
    click.echo(f"{output}: {len(judgments.photos):,} photo{'s' * (len(judgments.photos) != 1)}, {size / 2**20:.1f} MB")


@click.command()
@judged_argument
@ranker_option("The ranker folder to measure.  [default: the shipped one]")
@image_encoder_options("the one that the ranker was trained with, where it lay then")
@click.option(
    "--precision",
    type=PRECISION,
    default="auto",
    show_default=True,
    help="What the image encoder computes in, e.g. to see what a faster one costs.",
)
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
@click.option(
    "--html", type=click.Path(path_type=Path), help="Also write a report with charts, photos and every query."
)
@show_policy_option
@click.option("--compare", type=click.Path(path_type=Path), help="Also measure this ranker, and the differences.")
@click.option(
    "--fail-under",
    multiple=True,
    type=ThresholdType(at_most=False),
    help="Exit with 1 if a figure is below a value, e.g. official.recall@10=0.8; may be given several times.",
)
@click.option(
    "--fail-over",
    multiple=True,
    type=ThresholdType(at_most=True),
    help="Exit with 1 if a figure is above a value, e.g. hubs.largest_share=0.25; may be given several times.",
)
@click.option("--trec", type=click.Path(path_type=Path), help="Also write run and qrels files into this folder.")
@keep_going_option
@device_option
@quiet_option
def evaluate(
    judged: Path,
    ranker: Path | None,
    image_encoder: str | None,
    weights: str | None,
    preprocess: str | None,
    precision: str,
    protocols: tuple[str, ...],
    breadth: Path | None,
    seeds: int,
    as_json: bool,
    html: Path | None,
    policy: str,
    compare: Path | None,
    fail_under: tuple["Threshold", ...],
    fail_over: tuple["Threshold", ...],
    trec: Path | None,
    keep_going: bool,
    device: str,
    quiet: bool,
) -> None:
    """Measure a ranker on the judged folder JUDGED, with 95 % intervals.

    A name after --fail-under or --fail-over may be short: `recall@10` is the figure that ends in it with the fewest
    parts.

    \b
    photoseek evaluate data/sample --protocol official --json
    """
    from reranker.evaluate import PROTOCOLS
    from reranker.evaluate import evaluate as evaluate_ranker
    from reranker.evaluation import Evaluation
    from reranker.figures import UnknownFigure, misses, report
    from reranker.judgments import load_judgments
    from reranker.measure import beside, beside_lines, check_compared, check_runs, write_html, write_trec
    from reranker.policy import Policy
    from reranker.ranker import Ranker
    from reranker.reports.page import check_file

    unknown = [name for name in protocols if name not in PROTOCOLS]
    if unknown:
        raise click.UsageError(f"no protocol {unknown[0]!r}; there are: {', '.join(PROTOCOLS)}")
    if html is not None:
        check_file(html)
    withheld = None if policy == "none" else Policy.load(policy)
    names = tuple(dict.fromkeys(protocols)) or tuple(PROTOCOLS)
    if trec is not None:
        check_runs(trec, names)
    other = None if compare is None else Ranker.load(compare)
    judgments = load_judgments(judged, keep_going=keep_going, on_problem=None if quiet else say)
    chosen = Ranker.load(ranker) if ranker is not None else Ranker.default()
    with stages(quiet) as on_stage:
        encoder = (image_encoder, encoder_options(weights, preprocess))
        evaluation = Evaluation(judgments, chosen, breadth, seeds, device, encoder, on_stage, precision=precision)
        if other is not None:
            check_compared(chosen, other, names)
        figures = evaluate_ranker(evaluation, names)
        comparison = None if other is None else beside(evaluation, figures, other, names)
    # What was measured is said before anything is found wanting.
    if as_json:
        beside_it = {} if comparison is None else {"compare": comparison.as_dict()}
        click.echo(json.dumps({"format": 1, **figures, **beside_it}))
    else:
        click.echo(report(figures))
        if comparison is not None:
            click.echo(beside_lines(figures, comparison))
    missed, unknown_figure = None, None
    try:
        if fail_under or fail_over:
            missed = misses(figures, (*fail_under, *fail_over))
    except UnknownFigure as error:
        unknown_figure = str(error)
    if html is not None:
        size = write_html(html, evaluation, figures, withheld, missed, comparison)
        say(f"{html}: {size / 2**20:.1f} MB")
    if trec is not None:
        for path in write_trec(trec, evaluation, figures):
            say(str(path))
    if unknown_figure is not None:
        raise click.UsageError(f"--fail-under, --fail-over: {unknown_figure}")
    if missed:
        raise PhotoseekError(f"figures fall short: {'; '.join(map(str, missed))}")
