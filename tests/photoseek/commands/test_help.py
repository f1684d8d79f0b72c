"""Help: every command and option has it, it ends in an example, and the README shows the command."""

import re
import shlex
import shutil
from pathlib import Path

import click
import pytest

from cli import main
from command_line import ROOT, SAMPLE, photoseek

README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> dict[str, click.Command]:
    assert isinstance(main, click.Group)
    return dict(main.commands)


@pytest.mark.parametrize("name", commands())
def test_every_command_and_option_has_help(name: str) -> None:
    result = photoseek(name, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    assert commands()[name].help
    options = [parameter for parameter in commands()[name].params if isinstance(parameter, click.Option)]
    assert [option.opts for option in options if not option.help and not option.show_default] == []


@pytest.mark.parametrize("name", commands())
def test_every_help_ends_in_an_example_that_can_be_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = (commands()[name].help or "").strip().splitlines()[-1].strip()
    program, command, *arguments = shlex.split(last)
    assert (program, command) == ("photoseek", name)
    # What the examples name is there, so that every check of an option or argument passes.
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SAMPLE, tmp_path / "data" / "sample")
    (tmp_path / "queries.csv").write_text("text\na cat\n")
    with commands()[name].make_context(name, arguments) as context:
        assert context.args == []


@pytest.mark.parametrize("name", commands())
def test_every_command_is_in_the_readme(name: str) -> None:
    assert re.search(rf"photoseek {name}\b", README), f"README.md does not show photoseek {name}"
