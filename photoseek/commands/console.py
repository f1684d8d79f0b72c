"""Talk to a person or a program: progress bars and messages on stderr, JSON on stdout."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

# Version of the JSON that commands print.
JSON_FORMAT = 1
# Seconds between two lines of progress where stderr is not a terminal.
LINE_SECONDS = 30.0


def say(message: str) -> None:
    """Print a message on stderr."""
    click.echo(message, err=True)


def echo_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object on stdout, with its format version first."""
    click.echo(json.dumps({"format": JSON_FORMAT, **values}))


@contextmanager
def progress_bar(label: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show one progress bar on stderr while the block runs.

    Args:
        label: The text before the bar.
        quiet: Show nothing.

    Yields:
        A function of (done, total) that moves the bar. It does nothing when quiet. Where stderr is not a terminal, it
        writes a line now and then.
    """
    with progress_bars(quiet) as on_stage:
        yield lambda done, total: on_stage(label, done, total)


@contextmanager
def progress_bars(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show one progress bar per stage on stderr while the block runs.

    Args:
        quiet: Show nothing.

    Yields:
        A function of (stage, done, total) that moves the bar of the stage, and adds it at the first call. It does
        nothing when quiet. Where stderr is not a terminal, it writes a line now and then.
    """
    if quiet:
        yield lambda stage, done, total: None
        return
    if not sys.stderr.isatty():
        yield _lines_now_and_then()
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


def _lines_now_and_then() -> Callable[[str, int, int], None]:
    """Return a function of (stage, done, total) that says how far a stage is, if the last line is long ago."""
    said = time.monotonic()

    def on_stage(stage: str, done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= LINE_SECONDS:
            said = time.monotonic()
            say(f"{stage}: {done} of {total}")

    return on_stage
