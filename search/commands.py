"""The commands that ask an index: search, batch and bench."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from indexer.terminal import PRECISION, SCORE, K, index_option, progress, quiet_option, ranker_option, say, stages

NOTHING_FOUND = 3
PLOT_SUFFIXES = (".svg", ".png", ".pdf")


@click.command()
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
    _check_folder("--sheet", sheet)
    _one_blas_thread()
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


@click.command()
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
    _one_blas_thread()
    from search.queries import read_queries
    from search.results import RESULT_SUFFIXES, Answer, write_answers

    if output.suffix not in RESULT_SUFFIXES:
        raise click.UsageError(f"-o {output}: the ending must be one of {', '.join(RESULT_SUFFIXES)}")
    if output.exists() and output.samefile(queries):
        raise click.UsageError(f"-o {output} is the query file itself")
    _check_folder("-o", output)
    _check_folder("--sheet", sheet)
    asked = read_queries(queries, keep_going=keep_going, column=column)
    searcher = _searcher(folder, ranker)
    good = [(query.id, query.text) for query in asked if query.error is None]
    with progress("queries", quiet) as advance:
        found = iter(searcher.answer_many(good, count, min_score=min_score, under=under, on_progress=advance))
    answers = [
        next(found) if query.error is None else Answer(query.id, query.text, (), good=False, error=query.error)
        for query in asked
    ]
    write_answers(answers, output)
    if sheet is not None:
        from search.sheet import write_sheet

        write_sheet(answers, sheet)
    wrong = len(asked) - len(good)
    click.echo(
        f"{len(good)} queries answered, {sum(not a.good for a in answers if a.error is None)} without a good match, "
        f"{wrong} with an error -> {output}"
    )


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
        from search import bench_indexing

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
    from search import bench_report
    from search.bench import measure, measure_synthetic
    from search.peers import PEERS, check_names
    from search.queries import read_queries

    if peers is not None and not with_peers:
        raise click.UsageError("--peers goes with --compare")
    if plot is not None and plot.suffix.lower() not in PLOT_SUFFIXES:
        raise click.UsageError(f"--plot {plot}: the ending must be one of {', '.join(PLOT_SUFFIXES)}")
    _check_folder("--plot", plot)
    names = check_names([name.strip() for name in peers.split(",")]) if peers else list(PEERS) if with_peers else []
    texts = [query.text for query in read_queries(queries)] if queries is not None else None
    with stages(quiet) as on_stage:
        made = None
        if synthetic is not None:
            made = measure_synthetic(_searcher(folder, ranker).index, synthetic, texts, on_stage)
            folder = Path(made["folder"])
        searcher_of = lambda timer: _searcher(folder, ranker, timer, candidates)  # noqa: E731
        figures = measure(searcher_of, folder, texts, count or 200, runs, names, on_stage)
    if made is not None:
        figures["synthetic"] = made
    if plot is not None:
        bench_report.plot(figures, plot)
    click.echo(json.dumps({"format": 1, **figures}) if as_json else bench_report.report(figures))


def _check_folder(option: str, output: Path | None) -> None:
    """Refuse an output that cannot be written before there is anything to write."""
    if output is not None and not output.parent.is_dir():
        raise click.UsageError(f"{option} {output}: there is no folder {output.parent}")


def _one_blas_thread() -> None:
    """Unless NumPy is loaded already: its BLAS starts a thread a core, of no use to a search, and they spin before
    they sleep."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _searcher(
    folder: Path,
    ranker: Path | None,
    timer: Callable[[str, float], None] | None = None,
    candidates: int | None = None,
) -> Any:
    from indexer.index import Index
    from reranker.ranker import Ranker
    from search.searcher import CANDIDATES, Searcher

    wanted = None if ranker is None else Ranker.load(ranker)
    return Searcher(Index.open(folder), wanted, timer, say, candidates=candidates or CANDIDATES)
