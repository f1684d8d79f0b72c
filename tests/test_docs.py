"""What the README promises: its Python runs as written, its commands and their options exist."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cli import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SHELL = "\n".join(re.findall(r"^```(?:sh|bash|shell|console|text)?\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
PAGE_GLOBS = ("*.md", "docs/**/*.md", "[a-z]*/**/README.md")
PAGES = sorted(str(page.relative_to(ROOT)) for glob in PAGE_GLOBS for page in ROOT.glob(glob))
ROOMS = ["indexer", "reranker", "search"]
INLINE = re.findall(r"`(photoseek [^`]+)`", README)


def commands() -> list[str]:
    """Every `photoseek ...` line of the README, continued lines joined, in code blocks and in the text."""
    lines = re.sub(r"\\\n\s*", " ", SHELL).splitlines()
    blocks = [line.removeprefix("$ ").strip() for line in lines if re.match(r"(\$ )?(\S*/)?photoseek ", line)]
    return sorted({re.sub(r"^\S*photoseek", "photoseek", line) for line in [*blocks, *INLINE]})


def words_of(line: str) -> list[str]:
    """The words of one command after `photoseek`, without what a pipe, a redirection or a comment adds."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words = list(lexer)[1:]
    end = next((i for i, word in enumerate(words) if set(word) <= set("|&;<>")), len(words))
    return words[:end]


def test_every_place_of_the_readme_is_filled_in() -> None:
    assert re.findall(r"@@\w+@@", README) == []


def test_the_readme_shows_python_and_commands() -> None:
    assert PYTHON
    assert {words_of(line)[0] for line in commands()} >= {"build", "search", "train", "evaluate", "bench"}


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_readme_exists_with_its_options(line: str) -> None:
    name, *words = words_of(line)
    if name.startswith("-"):
        assert name in ("--help", "--version")
        return
    assert isinstance(main, click.Group)
    assert name in main.commands, f"README shows photoseek {name}"
    known = {option for parameter in main.commands[name].params for option in (*parameter.opts, "--help", "-h")}
    shown = {word.partition("=")[0] for word in words if re.match(r"--?[A-Za-z0]", word)}
    assert shown <= known


@pytest.mark.parametrize("example", range(len(PYTHON)))
def test_the_python_of_the_readme_runs_as_written(tmp_path: Path, example: int) -> None:
    shutil.copytree(ROOT / "data" / "sample" / "train_images", tmp_path / "photos")
    (tmp_path / "example.py").write_text(PYTHON[example], encoding="utf-8")
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("room", ROOMS)
def test_the_page_of_a_room_is_short_and_names_everything_in_it(room: str) -> None:
    page = (ROOT / room / "README.md").read_text(encoding="utf-8")
    files = [path.name for path in (ROOT / room).glob("*.py") if path.name != "__init__.py"]
    packages = [f"{path.parent.name}/" for path in (ROOT / room).glob("*/__init__.py")]
    assert [name for name in files + packages if name not in page] == []
    assert len(page.split()) <= 250
