"""Ask an index: `photoseek search` and `photoseek batch`."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from photoseek.commands.console import progress
from photoseek.commands.open_searcher import one_blas_thread, open_searcher
from photoseek.commands.options import SCORE, K, check_folder, index_option, quiet_option, ranker_option

NOTHING_FOUND = 3


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
    check_folder("--sheet", sheet)
    one_blas_thread()
    searcher = open_searcher(folder, ranker)
    if like is not None:
        answer = searcher.like(like, count, min_score=min_score, under=under)
    else:
        answer = searcher.answer(text or "", count, min_score=min_score, under=under, without=without)
    found = answer.hits if answer.good_match or misses or as_json else ()
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
        from search.contact_sheet import write_sheet

        write_sheet([answer], sheet)
        if not quiet:
            click.echo(f"contact sheet: {sheet}", err=True)
    for note in answer.notes:
        click.echo(f"note: {note}", err=True)
    if fail_if_empty and not (found and answer.good_match):
        sys.exit(NOTHING_FOUND)


def _print_answer(answer: Any, found: tuple[Any, ...], paths: bool, min_score: float) -> None:
    from dataclasses import replace

    from search.results import printable, table

    if paths:
        for hit in found:
            click.echo(printable(hit.path))
        return
    if not answer.good_match:
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
    """SearchResult every query of a file (.txt, .csv, .jsonl, .parquet).

    \b
    photoseek batch queries.csv -o results.jsonl -k 5
    """
    one_blas_thread()
    from search.query_files import read_queries
    from search.results import RESULT_SUFFIXES, SearchResult, write_answers

    if output.suffix not in RESULT_SUFFIXES:
        raise click.UsageError(f"-o {output}: the ending must be one of {', '.join(RESULT_SUFFIXES)}")
    if output.exists() and output.samefile(queries):
        raise click.UsageError(f"-o {output} is the query file itself")
    check_folder("-o", output)
    check_folder("--sheet", sheet)
    asked = read_queries(queries, keep_going=keep_going, column=column)
    searcher = open_searcher(folder, ranker)
    good = [(query.id, query.text) for query in asked if query.error is None]
    with progress("queries", quiet) as advance:
        found = iter(searcher.answer_many(good, count, min_score=min_score, under=under, on_progress=advance))
    answers = [
        next(found)
        if query.error is None
        else SearchResult(query.id, query.text, (), good_match=False, error=query.error)
        for query in asked
    ]
    write_answers(answers, output)
    if sheet is not None:
        from search.contact_sheet import write_sheet

        write_sheet(answers, sheet)
    wrong = len(asked) - len(good)
    unmatched = sum(not answer.good_match for answer in answers if answer.error is None)
    click.echo(f"{len(good)} queries answered, {unmatched} without a good match, {wrong} with an error -> {output}")
