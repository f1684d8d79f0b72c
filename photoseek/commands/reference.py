"""Write the command-line reference: the help of every command as one Markdown page.

`python -m photoseek.commands.reference` prints docs/cli.md. `make docs` writes it, `make lint` compares it.
"""

from collections.abc import Sequence

import click

from photoseek.commands import COMMANDS

# Columns of the help texts, whatever terminal this runs in.
WIDTH = 100
HEAD = """\
# Command-line reference

<!-- Written by `make docs` from the help of the commands. Change the help, not this page. -->

`photoseek COMMAND --help` prints the same. Results go to stdout, messages and progress bars go to stderr.

| exit code | meaning |
|---|---|
| 0 | done, also when no photo is a good match |
| 1 | refused or failed; one line on stderr says why and what to do next |
| 2 | wrong use of the command line |
| 3 | nothing found, with `--fail-if-empty` |
| 130 | interrupted |

Every JSON object has the key `format`: the version of its keys, now 1.
"""


def reference(commands: Sequence[click.Command] = COMMANDS) -> str:
    """Return the command-line reference.

    Args:
        commands: The commands, in the order of the page.

    Returns:
        A page of Markdown: exit codes, links to the commands, and one section per command with its help.
    """
    links = [f"- [{name_of(command)}](#photoseek-{command.name}): {_first_line(command)}" for command in commands]
    sections = [f"## {name_of(command)}\n\n```text\n{help_of(command)}\n```\n" for command in commands]
    return "\n".join([HEAD, *links, "", *sections])


def name_of(command: click.Command) -> str:
    """Return a command as it is typed, for example `photoseek search`."""
    return f"photoseek {command.name}"


def _first_line(command: click.Command) -> str:
    """Return the first line of a command's help."""
    return (command.help or "").partition("\n")[0]


def help_of(command: click.Command) -> str:
    """Return what `--help` prints for a command, in lines of at most `WIDTH` columns."""
    context = click.Context(
        command,
        info_name=name_of(command),
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=["-h", "--help"],
    )
    return command.get_help(context)


if __name__ == "__main__":
    click.echo(reference(), nl=False)
