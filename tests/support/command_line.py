"""Run commands in tests, here or in a process of their own, and check what they print when they refuse."""

import os
import re
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from cli import main
from indexer.index import Index
from search.searcher import Searcher

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data" / "sample"
# What the usage line of a command says of its arguments.
ARGUMENTS = {"build": "PHOTOS...", "forget": "FOLDER", "search": "[TEXT]", "batch": "QUERIES", "train": "JUDGED..."}
ARGUMENTS |= dict.fromkeys(("check", "explore", "evaluate"), "JUDGED")
# A file name that is not UTF-8 and would move the cursor of a terminal, and how it is printed.
ODD = os.fsdecode(b"caf\xe9\n\x1b[31m.jpg")
ODD_SHOWN = "caf\\udce9\\n\\x1b[31m.jpg"


def photoseek(*arguments: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="photoseek")


def fresh(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, without a terminal."""
    command = [sys.executable, "-m", "cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def without_progress(text: str) -> str:
    """Take out of stderr the lines that say how far a stage is: on a slow machine some come, on a quick one none."""
    is_progress = re.compile(r"^[a-z][^:]*: [\d,]+( of [\d,]+)?(, .*)?$")
    return "".join(line for line in text.splitlines(keepends=True) if not is_progress.match(line))


def refused(result: Result, line: str) -> None:
    """Check that a command refused with one line and exit code 1."""
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"photoseek: {line}\n")


def misused(result: Result, command: str, problem: str) -> None:
    """Check that a command was misused: its usage, the problem, exit code 2."""
    arguments = f" {ARGUMENTS[command]}" if command in ARGUMENTS else ""
    usage = f"Usage: photoseek {command} [OPTIONS]{arguments}\nTry 'photoseek {command} --help' for help.\n"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"{usage}\nError: {problem}\n")


def lines_of(index: Path, text: str, k: int) -> list[str]:
    """Return the table that a search should print."""
    lines = []
    for hit in Searcher(Index.open(index)).search(text, k):
        path = hit.path.replace(ODD, ODD_SHOWN)
        copies = f"  (+{len(hit.copies)} same)" if hit.copies else ""
        lines.append(f"{hit.rank:>4}  {hit.relevance:.3f}  {path}{copies}")
    return lines
