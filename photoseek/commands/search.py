"""Search an index: `photoseek search` and `photoseek batch`."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from photoseek.commands.console import echo_json, progress_bar, say
from photoseek.commands.open_searcher import one_blas_thread, open_searcher
from photoseek.commands.options import (
    POSITIVE_INTEGER,
    RELEVANCE,
    check_output_folder,
    examples,
    index_option,
    quiet_option,
    ranker_option,
)

if TYPE_CHECKING:
    from search.query_files import FileQuery
    from search.results import Hit, SearchResult

# Exit code of `--fail-if-empty`.
NOTHING_FOUND = 3


@click.command()
@examples('photoseek search "two dogs play in the snow" -k 5 --sheet snow.jpg')
@click.argument("text", required=False)
@index_option
@ranker_option("Refuse unless this ranker is the attached one.")
@click.option("-k", "count", type=POSITIVE_INTEGER, default=10, show_default=True, help="How many photos.")
@click.option("--min-score", type=RELEVANCE, default=0.0, help="Leave out photos of lower relevance.")
@click.option("--under", metavar="DIR", help="Only photos below this folder.")
@click.option(
    "--like", metavar="PHOTO", type=click.Path(), help="Find photos that look like this one, instead of TEXT."
)
@click.option("--without", metavar="TEXT", help="Prefer photos that this does not describe.")
@click.option("--misses", is_flag=True, help="Show the best photos even if none is a good match.")
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
    """Print the photos that TEXT describes, with their relevance from 0 to 1."""
    _check_query(text, like, without)
    check_output_folder("--sheet", sheet)
    one_blas_thread()
    searcher = open_searcher(folder, ranker)
    if like is not None:
        result = searcher.like(like, count, min_score=min_score, under=under)
    else:
        result = searcher.answer(text or "", count, min_score=min_score, under=under, without=without)
    shown = result.hits if result.good_match or misses or as_json else ()
    if as_json:
        echo_json(result.as_dict())
    elif result.blocked is not None:
        click.echo(result.blocked, err=paths or null)
    elif paths or null:
        _echo_paths(shown, null)
    else:
        _echo_hits(result, shown, min_score)
    if sheet is not None and result.blocked is None:
        _write_sheet([result], sheet, quiet)
    for note in result.notes:
        say(f"note: {note}")
    if fail_if_empty and not (shown and result.good_match):
        sys.exit(NOTHING_FOUND)


def _check_query(text: str | None, like: str | None, without: str | None) -> None:
    """Refuse a search without a query, with two, or with options that do not go together."""
    if (text is None or not text.strip()) == (like is None):
        raise click.UsageError("give a TEXT that says what the photo shows, or --like PHOTO")
    if like is not None and without is not None:
        raise click.UsageError("--without goes with a TEXT, not with --like")


def _echo_paths(hits: "Sequence[Hit]", null: bool) -> None:
    """Print paths alone: escaped and one per line, or raw bytes each ended by a NUL."""
    from indexer.printable import printable

    if not null:
        for hit in hits:
            click.echo(printable(hit.path))
        return
    for hit in hits:
        sys.stdout.buffer.write(os.fsencode(hit.path) + b"\0")
    sys.stdout.buffer.flush()


def _echo_hits(result: "SearchResult", shown: "tuple[Hit, ...]", min_score: float) -> None:
    """Print the hits that are shown as a table, and say so if nothing is a good match or relevant enough."""
    from search.results import table

    if not result.good_match:
        best = ""
        if result.hits and not shown:
            best = f" (best relevance {result.hits[0].relevance:.3f}; --misses shows it)"
        click.echo(f"no good match for {result.text!r}{best}")
    elif not shown:
        click.echo(f"nothing of relevance {min_score:g} or more for {result.text!r}")
    if shown:
        click.echo(table(replace(result, hits=shown)))


def _write_sheet(results: "Sequence[SearchResult]", path: Path, quiet: bool) -> None:
    """Write a contact sheet, and name it unless quiet."""
    from search.contact_sheet import write_sheet

    write_sheet(results, path)
    if not quiet:
        say(f"contact sheet: {path}")


@click.command()
@examples("photoseek batch queries.csv -o results.jsonl -k 5")
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
@click.option("-k", "count", type=POSITIVE_INTEGER, default=10, show_default=True, help="How many photos per query.")
@click.option("--min-score", type=RELEVANCE, default=0.0, help="Leave out photos of lower relevance.")
@click.option("--under", metavar="DIR", help="Only photos below this folder.")
@click.option("--column", help="The column of the query texts.  [default: query_text, query, text or caption]")
@click.option("--keep-going", is_flag=True, help="Skip bad rows; their results carry an error.")
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
    """Answer every query of a file (.txt, .csv, .jsonl, .parquet)."""
    one_blas_thread()
    from search.query_files import read_queries
    from search.result_files import write_results

    _check_batch_files(queries, output, sheet)
    asked = read_queries(queries, keep_going=keep_going, column=column)
    searcher = open_searcher(folder, ranker)
    valid = [(query.id, query.text) for query in asked if query.error is None]
    with progress_bar("queries", quiet) as on_progress:
        found = searcher.answer_many(valid, count, min_score=min_score, under=under, on_progress=on_progress)
    results = _with_errors(asked, found)
    write_results(results, output)
    if sheet is not None:
        _write_sheet(results, sheet, quiet=True)
    unmatched = sum(not result.good_match for result in found)
    wrong = len(asked) - len(valid)
    click.echo(f"{len(valid)} queries answered, {unmatched} without a good match, {wrong} with an error -> {output}")


def _check_batch_files(queries: Path, output: Path, sheet: Path | None) -> None:
    """Refuse files that a batch cannot write, before the work begins."""
    from search.result_files import RESULT_SUFFIXES

    if output.suffix not in RESULT_SUFFIXES:
        raise click.UsageError(f"-o {output}: the ending must be one of {', '.join(RESULT_SUFFIXES)}")
    if output.exists() and output.samefile(queries):
        raise click.UsageError(f"-o {output} is the query file itself")
    check_output_folder("-o", output)
    check_output_folder("--sheet", sheet)


def _with_errors(asked: "Sequence[FileQuery]", found: "Sequence[SearchResult]") -> "list[SearchResult]":
    """Return one result per row of a query file, in its order: those found, and an error for each row that has one."""
    from search.results import SearchResult

    results = iter(found)
    return [
        next(results)
        if query.error is None
        else SearchResult(query.id, query.text, (), good_match=False, error=query.error)
        for query in asked
    ]
