"""Search an index: `photoseek search` and `photoseek batch`."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from photoseek.commands.open_searcher import one_blas_thread, open_searcher
from photoseek.options.output_files import RESULTS, SHEET, STANDARD, OutputFile, WritingCommand
from photoseek.options.search_options import QueryParts, query_parts, search_options, sort_option
from photoseek.options.standard_options import (
    UserPath,
    examples,
    index_option,
    quiet_option,
    ranker_option,
)
from photoseek.progress.console import echo_json, progress_bar, say

if TYPE_CHECKING:
    from search.queries.search_options import SearchOptions
    from search.query_files import FileQuery
    from search.results import Hit, SearchResult

# Exit code of `--fail-if-empty`.
NOTHING_FOUND = 3


@click.command(cls=WritingCommand)
@examples('photoseek search "two dogs play in the snow" -k 5 --sheet snow.jpg')
@click.argument("text", required=False)
@index_option
@ranker_option("Refuse unless this ranker is the attached one.")
@search_options("How many photos.")
@query_parts
@sort_option
@click.option("--misses", is_flag=True, help="Show the best photos even if none is a good match.")
@click.option("--sheet", type=OutputFile(SHEET), help="Write a contact sheet (.jpg, .png, ...).")
@click.option("--paths", is_flag=True, help="Print paths only, one per line.")
@click.option("-0", "null", is_flag=True, help="Print raw paths only, each ended by a NUL, for xargs -0.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--fail-if-empty", is_flag=True, help="Exit with 3 when nothing is found.")
@quiet_option
def search(
    text: str | None,
    folder: Path,
    ranker: Path | None,
    options: "SearchOptions",
    parts: QueryParts,
    sort: str,
    misses: bool,
    sheet: Path | None,
    paths: bool,
    null: bool,
    as_json: bool,
    fail_if_empty: bool,
    quiet: bool,
) -> None:
    """Print the photos that TEXT describes, with their relevance from 0 to 1."""
    query = parts.query(text)
    if as_json and (paths or null):
        raise click.UsageError("--json and --paths (or -0) are two forms of output; give one")
    one_blas_thread()
    from search.answer_notes import NO_PHOTOS

    searcher = open_searcher(folder, ranker)
    result = searcher.answer_queries([query], options)[0]
    if sort == "date":
        result = result.by_date()
    shown = result.hits if result.good_match or misses or as_json else ()
    if as_json:
        echo_json(result.as_dict())
    elif result.blocked is not None:
        click.echo(result.blocked, err=paths or null)
    elif paths or null:
        _echo_paths(shown, null)
    else:
        _echo_hits(result, shown)
    if sheet is not None and result.blocked is None:
        _write_sheet([result], sheet, quiet)
    for note in result.notes:
        # It stands in place of the table already.
        if note != NO_PHOTOS or as_json or paths or null:
            say(f"note: {note}")
    if fail_if_empty and not (shown and result.good_match):
        sys.exit(NOTHING_FOUND)


def _echo_paths(hits: "Sequence[Hit]", null: bool) -> None:
    """Print paths alone, the very bytes of each, ended by a newline or a NUL; escaped on a terminal, without a NUL."""
    from indexer.printable import printable

    if sys.stdout.isatty() and not null:
        for hit in hits:
            click.echo(printable(hit.path))
        return
    for hit in hits:
        sys.stdout.buffer.write(os.fsencode(hit.path) + (b"\0" if null else b"\n"))
    sys.stdout.buffer.flush()


def _echo_hits(result: "SearchResult", shown: "tuple[Hit, ...]") -> None:
    """Print the hits that are shown as a table, and say so if nothing is a good match."""
    from search.answer_notes import NO_PHOTOS
    from search.results import table

    if NO_PHOTOS in result.notes:
        click.echo(NO_PHOTOS)
    elif not result.good_match:
        best = ""
        if result.hits and not shown:
            best = f" (best relevance {result.hits[0].relevance:.3f}; --misses shows it)"
        click.echo(f"no good match for {result.text!r}{best}")
    if shown:
        click.echo(table(replace(result, hits=shown)))


def _write_sheet(results: "Sequence[SearchResult]", path: Path, quiet: bool) -> None:
    """Write a contact sheet, and name it unless quiet."""
    from search.contact_sheet import write_sheet

    write_sheet(results, path)
    if not quiet:
        say(f"contact sheet: {path}")


@click.command(cls=WritingCommand)
@examples("photoseek batch queries.csv -o results.jsonl -k 5")
@click.argument("queries", type=UserPath(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "-o",
    "--output",
    type=OutputFile(RESULTS, standard=True),
    default=STANDARD,
    show_default=True,
    help=".csv, .jsonl, .parquet, .trec; - for JSON Lines on standard output.",
)
@index_option
@ranker_option("Refuse unless this ranker is the attached one.")
@search_options("How many photos per query.")
@sort_option
@click.option("--column", help="The column of the query texts.  [default: query_text, query, text or caption]")
@click.option("--keep-going", is_flag=True, help="Skip bad rows; their results carry an error.")
@click.option("--sheet", type=OutputFile(SHEET), help="Write a contact sheet of all queries.")
@quiet_option
def batch(
    queries: Path,
    output: Path,
    folder: Path,
    ranker: Path | None,
    options: "SearchOptions",
    sort: str,
    column: str | None,
    keep_going: bool,
    sheet: Path | None,
    quiet: bool,
) -> None:
    """Answer every query of a file (.txt, .csv, .jsonl, .parquet).

    QUERIES - is standard input: one query per line, or JSON Lines.
    """
    one_blas_thread()
    from search.queries.query import Query
    from search.query_files import read_queries

    if column is not None and queries.suffix.lower() == ".txt":
        raise click.UsageError(f"--column {column}: {queries} is a text file, which has no columns")
    if sort == "date" and output.suffix.lower() == ".trec":
        raise click.UsageError("--sort date: a TREC run is sorted by score; give another ending")
    if output.suffix.lower() == ".trec":
        options = replace(options, show_all=True)  # judgments are of photos, not of stacks
    if queries == STANDARD and sys.stdin is None:
        raise click.UsageError("QUERIES is -, but standard input is closed")
    data = sys.stdin.buffer.read() if queries == STANDARD else None
    asked = read_queries(queries, keep_going=keep_going, column=column, data=data)
    searcher = open_searcher(folder, ranker)
    valid = [Query(query.text, id=query.id) for query in asked if query.error is None]
    with progress_bar("queries", quiet) as on_progress:
        found = searcher.answer_queries(valid, options, on_progress)
    if sort == "date":
        found = [result.by_date() for result in found]
    results = _with_errors(asked, found)
    _write_results(results, output)
    if sheet is not None:
        _write_sheet(results, sheet, quiet=True)
    for note in searcher.notes:
        say(f"note: {note}")
    unmatched = sum(not result.good_match for result in found)
    wrong = len(asked) - len(valid)
    answered = "1 query" if len(valid) == 1 else f"{len(valid)} queries"
    done = f"{answered} answered, {unmatched} without a good match, {wrong} with an error"
    if output == STANDARD:
        say(done)
    else:
        click.echo(f"{done} -> {output}")


def _write_results(results: "Sequence[SearchResult]", output: Path) -> None:
    """Write the results of a batch to a file or to standard output."""
    from search.result_files import write_results, write_to

    if output == STANDARD:
        write_to(results, sys.stdout)
        sys.stdout.flush()
    else:
        write_results(results, output)


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
