"""The command line from tests: a command here or in a process of its own, and what it says when it refuses."""

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from cli import main
from indexer.index import Index
from search.searcher import Searcher

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data" / "sample"
ARGUMENTS = {"build": "PHOTOS", "search": "[TEXT]", "batch": "QUERIES"}
ARGUMENTS |= dict.fromkeys(("check", "explore", "train", "evaluate"), "JUDGED")
ODD = os.fsdecode(b"caf\xe9\n\x1b[31m.jpg")
ODD_SHOWN = "caf\\udce9\\n\\x1b[31m.jpg"


def photoseek(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="photoseek")


def fresh(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, away from any terminal."""
    command = [sys.executable, "-m", "cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def refused(result: Result, line: str, code: int = 1) -> None:
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"photoseek: {line}\n")


def misused(result: Result, command: str, problem: str) -> None:
    arguments = f" {ARGUMENTS[command]}" if command in ARGUMENTS else ""
    usage = f"Usage: photoseek {command} [OPTIONS]{arguments}\nTry 'photoseek {command} --help' for help.\n"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"{usage}\nError: {problem}\n")


def lines_of(index: Path, text: str, k: int) -> list[str]:
    """The table that a search should print."""
    lines = []
    for hit in Searcher(Index.open(index)).search(text, k):
        path = hit.path.replace(ODD, ODD_SHOWN)
        copies = f"  (+{len(hit.copies)} same)" if hit.copies else ""
        lines.append(f"{hit.rank:>4}  {hit.relevance:.3f}  {path}{copies}")
    return lines
