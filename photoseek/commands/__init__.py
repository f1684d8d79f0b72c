"""Define the commands, one file per family. A command opens an object, calls a method and prints what it returns.

`COMMANDS` are all of them, in the order of the command-line reference. Below `cli.py`, only
`photoseek/` knows click.
"""

import click

from photoseek.commands.bench import bench
from photoseek.commands.compact import compact
from photoseek.commands.duplicates import duplicates
from photoseek.commands.evaluate import evaluate
from photoseek.commands.folders import forget
from photoseek.commands.index import build, info, use
from photoseek.commands.judged import check, explore
from photoseek.commands.repair import repair
from photoseek.commands.search import batch, search
from photoseek.commands.train import train
from photoseek.commands.verify import verify

COMMANDS: tuple[click.Command, ...] = (
    build,
    search,
    batch,
    use,
    info,
    forget,
    verify,
    repair,
    compact,
    duplicates,
    check,
    explore,
    train,
    evaluate,
    bench,
)
