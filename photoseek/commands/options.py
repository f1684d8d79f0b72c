"""Options and arguments that several commands share."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

DEFAULT_INDEX = "indexes/photos"

Command = TypeVar("Command", bound=Callable[..., None])


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

judged_argument = click.argument("judged", type=click.Path(exists=True, file_okay=False, path_type=Path))
keep_going_option = click.option("--keep-going", is_flag=True, help="Drop bad rows of the judged data, and count them.")
seed_option = click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)


def image_encoder_options(default: str) -> Callable[[Command], Command]:
    """`--image-encoder`, `--weights` and `--preprocess`; `default` says in words which one it is without them."""

    def add(command: Command) -> Command:
        for option in (
            click.option("--preprocess", help="How a file: encoder wants its pixels."),
            click.option("--weights", help="A local state dict for a torchvision encoder."),
            click.option("--image-encoder", help=f"E.g. torchvision:resnet18.  [default: {default}]"),
        ):
            command = option(command)
        return command

    return add


def encoder_options(weights: str | None, preprocess: str | None) -> dict[str, str]:
    """Those that were given, so that they still hold in another folder."""
    given = {"weights": None if weights is None else os.path.abspath(weights), "preprocess": preprocess}
    return {name: value for name, value in given.items() if value is not None}


def show_policy_option(command: Callable[..., None]) -> Callable[..., None]:
    text = "No report shows photos that this policy protects: minors, or a .toml file; 'none' shows all."
    return click.option("--policy", default="minors", show_default=True, help=text)(command)


def check_folder(option: str, output: Path | None) -> None:
    """Refuse an output that cannot be written before there is anything to write."""
    if output is not None and not output.parent.is_dir():
        raise click.UsageError(f"{option} {output}: there is no folder {output.parent}")
