"""Measure searches or indexing: `photoseek bench`."""

import json
from pathlib import Path

import click

from photoseek.commands.console import stages
from photoseek.commands.open_searcher import open_searcher
from photoseek.commands.options import PRECISION, check_folder, index_option, quiet_option, ranker_option

PLOT_SUFFIXES = (".svg", ".png", ".pdf")


@click.command()
@index_option
@ranker_option("Refuse unless this ranker is the attached one.")
@click.option(
    "--queries",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Queries to time.  [default: built in]",
)
@click.option("--photos", type=click.Path(), help="Measure how fast this folder is indexed, and no queries.")
@click.option("--encoder", help="With --photos: the image encoder.  [default: efficientnet-lite]")
@click.option("--precision", type=PRECISION, help="With --photos: what the encoder computes in.  [default: auto]")
@click.option("--count", type=click.IntRange(min=1), help="Warm queries to time, or photos.  [default: 200, 500]")
@click.option("--candidates", type=click.IntRange(min=1), help="How many a query are reranked.  [default: 200]")
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True, help="Fresh processes to time.")
@click.option("--synthetic", metavar="N", type=click.IntRange(min=1_000), help="Measure N photos made of the index's.")
@click.option("--compare", "with_peers", is_flag=True, help="Measure other ways to search beside.")
@click.option("--peers", metavar="NAMES", help="Which, by commas.  [default: all; see search/README.md]")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw recall against time (.svg, .png).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@quiet_option
def bench(
    folder: Path,
    ranker: Path | None,
    queries: Path | None,
    photos: str | None,
    encoder: str | None,
    precision: str | None,
    count: int | None,
    candidates: int | None,
    runs: int,
    synthetic: int | None,
    with_peers: bool,
    peers: str | None,
    plot: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure latency by stage, cold and warm, throughput, memory, recall against exact search, floors.

    \b
    photoseek bench --synthetic 200000 --compare --plot curve.svg
    photoseek bench --photos ~/Pictures --compare
    """
    if photos is not None:
        from search.bench import indexing as bench_indexing

        given = {"--queries": queries, "--candidates": candidates, "--synthetic": synthetic, "--peers": peers}
        for option, value in {**given, "--plot": plot, "--ranker": ranker}.items():
            if value is not None:
                raise click.UsageError(f"{option} is of queries and does not go with --photos")
        with stages(quiet) as on_stage:
            figures = bench_indexing.measure_indexing(
                photos,
                encoder or "efficientnet-lite",
                count or 500,
                peers=with_peers,
                precision=precision or "auto",
                on_stage=on_stage,
            )
        click.echo(json.dumps({"format": 1, **figures}) if as_json else bench_indexing.report(figures))
        return
    if encoder is not None or precision is not None:
        raise click.UsageError("--encoder and --precision go with --photos")
    from search.bench import report as bench_report
    from search.bench.baselines import PEERS, check_names
    from search.bench.measure import measure, measure_synthetic
    from search.query_files import read_queries

    if peers is not None and not with_peers:
        raise click.UsageError("--peers goes with --compare")
    if plot is not None and plot.suffix.lower() not in PLOT_SUFFIXES:
        raise click.UsageError(f"--plot {plot}: the ending must be one of {', '.join(PLOT_SUFFIXES)}")
    check_folder("--plot", plot)
    names = check_names([name.strip() for name in peers.split(",")]) if peers else list(PEERS) if with_peers else []
    texts = [query.text for query in read_queries(queries)] if queries is not None else None
    with stages(quiet) as on_stage:
        made = None
        if synthetic is not None:
            made = measure_synthetic(open_searcher(folder, ranker).index, synthetic, texts, on_stage)
            folder = Path(made["folder"])
        searcher_of = lambda timer: open_searcher(folder, ranker, timer, candidates)  # noqa: E731
        figures = measure(searcher_of, folder, texts, count or 200, runs, names, on_stage)
    if made is not None:
        figures["synthetic"] = made
    if plot is not None:
        bench_report.plot(figures, plot)
    click.echo(json.dumps({"format": 1, **figures}) if as_json else bench_report.report(figures))
