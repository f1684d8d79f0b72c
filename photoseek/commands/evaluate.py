"""Measure a ranker: `photoseek evaluate`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from indexer.errors import PhotoseekError
from photoseek.options.output_files import REPORT, TREC, OutputFile, OutputFolder, WritingCommand
from photoseek.options.standard_options import (
    PRECISION,
    UserPath,
    device_option,
    encoder_options,
    examples,
    image_encoder_options,
    judged_argument,
    keep_going_option,
    quiet_option,
    ranker_option,
    report_policy,
    report_policy_option,
)
from photoseek.progress.console import echo_json, progress_bars, say

if TYPE_CHECKING:
    from reranker.evaluation.comparison import Comparison
    from reranker.evaluation.evaluation import Evaluation
    from reranker.evaluation.results import Miss, Results, Threshold
    from reranker.moderation.policy import Policy
    from reranker.ranker import Ranker


class ThresholdType(click.ParamType):
    """Read `NAME=VALUE` as a threshold: the least value that a figure may have, or the largest.

    Args:
        at_most: The value is the largest.
    """

    name = "NAME=VALUE"

    def __init__(self, at_most: bool) -> None:
        self.at_most = at_most

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> "Threshold":
        """Return the threshold. Raises click.BadParameter if the value is not `NAME=VALUE`."""
        from reranker.evaluation.results import Threshold

        try:
            return Threshold.parse(value, self.at_most)
        except ValueError:
            example = "calibration.ece=0.02" if self.at_most else "official.recall@10=0.8"
            self.fail(f"{value!r} is not NAME=VALUE, e.g. {example}.", param, ctx)


@click.command(cls=WritingCommand)
@examples("photoseek evaluate data/sample --protocol official --json")
@judged_argument
@ranker_option("The ranker folder to measure.  [default: the shipped one]")
@image_encoder_options("the one that the ranker was trained with, where it lay then")
@click.option(
    "--precision",
    type=PRECISION,
    default="auto",
    show_default=True,
    help="Number format that the image encoder computes in, e.g. to see what a faster one costs.",
)
@click.option("--protocol", "protocols", multiple=True, help="Run only this one; may be given several times.")
@click.option(
    "--breadth",
    type=UserPath(exists=True, file_okay=False),
    help="Folder of named photos.  [default: JUDGED/../imagen]",
)
@click.option(
    "--elsewhere",
    type=UserPath(exists=True, file_okay=False),
    help="Folder of sets of other photos, each with captions.tsv and photos/.  [default: JUDGED/../elsewhere]",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How often each protocol that trains is repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--html", type=OutputFile(REPORT), help="Also write a report with charts, photos and every query.")
@report_policy_option
@click.option("--compare", type=UserPath(), help="Also measure this ranker, and the differences.")
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
@click.option("--trec", type=OutputFolder(TREC), help="Also write run and qrels files into this folder.")
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
    elsewhere: Path | None,
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

    A name after --fail-under or --fail-over may be short: `recall@10` is the figure whose name ends in it and has the
    fewest parts.
    """
    from reranker.evaluation.comparison import comparable_protocols
    from reranker.evaluation.data import EvaluationData
    from reranker.evaluation.evaluation import Evaluation
    from reranker.evaluation.run_files import make_trec_folder
    from reranker.judgments.judged_folder import load_judgments
    from reranker.ranker import Ranker
    from reranker.ranker_encoders import encoders_of
    from reranker.reports.page import check_file

    names = _protocol_names(protocols)
    if html is not None:
        check_file(html)
    reports = _Reports(html, report_policy(policy), trec)
    if trec is not None:
        make_trec_folder(trec, names)
    other = None if compare is None else Ranker.load(compare)
    judgments = load_judgments(judged, keep_going=keep_going, on_problem=None if quiet else say)
    chosen = Ranker.load(ranker) if ranker is not None else Ranker.default()
    if other is not None:
        comparable_protocols(chosen, other, names)
    options = encoder_options(weights, preprocess)
    load_encoders = partial(encoders_of, chosen, device, image_encoder, options, precision=precision)
    data = EvaluationData(judgments, load_encoders, breadth, precision, elsewhere)
    data.check_folders()
    with progress_bars(quiet) as on_stage:
        evaluation = Evaluation(data, chosen, seeds, on_stage=on_stage)
        measured = _measure(evaluation, names, other)
    # What was measured is printed before anything is found wanting.
    _echo_results(measured, as_json)
    missed, problem = _missed_thresholds(measured, (*fail_under, *fail_over))
    _write_reports(reports, evaluation, measured, missed)
    _refuse_missed(missed, problem)


