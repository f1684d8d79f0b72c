"""Import the rooms beside this package from where they are, whatever modules of the same names a user has.

`search`, `indexer`, `reranker` and `cli` are names that a user's own folder may hold, too, and Python looks there
first. What this package imports comes from its own place; what others import is found as ever.
"""

import importlib
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ("search", "reranker", "indexer")
ROOMS = ("cli", *LIBRARY)
# Where the code lies that gets the rooms of this place.
OWN = {"photoseek", "cli.py", *ROOMS, "experiments", "tests"}
# Files of Python's own import system.
IMPORTERS = ("<frozen importlib", str(importlib.__file__))


class RoomFinder(MetaPathFinder):
    """Finder of the rooms, for imports by the code of this package."""

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of a room that this package imports; None for all else."""
        if path is not None or fullname not in ROOMS or not _is_own(_importer(sys._getframe(1))):
            return None
        return PathFinder.find_spec(fullname, [str(ROOT)])


def claim_rooms() -> None:
    """Let the rooms be found from now on. Raises ImportError as `check_rooms`."""
    if not any(isinstance(finder, RoomFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, RoomFinder())
    check_rooms()


def check_rooms() -> None:
    """Refuse to go on with modules of other people under the names of rooms.

    Raises:
        ImportError: Such a module is imported already.
    """
    for name in LIBRARY:
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if module is not None and (file is None or not _is_own(file)):
            raise ImportError(
                f"photoseek has a module {name!r} of its own, but {file or name} was imported under that name; import "
                "photoseek's names before it, or rename it"
            )


def _importer(frame: FrameType | None) -> str:
    """Return the file of the code that an import statement stands in."""
    while frame is not None and frame.f_code.co_filename.startswith(IMPORTERS):
        frame = frame.f_back
    return "" if frame is None else frame.f_code.co_filename


def _is_own(file: str) -> bool:
    """Return whether a file is a part of this package."""
    path = Path(file).resolve()
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[:1][0] in OWN
