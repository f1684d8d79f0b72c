"""What commands share: their common options, progress on a terminal, and talk on stderr."""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

DEFAULT_INDEX = "indexes/photos"


def index_option(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "-i",
        "--index",
        "folder",
        type=click.Path(path_type=Path),
        envvar="PHOTOSEEK_INDEX",
        default=DEFAULT_INDEX,
        show_default=True,
        help="The index folder ($PHOTOSEEK_INDEX).",
    )(command)


def ranker_option(text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option("--ranker", type=click.Path(path_type=Path), help=text)


def quiet_option(command: Callable[..., None]) -> Callable[..., None]:
    return click.option("-q", "--quiet", is_flag=True, help="No progress, no list of skipped files.")(command)


def device_option(command: Callable[..., None]) -> Callable[..., None]:
    choice = click.Choice(["auto", "cpu", "cuda"])
    return click.option("--device", type=choice, default="auto", help="Where the image encoder runs.")(command)


class FloatRange(click.FloatRange):
    """A range that NaN lies outside of; click's own lets it in, as it is neither below one end nor above the other."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number


K = click.IntRange(min=1)
PRECISION = click.Choice(["auto", "f32", "bf16", "int8"])
SCORE = FloatRange(0, 1)


def say(message: str) -> None:
    click.echo(message, err=True)


@contextmanager
def progress(label: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr for `advance(done, total)`; nothing at all when quiet or off a terminal."""
    with stages(quiet) as on_stage:
        yield lambda done, total: on_stage(label, done, total)


@contextmanager
def stages(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on stderr for each stage that `on_stage(name, done, total)` names."""
    if quiet or not sys.stderr.isatty():
        yield lambda stage, done, total: None
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