@dataclass(frozen=True, slots=True)
class _Measured:
    """The results of a ranker, and their differences from another ranker's if there is one."""

    results: "Results"
    comparison: "Comparison | None"


@dataclass(frozen=True, slots=True)
class _Reports:
    """The files that an evaluation writes: a report that hides the photos of a policy, a folder of TREC files."""

    html: Path | None
    policy: "Policy | None"
    trec: Path | None


def _protocol_names(protocols: Sequence[str]) -> tuple[str, ...]:
    """Return the protocols to run, each once; all of them if none was asked for. Refuse unknown names."""
    from reranker.evaluation.protocols import PROTOCOLS

    unknown = [name for name in protocols if name not in PROTOCOLS]
    if unknown:
        raise click.UsageError(f"no protocol {unknown[0]!r}; there are: {', '.join(PROTOCOLS)}")
    return tuple(dict.fromkeys(protocols)) or tuple(PROTOCOLS)


def _measure(evaluation: "Evaluation", protocols: Sequence[str], other: "Ranker | None") -> _Measured:
    """Measure the ranker of an evaluation by some protocols, and another ranker beside it."""
    from reranker.evaluation.comparison import compare_rankers
    from reranker.evaluation.protocols import evaluate as evaluate_ranker

    results = evaluate_ranker(evaluation, protocols)
    return _Measured(results, None if other is None else compare_rankers(evaluation, results, other, protocols))


def _echo_results(measured: _Measured, as_json: bool) -> None:
    """Print the results and the comparison, as lines or as one JSON object."""
    from reranker.evaluation.comparison import comparison_lines
    from reranker.evaluation.results import result_lines, results_to_json

    results, comparison = measured.results, measured.comparison
    if as_json:
        echo_json({**results_to_json(results), **({} if comparison is None else {"compare": comparison.to_json()})})
        return
    click.echo(result_lines(results))
    if comparison is not None:
        click.echo(comparison_lines(results, comparison))


def _missed_thresholds(
    measured: _Measured, thresholds: "Sequence[Threshold]"
) -> "tuple[Sequence[Miss] | None, str | None]":
    """Return the thresholds that do not hold (None without thresholds), and what is wrong with a threshold's name."""
    from reranker.evaluation.results import UnknownResultError, misses

    try:
        return (misses(measured.results, thresholds) if thresholds else None), None
    except UnknownResultError as error:
        return None, str(error)


def _refuse_missed(missed: "Sequence[Miss] | None", problem: str | None) -> None:
    """Refuse a threshold of no known figure (misuse), and results that fall short of a threshold."""
    if problem is not None:
        raise click.UsageError(f"--fail-under, --fail-over: {problem}")
    if missed:
        raise PhotoseekError(f"figures fall short: {'; '.join(map(str, missed))}")


def _write_reports(
    reports: _Reports, evaluation: "Evaluation", measured: _Measured, missed: "Sequence[Miss] | None"
) -> None:
    """Write the report and the TREC files that were asked for, and name them."""
    from reranker.evaluation.run_files import write_trec
    from reranker.reports.ranker_report import write_ranker_report

    if reports.html is not None:
        size = write_ranker_report(
            reports.html, evaluation, measured.results, reports.policy, missed, measured.comparison
        )
        say(f"{reports.html}: {size / 2**20:.1f} MB")
    if reports.trec is not None:
        for path in write_trec(reports.trec, evaluation, measured.results):
            say(str(path))
