"""Define the options and arguments that several commands share."""

import inspect
import math
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from reranker.moderation.policy import Policy

DEFAULT_INDEX = "indexes/photos"

Command = TypeVar("Command", bound=Callable[..., None])


class UserPath(click.Path):
    """A path in which `~` is the home directory, for values that no shell has read, as `--index=~/x`.

    Args:
        checks: What click is to check: the arguments of `click.Path`.
    """

    def __init__(self, **checks: bool) -> None:
        super().__init__(path_type=Path, **checks)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path. Raises PhotoseekError if there is no home directory, or no user whom it names."""
        return Path(os.fsdecode(super().convert(with_home(value), param, ctx)))


def with_home(typed: str | Path) -> str:
    """Return a path as it was typed, with `~` as the home directory.

    Args:
        typed: The path; "=~/x", which click makes of `-o=~/x`, is "~/x".

    Raises:
        PhotoseekError: There is no home directory, or no user whom it names.
    """
    from indexer.user_paths import expand_home

    written = os.fspath(typed)
    return expand_home(written[1:] if written.startswith("=~") else written)


class FloatRange(click.FloatRange):
    """A range of numbers that refuses NaN. click's own accepts it, as NaN is neither below nor above a limit."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. Raises click.BadParameter if it is NaN or outside the range."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number


POSITIVE_INTEGER = click.IntRange(min=1)
PRECISION = click.Choice(["auto", "f32", "bf16", "int8"])
RELEVANCE = FloatRange(0, 1)

judged_argument = click.argument("judged", type=UserPath(exists=True, file_okay=False))
keep_going_option = click.option("--keep-going", is_flag=True, help="Drop bad rows of the judged data, and count them.")
seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Seed of all random choices."
)


def examples(*lines: str) -> Callable[[Command], Command]:
    """End the help of a command with lines that can be run as they are written.

    Args:
        lines: The commands, each on a line of its own.

    Returns:
        A decorator. It stands directly below `@click.command()`.
    """

    def add(command: Command) -> Command:
        # click keeps the line breaks of a paragraph that begins with a backspace character.
        command.__doc__ = "\n".join([inspect.cleandoc(command.__doc__ or ""), "", "\b", *lines])
        return command

    return add


def with_options(command: Command, *options: Callable[[Command], Command]) -> Command:
    """Add options to a command.

    Args:
        command: The command.
        options: The options, in the order of its help.

    Returns:
        The command with the options.
    """
    for option in reversed(options):
        command = option(command)
    return command


def index_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--index` to a command, as its argument `folder`."""
    return click.option(
        "-i",
        "--index",
        "folder",
        type=UserPath(),
        envvar="PHOTOSEEK_INDEX",
        default=DEFAULT_INDEX,
        show_default=True,
        help="The index folder ($PHOTOSEEK_INDEX).",
    )(command)


def index_words(folder: Path) -> str:
    """Return what names an index in advice: " -i FOLDER", or nothing for the one that commands take by themselves."""
    from indexer.user_paths import absolute_path

    own = absolute_path(os.environ.get("PHOTOSEEK_INDEX") or DEFAULT_INDEX)
    return "" if absolute_path(folder) == own else f" -i {shlex.quote(str(folder))}"


def ranker_option(text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds `--ranker FOLDER` with a help text of the command's own."""
    return click.option("--ranker", type=UserPath(), help=text)


def quiet_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--quiet` to a command."""
    return click.option("-q", "--quiet", is_flag=True, help="No progress, no list of skipped files.")(command)


def device_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--device` to a command."""
    choice = click.Choice(["auto", "cpu", "cuda"])
    return click.option("--device", type=choice, default="auto", help="Where the image encoder runs.")(command)


def image_encoder_options(default: str) -> Callable[[Command], Command]:
    """Return a decorator that adds `--image-encoder`, `--weights` and `--preprocess`.

    Args:
        default: The help text's words for the encoder that is used without these options.
    """

    def add(command: Command) -> Command:
        return with_options(
            command,
            click.option("--image-encoder", help=f"E.g. torchvision:resnet18.  [default: {default}]"),
            click.option("--weights", help="A local state dict for a torchvision encoder."),
            click.option("--preprocess", help="How a file:PATH encoder expects its pixels."),
        )

    return add


def encoder_options(weights: str | None, preprocess: str | None) -> dict[str, str]:
    """Return the options of the image encoder that were given, with an absolute path so that they hold in any folder.

    Args:
        weights: The value of `--weights`.
        preprocess: The value of `--preprocess`.

    Returns:
        Keyword arguments of `indexer.encoders.load_image_encoder`.
    """
    from indexer.user_paths import absolute_path

    given = {"weights": None if weights is None else str(absolute_path(weights)), "preprocess": preprocess}
    return {name: value for name, value in given.items() if value is not None}


def report_policy_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--policy` to a command that writes a report; `report_policy` reads it."""
    text = "No report shows photos that this policy protects: minors, or a .toml file; 'none' shows all."
    return click.option("--policy", default="minors", show_default=True, help=text)(command)


def report_policy(name: str) -> "Policy | None":
    """Load the policy of a report; None for "none". Raises PhotoseekError if it cannot be read."""
    from reranker.moderation.policy import Policy

    return None if name == "none" else Policy.load(name)
