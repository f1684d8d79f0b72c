"""`import photoseek` and the command line work whatever files lie in the user's folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from command_line import ROOT, SAMPLE

FOREIGN = ("search", "indexer", "reranker", "cli", "data", "tests", "photos", "experiments")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with modules and packages of a user's own under the names of the rooms."""
    for name in FOREIGN:
        (tmp_path / f"{name}.py").write_text(f"MINE = {name!r}\n")
    (tmp_path / "search.py").unlink()
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "__init__.py").write_text("MINE = 'search'\n")
    return tmp_path


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, which is first on its path; this package comes behind it."""
    command = [sys.executable, *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)


def test_names_come_from_the_package_and_the_users_own_modules_stay_theirs(folder: Path) -> None:
    code = (
        "import photoseek\n"
        "print([name for name in photoseek.__all__ if getattr(photoseek, name) is None])\n"
        "import data, tests\n"
        "print(data.MINE, tests.MINE)\n"
    )
    done = run(folder, "-c", code)
    assert (done.returncode, done.stdout) == (0, "[]\ndata tests\n"), done.stderr


def test_a_folder_is_built_and_searched_beside_them(folder: Path) -> None:
    done = run(folder, "-m", "photoseek", "build", SAMPLE / "test_images", "-i", "idx", "-q")
    assert done.returncode == 0, done.stderr
    found = run(folder, "-m", "photoseek", "search", "coins", "-i", "idx", "-k", "1", "--misses", "--paths")
    assert found.returncode == 0, found.stderr
    assert Path(found.stdout.strip()).parent == SAMPLE / "test_images"
    code = "from photoseek import Index, Searcher; print(len(Searcher(Index.open('idx')).search('coins', 2)))"
    assert run(folder, "-c", code).stdout == "2\n"


@pytest.mark.parametrize("name", ["search", "indexer", "reranker"])
def test_a_module_that_was_imported_before_is_named(folder: Path, name: str) -> None:
    done = run(folder, "-c", f"import {name}; from photoseek import Searcher")
    file = folder / name / "__init__.py" if name == "search" else folder / f"{name}.py"
    line = (
        f"ImportError: photoseek has a module {name!r} of its own, but {file} was imported under that name; import "
        "photoseek's names before it, or rename it"
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == line


def test_a_users_own_command_line_may_use_the_library(folder: Path) -> None:
    done = run(folder, "-c", "import cli; from photoseek import Hit; print(cli.MINE, Hit.__module__)")
    assert (done.returncode, done.stdout) == (0, "cli search.results\n"), done.stderr


def test_a_module_that_is_imported_between_two_names_is_named(folder: Path) -> None:
    code = "import photoseek; photoseek.PhotoseekError; import search; assert search.MINE == 'search'; photoseek.Hit"
    done = run(folder, "-c", code)
    assert "photoseek has a module 'search' of its own" in done.stderr.strip().splitlines()[-1]
