"""docs/cli.md: it is what the commands' own help says, and no command or option is missing."""

import click
import pytest

from cli import main
from command_line import ROOT, photoseek
from photoseek.commands import COMMANDS
from photoseek.commands.reference import WIDTH, help_of, reference

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def commands() -> dict[str, click.Command]:
    assert isinstance(main, click.Group)
    return dict(main.commands)


def test_the_page_is_up_to_date() -> None:
    assert reference() == PAGE, "docs/cli.md is out of date: make docs"


def test_the_page_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert reference() == PAGE
    assert max(len(line) for command in COMMANDS for line in help_of(command).splitlines()) <= WIDTH


def test_every_command_is_documented() -> None:
    documented = [line.removeprefix("## photoseek ") for line in PAGE.splitlines() if line.startswith("## ")]
    assert documented == [command.name for command in COMMANDS] == list(commands())


@pytest.mark.parametrize("name", commands())
def test_every_option_of_a_command_is_documented(name: str) -> None:
    section = PAGE.partition(f"\n## photoseek {name}\n")[2].partition("\n## ")[0]
    options = [parameter for parameter in commands()[name].params if isinstance(parameter, click.Option)]
    assert options
    assert [opt for option in options for opt in option.opts if f" {opt}" not in section] == []


def test_the_help_on_the_page_is_what_the_command_prints() -> None:
    # The terminal decides where lines break, so the letters are compared.
    for command in COMMANDS:
        printed = photoseek(command.name, "--help").stdout
        assert "".join(help_of(command).split()) == "".join(printed.split())
