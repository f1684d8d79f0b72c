"""Child processes of this package, whatever the current folder holds and whichever standard streams are closed."""

import json
import os
import sys
from pathlib import Path

# The folder of this package is found by its path: a file `indexer.py` on `sys.path` is somebody else's.
LOAD = """
import json, sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
sys.path = json.loads(sys.argv[1])
spec = PathFinder.find_spec("indexer", [sys.argv[2]])
sys.modules["indexer"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["indexer"])
del sys.argv[1:3]
"""


def python_command(code: str, *arguments: object) -> list[str]:
    """Return the command of a Python process with the module paths of this one.

    Args:
        code: What it runs. It may import `indexer`, and finds its arguments behind `sys.argv[0]`.
        arguments: Its arguments.
    """
    root = Path(__file__).resolve().parents[1]
    return [sys.executable, "-P", "-c", LOAD + code, json.dumps(sys.path), str(root), *map(str, arguments)]


def fill_standard_descriptors() -> None:
    """Open the null device as the standard input, output and error that this process was started without.

    A file, pipe or database that gets such a number would be written to by whoever prints, and a child process would
    get another in its place. Daemons and cron jobs are started without them.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # gets the smallest number that is free
            assert opened == descriptor
            os.set_inheritable(opened, True)
