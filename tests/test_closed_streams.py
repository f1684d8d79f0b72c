"""Commands and the library in a process without standard streams, as daemons and cron jobs are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import ROOT, SAMPLE
from indexer.index import Index

PHOTOS = SAMPLE / "test_images"
LIBRARY = """
import os, sys
from photoseek import Index
os.closerange(0, 3)
sys.stdin = sys.stdout = sys.stderr = None
Index.build(sys.argv[1], sys.argv[2])
"""


def without_streams(closed: str, *arguments: object) -> int:
    """Run Python in a process without some of its standard streams, and return its exit code."""
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, check=False, timeout=300).returncode


def test_commands_work_without_standard_streams(tmp_path: Path) -> None:
    index, sheet, results = tmp_path / "index", tmp_path / "sheet.jpg", tmp_path / "results.jsonl"
    queries = tmp_path / "queries.txt"
    queries.write_text("a cat\n")
    closed = "<&- >&- 2>&-"
    assert without_streams(closed, "-m", "cli", "build", PHOTOS, "-i", index) == 0
    assert Index.open(index).rows == 6
    for arguments in (
        ("info", "-i", index, "--skipped", "--passed-over"),
        ("info", "-i", index, "--json"),
        ("search", "a cat", "-i", index, "--misses", "--sheet", sheet),
        ("search", "a cat", "-i", index, "--paths"),
        ("search", "a cat", "-i", index, "-0", "--misses"),
        ("batch", queries, "-i", index, "-o", results),
        ("batch", queries, "-i", index),
        ("duplicates", "-i", index),
    ):
        assert without_streams(closed, "-m", "cli", *arguments) == 0, arguments
    assert sheet.stat().st_size
    assert results.read_text().count("\n") == 1
    assert without_streams(closed, "-m", "cli", "info", "-i", tmp_path / "none") == 1
    assert without_streams(closed, "-m", "cli", "batch", "-", "-i", index) == 2
    # Nothing was printed into a file that got the number of a stream.
    assert Index.open(index).catalogue.photo_count() == 6


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-"])
def test_a_build_works_without_a_part_of_the_streams(tmp_path: Path, closed: str) -> None:
    assert without_streams(closed, "-m", "cli", "build", PHOTOS, "-i", tmp_path / "index") == 0
    assert Index.open(tmp_path / "index").rows == 6


def test_the_library_builds_in_a_daemon(tmp_path: Path) -> None:
    assert without_streams("", "-c", LIBRARY, PHOTOS, tmp_path / "index") == 0
    assert Index.open(tmp_path / "index").rows == 6
