"""Measure searches or indexing: `photoseek bench`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from photoseek.commands.open_searcher import open_searcher
from photoseek.options.output_files import PLOT, OutputFile, WritingCommand
from photoseek.options.standard_options import (
    POSITIVE_INTEGER,
    PRECISION,
    UserPath,
    examples,
    index_option,
    quiet_option,
    ranker_option,
)
from photoseek.progress.console import echo_json, progress_bars

if TYPE_CHECKING:
    from search.bench.search_benchmark import SearchBenchmark
    from search.bench.synthetic.likeness import Likeness
    from search.searcher import Searcher

# The names of `search.bench.baselines.BASELINES`, written out so that a help page need not import it.
BASELINES = "every-vector,semantic-search,flat,hnswlib,usearch,autofaiss"
# Defaults of `--count`.
WARM_QUERIES, PHOTOS = 200, 500


@click.command(cls=WritingCommand)
@examples(
    "photoseek bench --synthetic 200000 --compare --plot curve.svg", "photoseek bench --photos ~/Pictures --compare"
)
@index_option
@ranker_option("Refuse unless this ranker is the attached one.")
@click.option(
    "--queries",
    type=UserPath(exists=True, dir_okay=False),
    help="Queries to time.  [default: built in]",
)
@click.option("--photos", type=UserPath(), help="Measure how fast this folder is indexed, and no queries.")
@click.option("--encoder", help="With --photos: the image encoder.  [default: efficientnet-lite]")
@click.option("--precision", type=PRECISION, help="With --photos: number format of the encoder.  [default: auto]")
@click.option("--count", type=POSITIVE_INTEGER, help="Warm queries to time, or photos.  [default: 200, 500]")
@click.option("--candidates", type=POSITIVE_INTEGER, help="How many photos are reranked per query.  [default: 200]")
@click.option("--runs", type=POSITIVE_INTEGER, default=5, show_default=True, help="Fresh processes to time.")
@click.option(
    "--synthetic",
    metavar="N",
    type=click.IntRange(min=1_000),
    help="Measure an index of N synthetic photos, made of the real ones.",
)
@click.option("--compare", is_flag=True, help="Measure other search libraries beside photoseek.")
@click.option("--peers", metavar="NAMES", help=f"Which of them, separated by commas.  [default: {BASELINES}]")
@click.option("--plot", type=OutputFile(PLOT), help="Draw recall against time (.svg, .png).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@quiet_option
def bench(
    folder: Path,
    ranker: Path | None,
    queries: Path | None,
    photos: Path | None,
    encoder: str | None,
    precision: str | None,
    count: int | None,
    candidates: int | None,
    runs: int,
    synthetic: int | None,
    compare: bool,
    peers: str | None,
    plot: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure latency, throughput, memory and recall of searches, or the speed of indexing."""
    if photos is not None:
        given = {"--queries": queries, "--candidates": candidates, "--synthetic": synthetic, "--peers": peers}
        _refuse({**given, "--plot": plot, "--ranker": ranker}, "is of queries and does not go with --photos")
        _bench_indexing(photos, encoder, precision, count or PHOTOS, compare, as_json, quiet)
        return
    if encoder is not None or precision is not None:
        raise click.UsageError("--encoder and --precision go with --photos")
    names = _baseline_names(compare, peers)
    task = _SearchTask(folder, ranker, candidates, _read_texts(queries), count or WARM_QUERIES, runs, synthetic)
    figures, likeness = _bench_searches(task, names, quiet)
    _show_searches(figures, likeness, plot, as_json)


@dataclass(frozen=True, slots=True)
class _SearchTask:
    """A search benchmark: the index, or the size of a synthetic one made of it, and the queries."""

    index: Path
    ranker: Path | None
    candidates: int | None
    texts: Sequence[str] | None
    count: int
    runs: int
    synthetic: int | None


def _refuse(options: Mapping[str, object], reason: str) -> None:
    """Refuse the first of the options that was given, by its name and a reason."""
    for option, value in options.items():
        if value is not None:
            raise click.UsageError(f"{option} {reason}")


def _baseline_names(compare: bool, peers: str | None) -> list[str]:
    """Return the names of the baselines to measure; refuse unknown ones."""
    from search.bench.baselines import check_names

    if peers is not None and not compare:
        raise click.UsageError("--peers goes with --compare")
    return check_names([name.strip() for name in (peers or BASELINES).split(",")]) if compare else []


def _read_texts(queries: Path | None) -> list[str] | None:
    """Return the texts of a query file; None without one."""
    from search.query_files import read_queries

    return None if queries is None else [query.text for query in read_queries(queries)]


def _bench_indexing(
    photos: Path, encoder: str | None, precision: str | None, count: int, compare: bool, as_json: bool, quiet: bool
) -> None:
    """Measure the speed of indexing, and print the figures."""
    from indexer.index import DEFAULT_ENCODER
    from search.bench.indexing_benchmark import format_indexing, measure_indexing

    with progress_bars(quiet) as on_stage:
        figures = measure_indexing(
            photos,
            encoder or DEFAULT_ENCODER,
            count,
            with_baseline=compare,
            precision=precision or "auto",
            on_stage=on_stage,
        )
    if as_json:
        echo_json(figures.as_dict())
    else:
        click.echo(format_indexing(figures))


def _bench_searches(
    task: _SearchTask, baselines: Sequence[str], quiet: bool
) -> "tuple[SearchBenchmark, Likeness | None]":
    """Measure the searches of an index, or of a synthetic one that is made first."""
    from search.bench.search_benchmark import make_synthetic, measure_searches

    with progress_bars(quiet) as on_stage:
        index, likeness = task.index, None
        if task.synthetic is not None:
            real = open_searcher(task.index, task.ranker).index
            likeness = make_synthetic(real, task.synthetic, task.texts, on_stage)
            index = likeness.folder

        def opened(timer: Callable[[str, float], None] | None) -> "Searcher":
            return open_searcher(index, task.ranker, timer, task.candidates)

        figures = measure_searches(opened, index, task.texts, task.count, task.runs, baselines, on_stage)
    return figures, likeness


def _show_searches(figures: "SearchBenchmark", likeness: "Likeness | None", plot: Path | None, as_json: bool) -> None:
    """Print the figures, and draw them if a plot was asked for."""
    from search.bench.report import format_searches, plot_recall

    if plot is not None:
        plot_recall(figures, plot)
    if as_json:
        echo_json({**figures.as_dict(), **({} if likeness is None else {"synthetic": likeness.as_dict()})})
    else:
        click.echo(format_searches(figures, likeness))
