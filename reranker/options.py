"""Options that the commands around judged data share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., None])

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
