"""Check which modules a command imports, and which room imports which."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.index import Index
from reranker.ranker import Ranker

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "sample" / "test_images"
HEAVY = {
    "torch",
    "torchvision",
    "transformers",
    "sklearn",
    "pandas",
    "matplotlib",
    "scipy",
    "pyarrow",
    "rich",
    "jinja2",
}
# A room may import the rooms after it, never those before it.
ROOMS = ["cli", "photoseek", "search", "reranker", "indexer"]
VAGUE = {"util", "utils", "helper", "helpers", "common", "misc", "tools", "shared"}
DRIVER = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
from cli import main
main(sys.argv[1:])
"""


def loaded(*arguments: str) -> tuple[set[str], str]:
    """(top names of all modules at exit, stdout) of a command in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", DRIVER, *arguments], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}, done.stdout


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "regions"])
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index") / "photos"
    Index.build(SAMPLE, folder, regions=request.param).attach(Ranker.default())
    return folder


@pytest.mark.parametrize("command", [[], ["search"], ["train"], ["explore"], ["evaluate"]])
def test_help_loads_none_of_the_heavy_libraries(command: list[str]) -> None:
    modules, out = loaded(*command, "--help")
    assert out.startswith("Usage:")
    assert modules & (HEAVY | {"faiss", "openvino", "tokenizers"}) == set()


@pytest.mark.parametrize("options", [[], ["--misses", "-k", "3"], ["--json"], ["--paths"], ["--without", "a coin"]])
def test_a_search_loads_no_training_libraries(index: Path, options: list[str]) -> None:
    # The first search may have to export the text encoder, which takes torch.
    loaded("search", "a cat", "-i", str(index))
    modules, out = loaded("search", "a cat", "-i", str(index), *options)
    assert "faiss" in modules
    assert modules & HEAVY == set()
    assert out or "--paths" in options


def test_a_search_by_photo_loads_no_training_libraries(index: Path) -> None:
    modules, out = loaded("search", "--like", str(SAMPLE / "saucer.jpg"), "-i", str(index), "-k", "1", "--paths")
    assert out == f"{SAMPLE / 'saucer.jpg'}\n"
    assert modules & HEAVY == set()


def sources() -> list[Path]:
    return [ROOT / "cli.py", *(path for room in ROOMS[1:] for path in sorted((ROOT / room).rglob("*.py")))]


def imported_rooms(path: Path) -> set[str]:
    """Return the rooms that a file imports anywhere, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names} & set(ROOMS)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if path.name == "__main__.py":  # `python -m photoseek` is the command line
        room = "cli"
    assert imported_rooms(path) <= set(ROOMS[ROOMS.index(room) :])


def test_the_error_family_is_all_that_one_file_holds() -> None:
    assert imported_rooms(ROOT / "indexer" / "errors.py") == set()


def test_files_are_named_for_what_they_hold() -> None:
    tests = [*(ROOT / "tests").rglob("*.py")]
    assert [path for path in [*sources(), *tests] if path.stem in VAGUE or path.parent.name in VAGUE] == []
