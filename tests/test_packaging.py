"""An install by pip, not from a checkout, has every file that the code opens."""

from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ConfigParser()
CONFIG.read(ROOT / "setup.cfg", encoding="utf-8")


def packaged() -> set[str]:
    """Data files that the packages take along."""
    found = set()
    for package, patterns in CONFIG["options.package_data"].items():
        folder = ROOT / package.replace(".", "/")
        assert package in CONFIG["options"]["packages"].split(), f"{package} is no package, so its data is left out"
        for pattern in patterns.replace(",", " ").split():
            found |= {str(path.relative_to(ROOT)) for path in folder.glob(pattern) if path.is_file()}
    return found


def test_every_folder_with_code_is_a_package():
    folders = {
        path.parent for room in ("photoseek", "indexer", "reranker", "search") for path in (ROOT / room).rglob("*.py")
    }
    names = {str(folder.relative_to(ROOT)).replace("/", ".") for folder in folders}
    assert names == set(CONFIG["options"]["packages"].split())


def test_every_data_file_beside_the_code_is_taken_along():
    beside = {
        str(path.relative_to(ROOT))
        for room in ("photoseek", "indexer", "reranker", "search")
        for path in (ROOT / room).rglob("*")
        if path.is_file() and path.suffix in (".safetensors", ".toml", ".json", ".html", ".css", ".js", ".tsv")
    }
    statistics = "indexer/encoders/statistics/efficientnet_lite"
    for name in ("reranker/default/weights", "reranker/default-fast/weights", statistics):
        assert f"{name}.safetensors" in beside
    assert beside <= packaged()
