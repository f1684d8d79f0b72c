"""Talk to a person or a program: progress bars and messages on stderr, JSON on stdout."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import click

from photoseek.progress.progress_lines import ProgressLines

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


class Stages(Protocol):
    """A display of the stages of long work, one at a time."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is; `total` is 0 while it is not known."""

    def remark(self, text: str) -> None:
        """Add a text to the lines about the present stage, in place of an earlier one."""


@contextmanager
def progress_bar(label: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show one progress bar on stderr while the block runs.

    Args:
        label: The text before the bar.
        quiet: Show nothing.

    Yields:
        A function of (done, total) that moves the bar. It does nothing when quiet. Where stderr is not a terminal, a
        line is written now and then.
    """
    with progress_bars(quiet) as on_stage:
        yield lambda done, total: on_stage(label, done, total)


@contextmanager
def progress_bars(quiet: bool) -> Iterator[Stages]:
    """Show one progress bar per stage on stderr while the block runs.

    Args:
        quiet: Show nothing.

    Yields:
        A function of (stage, done, total) that moves the bar of the stage, and adds it at the first call. It does
        nothing when quiet. Where stderr is not a terminal, a line is written now and then.
    """
    if quiet:
        yield _NoStages()
    elif not sys.stderr.isatty():
        lines = ProgressLines(say, LINE_SECONDS)
        try:
            yield lines
        finally:
            lines.close()
    else:
        from photoseek.progress.progress_bars import ProgressBars

        with ProgressBars() as bars:
            yield bars


class _NoStages:
    """A display that shows nothing."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        pass

    def remark(self, text: str) -> None:
        pass
