"""Run the command line. Data goes to stdout, messages go to stderr."""

import atexit
import errno
import gc
import os
import sys
import warnings
from typing import Any

import click

from indexer.child_process import fill_standard_descriptors
from indexer.errors import PhotoseekError, PhotoseekWarning
from photoseek.commands import COMMANDS
from photoseek.options.standard_options import examples

# Exit code after Ctrl-C: 128 + SIGINT, as shells count.
INTERRUPTED = 130
# Commands that keep what they have done when they are interrupted.
RESUMED = ("build", "train", "evaluate", "explore")
# Allocations between two garbage collections. A start allocates much and frees nothing, so Python's 700 cost time.
COLLECT_EVERY = 50_000


class _Group(click.Group):
    """Turn errors that every command shares into one line on stderr and an exit code."""

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
            # The reader of our output has ended, so there is nobody to tell.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            click.echo("photoseek: output cannot be written: disk is full", err=True)
            ctx.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="photoseek", message="photoseek %(version)s")
@examples("photoseek build ~/Pictures", 'photoseek search "a dog catches a frisbee"')
def main() -> None:
    """Find photos by what is in them: the right photo for a sentence, offline, on a plain CPU."""


for command in COMMANDS:
    main.add_command(command)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """Print our own warnings as a note, and others as Python does."""
    if issubclass(category, PhotoseekWarning):
        click.echo(f"note: {message}", err=True)
    else:
        _python_shows(message, category, *place, **more)


_python_shows = warnings.showwarning


def _open_missing_streams() -> None:
    """Let a process that was started without standard output or error, as a daemon or by `pythonw`, print nowhere."""
    fill_standard_descriptors()
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def run() -> None:
    """Run the console script: call `main`, then leave the process at once.

    Exit handlers run and output is flushed, but Python and OpenVINO free nothing: that would take a fifth of the time
    of a whole search, and the system takes the memory back anyway.
    """
    gc.set_threshold(COLLECT_EVERY)
    warnings.showwarning = _show_warning
    _open_missing_streams()
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
            raise done from None  # Python reports it in its own way
        os._exit(code or 0)


if __name__ == "__main__":
    run()
