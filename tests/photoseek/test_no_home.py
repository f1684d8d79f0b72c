"""A process without a home directory: no HOME, and no such user in the system's list."""

import subprocess
import sys
from pathlib import Path

from command_line import ROOT

HOMELESS = f"""
import os, pwd, sys
def nobody(*_):
    raise KeyError("no such user")
pwd.getpwuid = pwd.getpwnam = nobody
sys.path.insert(0, {str(ROOT)!r})
from cli import main
main(sys.argv[1:], prog_name="photoseek")
"""


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(folder / "tmp")}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)


def test_its_cache_lies_among_temporary_files(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    code = HOMELESS.partition("from cli")[0] + "from indexer.cache_folder import cache_folder; print(cache_folder())"
    done = run(tmp_path, "-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    cache = Path(done.stdout.strip())
    assert (cache.parent, cache.name.partition("-cache-")[0]) == (tmp_path / "tmp", "photoseek")
    assert cache.is_dir()
    assert not (tmp_path / "~").exists()


def test_a_tilde_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", HOMELESS, "info", "-i", "~/idx")
    line = "photoseek: ~/idx: there is no home directory; write the path out\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)
