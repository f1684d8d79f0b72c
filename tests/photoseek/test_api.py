"""The public API: it is documented, its examples run, and importing it loads no more than is needed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import photoseek

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data" / "sample"
PAGE = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
# Installed packages that `import photoseek` and its smallest names must not load.
NONE = {"click", "rich", "numpy", "faiss", "openvino", "safetensors", "tokenizers", "PIL", "platformdirs"}
# What an index, a ranker or a searcher must not load before it is used.
HEAVY = {"click", "rich", "faiss", "openvino", "torch", "torchvision", "transformers", "tokenizers", "sklearn", "scipy"}
HEAVY |= {"matplotlib", "pandas", "pyarrow", "PIL", "jinja2", "simplejpeg"}


def loaded(statement: str) -> set[str]:
    """Top-level names of the modules that a statement loads in a fresh process."""
    program = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def run(program: str, folder: Path) -> str:
    """stdout of a Python program in a folder; it must succeed and print nothing on stderr."""
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_public_name_can_be_imported() -> None:
    for name in photoseek.__all__:
        assert getattr(photoseek, name).__name__ == name
    assert dir(photoseek) == sorted(photoseek.__all__)
    with pytest.raises(AttributeError, match="module 'photoseek' has no attribute 'Searchers'"):
        photoseek.Searchers  # noqa: B018


@pytest.mark.parametrize("name", photoseek.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE), f"docs/python-api.md does not name {name}"
    assert getattr(photoseek, name).__doc__


def test_the_examples_of_the_page_run_as_written(tmp_path: Path) -> None:
    assert EXAMPLES
    shutil.copytree(SAMPLE, tmp_path / "sample")
    shutil.copytree(SAMPLE / "train_images", tmp_path / "photos")
    # One after the other in one process, as somebody would type them.
    assert run("\n".join(EXAMPLES), tmp_path)


@pytest.mark.parametrize(
    "statement", ["import photoseek", "from photoseek import Hit, SearchResult", "from photoseek import PhotoseekError"]
)
def test_the_package_and_its_smallest_names_load_no_library(statement: str) -> None:
    assert loaded(statement) & (NONE | HEAVY) == set()


@pytest.mark.parametrize("name", photoseek.__all__)
def test_no_public_name_loads_the_heavy_libraries(name: str) -> None:
    assert loaded(f"from photoseek import {name}") & HEAVY == set()
