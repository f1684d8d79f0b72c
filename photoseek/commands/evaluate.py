"""Measure a ranker: `photoseek evaluate`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from indexer.errors import PhotoseekError
from photoseek.commands.console import say, stages
from photoseek.commands.options import (
    PRECISION,
    device_option,
    encoder_options,
    image_encoder_options,
    judged_argument,
    keep_going_option,
    quiet_option,
    ranker_option,
    show_policy_option,
)

if TYPE_CHECKING:
    from reranker.evaluation.results import Threshold


class ThresholdType(click.ParamType):
    """`NAME=VALUE` -> Threshold, the least value or the largest."""

    name = "NAME=VALUE"

    def __init__(self, at_most: bool) -> None:
        self.at_most = at_most

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> "Threshold":
        from reranker.evaluation.results import Threshold

        try:
            return Threshold.parse(value, self.at_most)
        except ValueError:
            example = "calibration.ece=0.02" if self.at_most else "official.recall@10=0.8"
            self.fail(f"{value!r} is not NAME=VALUE, e.g. {example}.", param, ctx)


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
    from reranker.evaluation.comparison import (
        check_compared,
        check_runs,
        compare_rankers,
        comparison_lines,
        write_html,
        write_trec,
    )
    from reranker.evaluation.evaluation import Evaluation
    from reranker.evaluation.protocols import PROTOCOLS
    from reranker.evaluation.protocols import evaluate as evaluate_ranker
    from reranker.evaluation.results import UnknownFigure, misses, report
    from reranker.judgments.judged_folder import load_judgments
    from reranker.moderation.policy import Policy
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
        comparison = None if other is None else compare_rankers(evaluation, figures, other, names)
    # What was measured is said before anything is found wanting.
    if as_json:
        beside_it = {} if comparison is None else {"compare": comparison.as_dict()}
        click.echo(json.dumps({"format": 1, **figures, **beside_it}))
    else:
        click.echo(report(figures))
        if comparison is not None:
            click.echo(comparison_lines(figures, comparison))
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
