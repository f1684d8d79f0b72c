"""Check what the pages promise: their Python runs as written, their commands, options and links exist."""

import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

import photoseek
from cli import main
from reranker.evaluation.protocols import PROTOCOLS

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "sample"
PAGE_GLOBS = ("*.md", "docs/**/*.md", "[a-z]*/**/README.md")
PAGES = sorted({str(page.relative_to(ROOT)) for glob in PAGE_GLOBS for page in ROOT.glob(glob)})
# Released versions keep the commands that they had.
CURRENT = [page for page in PAGES if page != "CHANGELOG.md"]
DOCS = [page for page in PAGES if page.startswith("docs/") and page != "docs/README.md"]
ROOMS = ["data", "experiments", "indexer", "photoseek", "reranker", "search"]
FENCE = r"^```(?:sh|bash|shell|console|text)?\n(.*?)^```"


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def python_of(page: str) -> list[str]:
    """Return the Python examples of a page, in their order."""
    return re.findall(r"^```python\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)


def lines_of(page: str, program: str) -> list[str]:
    """Every `program ...` line of a page, in code blocks (continued lines joined, parts of `a && b` apart) and text."""
    shell = "\n".join(re.findall(FENCE, text_of(page), re.MULTILINE | re.DOTALL))
    parts = [part for line in re.sub(r"\\\n\s*", " ", shell).splitlines() for part in line.split(" && ")]
    blocks = [part.strip().removeprefix("$ ") for part in parts]
    inline = re.findall(r"`([^`\n]+)`", text_of(page))
    found = [line for line in [*blocks, *inline] if re.match(rf"(\S*/)?{program} ", line)]
    return sorted({re.sub(rf"^\S*{program}", program, line) for line in found})


def words_of(line: str) -> list[str]:
    """Return the words of one command after the program, without what a pipe, a redirection or a comment adds."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words = list(lexer)[1:]
    end = next((i for i, word in enumerate(words) if set(word) <= set("|&;<>")), len(words))
    return words[:end]


def commands() -> list[tuple[str, str]]:
    return [(page, line) for page in CURRENT for line in lines_of(page, "photoseek")]


def test_the_readme_is_short_and_shows_every_command() -> None:
    assert isinstance(main, click.Group)
    assert {words_of(line)[0] for line in lines_of("README.md", "photoseek")} == set(main.commands)
    assert len(text_of("README.md").split()) <= 600


def test_the_readme_shows_what_the_demo_prints(tmp_path: Path) -> None:
    arguments = ["-m", "experiments.demo", "--index", str(tmp_path / "demo")]
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    a_photo = r"([01]\.\d{3})\W+\S*/(\w+\.\w+(?:  \(\+.*\))?)"
    shown, printed = (re.findall(a_photo, text) for text in (text_of("README.md"), done.stdout))
    blocks = [(name, pytest.approx(float(value), abs=0.02)) for value, name in shown]
    assert blocks == [(name, float(value)) for value, name in [*printed[3:6], *printed[9:]]]


@pytest.mark.parametrize(("page", "line"), commands())
def test_a_command_of_a_page_exists_with_its_options(page: str, line: str) -> None:
    name, *words = words_of(line)
    if name.startswith("-") or name == "COMMAND":
        assert {name, *words} <= {"COMMAND", "--help", "--version"}
        return
    assert isinstance(main, click.Group)
    assert name in main.commands, f"{page} shows photoseek {name}"
    known = {option for parameter in main.commands[name].params for option in (*parameter.opts, "--help", "-h")}
    shown = {word.partition("=")[0] for word in words if re.match(r"--?[A-Za-z0]", word)}
    assert shown <= known


@pytest.mark.parametrize("page", CURRENT)
def test_modules_and_make_targets_of_a_page_exist(page: str) -> None:
    modules = [words_of(line)[1] for line in lines_of(page, "python") if words_of(line)[0] == "-m"]
    assert [module for module in modules if find_spec(module) is None] == []
    targets = re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE)
    assert [line for line in lines_of(page, "make") if words_of(line)[0] not in targets] == []


@pytest.mark.parametrize("page", [page for page in CURRENT if python_of(page)])
def test_the_python_of_a_page_runs_as_written(tmp_path: Path, page: str) -> None:
    shutil.copytree(SAMPLE / "train_images", tmp_path / "photos")
    shutil.copytree(SAMPLE, tmp_path / "sample")
    for example in python_of(page):
        (tmp_path / "example.py").write_text(example, encoding="utf-8")
        done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), example


def test_the_api_page_has_an_example_of_every_public_name() -> None:
    page = text_of("docs/python-api.md")
    assert sorted(re.findall(r"^## (\w+)$", page, re.MULTILINE)) == sorted(photoseek.__all__)
    imported = "\n".join(re.findall(r"^from photoseek import (.*)$", page, re.MULTILINE))
    assert [name for name in photoseek.__all__ if not re.search(rf"\b{name}\b", imported)] == []


def test_the_evaluation_page_explains_every_protocol() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", text_of("docs/evaluation.md"), re.MULTILINE)
    assert sorted(rows) == sorted(PROTOCOLS)


def test_the_index_of_the_docs_links_to_every_page() -> None:
    links = re.findall(r"\]\(([^)#:\s]+)\)", text_of("docs/README.md"))
    assert sorted(set(DOCS) - {f"docs/{link}" for link in links}) == []


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    folder = (ROOT / page).parent
    for link, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)", text_of(page)):
        target = folder / link if link else ROOT / page
        assert target.exists(), f"{page} links to {link}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{page} links to {link}#{anchor}"


@pytest.mark.parametrize("room", ROOMS)
def test_the_page_of_a_room_is_short_and_names_everything_in_it(room: str) -> None:
    page = text_of(f"{room}/README.md")
    files = [path.stem for path in (ROOT / room).glob("*.py") if path.name != "__init__.py"]
    packages = [path.parent.name for path in (ROOT / room).glob("*/__init__.py")]
    assert [name for name in files + packages if name not in page] == []
    assert len(page.split()) <= 250
