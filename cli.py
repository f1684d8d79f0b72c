"""The command line: open, call, echo. Data goes to stdout, talk to stderr; the only place that knows all rooms."""

import atexit
import errno
import gc
import os
import sys
from typing import Any

import click

from indexer.errors import PhotoseekError
from photoseek.commands.bench import bench
from photoseek.commands.evaluate import evaluate
from photoseek.commands.index import build, info, use
from photoseek.commands.judged import check, explore
from photoseek.commands.search import batch, search
from photoseek.commands.train import train

INTERRUPTED = 130
# Commands that keep what they have done so far.
RESUMED = ("build", "train", "evaluate", "explore")
# Objects made between two searches for garbage: what a start makes is all kept.
COLLECT_EVERY = 50_000


class _Group(click.Group):
    """Turns the error family into one line and exit code 1, once, for every command."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PhotoseekError as error:
            click.echo(f"photoseek: {error}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            goes_on = "; the same command goes on where it stopped" if ctx.invoked_subcommand in RESUMED else ""
            click.echo(f"photoseek: interrupted{goes_on}", err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader of our output has gone; there is nobody left to tell.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            click.echo("photoseek: output cannot be written: disk is full", err=True)
            ctx.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="photoseek", message="photoseek %(version)s")
def main() -> None:
    """Find photos by what is in them: the right photo for a sentence, offline, on a plain CPU.

    \b
    photoseek build ~/Pictures
    photoseek search "a dog catches a frisbee"
    """


for command in (build, search, batch, use, info, check, explore, train, evaluate, bench):
    main.add_command(command)


def run() -> None:
    """The console script: `main`, then out at once. The system takes back in one piece what Python and OpenVINO would
    free piece by piece, for a fifth of the time of a whole search."""
    gc.set_threshold(COLLECT_EVERY)
    try:
        main()
    except SystemExit as done:
        code = done.code
        if code is not None and not isinstance(code, int):
            raise
        atexit._run_exitfuncs()
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            raise done from None  # Python says so in its own way
        os._exit(code or 0)


if __name__ == "__main__":
    run()
