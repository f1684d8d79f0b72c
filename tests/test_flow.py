"""Run every command in real processes on the sample: build, search, batch, train, use, info, evaluate, bench."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import without_progress

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "sample"
EPOCHS = 5


class Shell:
    """Runs commands in one folder, as a person would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str) -> str:
        """stdout of `photoseek ...`, which must succeed and say nothing on stderr but how far it is."""
        command = [sys.executable, "-m", "cli", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert (done.returncode, without_progress(done.stderr)) == (0, ""), arguments
        return done.stdout

    def names(self, *arguments: str) -> list[str]:
        return [Path(line).name for line in self("search", *arguments, "--misses", "--paths").splitlines()]


def table(path: Path, delimiter: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("flow")
    (folder / "sample").symlink_to(SAMPLE)
    return Shell(folder)


def test_the_whole_way_from_photos_to_a_ranker_of_ones_own(shell: Shell) -> None:
    photos = {path.name for path in (SAMPLE / "train_images").iterdir()}
    count = len(photos)

    built = shell("build", "sample/train_images")
    assert built.startswith(f"{count} photos in indexes/photos: {count} added, 0 changed, 0 removed, 0 skipped, ")
    shipped = json.loads(shell("info", "--json"))
    assert (shipped["photos"], shipped["tail"], shipped["unfinished"]) == (count, 0, 0)

    before = json.loads(shell("search", "a close portrait of a cat", "-k", str(count), "--json"))
    assert {Path(hit["path"]).name for hit in before["hits"]} == photos
    assert Path(before["hits"][0]["path"]).name.startswith("cat")

    said = shell("batch", "sample/test_queries.csv", "-o", "before.csv", "-k", "3")
    queries = table(SAMPLE / "test_queries.csv", "|")
    assert said.startswith(f"{len(queries)} queries answered, ")
    assert said.endswith(" 0 with an error -> before.csv\n")
    rows = table(shell.folder / "before.csv", ",")
    assert [row["query_id"] for row in rows] == [query["query_id"] for query in queries for _ in range(3)]
    assert [row["rank"] for row in rows] == ["1", "2", "3"] * len(queries)
    assert {Path(row["path"]).name for row in rows} <= photos

    trained = shell("train", "sample", "-o", "rankers/own", "--epochs", str(EPOCHS), "--seed", "3", "--quiet")
    ranker = trained.splitlines()[-1].removeprefix("ranker ").removesuffix(" -> rankers/own")
    card = json.loads((shell.folder / "rankers" / "own" / "ranker.json").read_text())
    assert card["id"] == ranker
    assert (card["training"]["photos"], card["training"]["seed"]) == (count, 3)

    assert shell("use", "rankers/own") == f"index indexes/photos now uses ranker {ranker}\n"
    assert json.loads(shell("info", "--json")) | {"megabytes": 0} == shipped | {"ranker": ranker, "megabytes": 0}
    after = json.loads(
        shell("search", "a close portrait of a cat", "-k", str(count), "--json", "--ranker", "rankers/own")
    )
    assert {Path(hit["path"]).name for hit in after["hits"]} == photos
    assert [hit["relevance"] for hit in after["hits"]] != [hit["relevance"] for hit in before["hits"]]
    # An update keeps the ranker that was chosen.
    assert shell("build", "sample/train_images").startswith(f"{count} photos in indexes/photos: 0 added, ")
    assert json.loads(shell("info", "--json"))["ranker"] == ranker

    figures = json.loads(
        shell("evaluate", "sample", "--ranker", "rankers/own", "--protocol", "course_default", "--json")
    )
    assert figures["format"] == 1
    for k in (1, 5, 10):
        recall = figures["course_default"][f"recall@{k}"]
        assert 0 <= recall["low"] <= recall["value"] <= recall["high"] <= 1
    # Six test photos: the first ten are all of them.
    assert figures["course_default"]["recall@10"] == {"value": 1.0, "low": 1.0, "high": 1.0}

    report = shell("bench", "--count", "3", "--runs", "1")
    assert report.startswith(f"{count} photos, 3 warm queries, {count} reranked\n")
    assert "candidates, recall@100 against exact search: 1.0000\n" in report
