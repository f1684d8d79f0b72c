import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from command_line import SAMPLE
from experiments import demo
from indexer.index import Index
from reranker.ranker import Ranker
from search.searcher import Searcher


def test_the_demo_prints_the_hits_of_every_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SAMPLE / "test_images", "photos")
    Path("queries.txt").write_text("a cup on a saucer\ntwo dogs play in the snow\n")
    arguments = ["--photos", str(tmp_path / "photos"), "--index", "index", "--queries", "queries.txt"]
    result = CliRunner().invoke(demo.main, arguments)
    assert result.exit_code == 0, result.output
    searcher = Searcher(Index.open("index"))
    cup, dogs = searcher.search("a cup on a saucer", k=3), searcher.search("two dogs play in the snow", k=3)
    lines = result.stdout.splitlines()
    assert lines[:4] == ["indexing photos", "6 photos in index", "", "a cup on a saucer"]
    assert lines[4:8] == [*(f"{hit.rank:>4}  {hit.relevance:.3f}  photos/{Path(hit.path).name}" for hit in cup), ""]
    assert [Path(hit.path).name for hit in cup] == ["saucer.jpg", "mission_patch.jpg", "coins_bottom.jpg"]
    assert lines[8:11] == [
        "two dogs play in the snow",
        f"      no good match (the best has relevance {dogs[0].relevance:.3f}: photos/{Path(dogs[0].path).name})",
        "",
    ]
    assert lines[11:] == [
        "contact sheet   index-sheet.jpg",
        "index           index",
        f"ranker          {Ranker.default().id}, shipped; its card is reranker/default/README.md",
        "",
        "try next:",
        '  .venv/bin/photoseek search "a red flower" -i index -k 3',
        '  .venv/bin/photoseek build ~/Pictures && .venv/bin/photoseek search "a dog on a beach"',
        "  .venv/bin/photoseek --help",
    ]
    with Image.open("index-sheet.jpg") as sheet:
        assert sheet.format == "JPEG"


def test_a_missing_package_of_photos_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda package: None)
    result = CliRunner().invoke(demo.main, [])
    assert result.exit_code == 1
    assert result.stderr == "Error: the demo's photos are inside skimage: pip install 'photoseek[demo]'\n"
