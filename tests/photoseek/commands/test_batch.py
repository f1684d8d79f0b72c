"""photoseek batch: whole stdout, whole stderr, the exit code and the file."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import misused, photoseek, refused
from indexer.index import Index
from search.searcher import Searcher


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "trec"])
def test_batch_answers_a_file(index: Path, tmp_path: Path, ending: str) -> None:
    queries, output = tmp_path / "q.txt", tmp_path / f"r.{ending}"
    queries.write_text("a cat\ncoins on a table\n")
    result = photoseek("batch", queries, "-o", output, "-i", index, "-k", 3, "--sheet", tmp_path / "sheet.jpg")
    line = f"2 queries answered, 0 without a good match, 0 with an error -> {output}\n"
    assert (result.exit_code, result.stdout, result.stderr) == (0, line, "")
    assert output.stat().st_size > 0
    with Image.open(tmp_path / "sheet.jpg") as picture:
        assert picture.size == (1148, 2 * (34 + 248) + 8)


def test_batch_goes_past_bad_rows_if_told_to(sceptic: Path, tmp_path: Path) -> None:
    queries, output = tmp_path / "q.csv", tmp_path / "r.jsonl"
    queries.write_text("id,text\na,a cat\na,a dog\nb,coins\n")
    error = f"{queries} line 3, column 'text': id 'a' was there before"
    refused(photoseek("batch", queries, "-o", output, "-i", sceptic), f"{error} (--keep-going goes past it)")
    assert not output.exists()
    result = photoseek("batch", queries, "-o", output, "-i", sceptic, "--keep-going", "-k", 1)
    line = f"2 queries answered, 2 without a good match, 1 with an error -> {output}\n"
    assert (result.exit_code, result.stdout, result.stderr) == (0, line, "")
    rows = [json.loads(text) for text in output.read_text().splitlines()]
    assert [(row["id"], len(row["hits"]), row.get("error")) for row in rows] == [
        ("a", 1, None),
        ("a", 0, error),
        ("b", 1, None),
    ]


def test_batch_checks_its_output_before_it_works(index: Path, tmp_path: Path) -> None:
    queries = tmp_path / "q.txt"
    queries.write_text("a cat\n")
    result = photoseek("batch", queries, "-o", "r.xlsx", "-i", index)
    misused(result, "batch", "-o r.xlsx: the ending must be one of .csv, .jsonl, .parquet, .trec")
    misused(photoseek("batch", queries, "-i", index), "batch", "Missing option '-o' / '--output'.")


def test_batch_writes_scores_that_fall_and_the_chance_of_a_match(index: Path, tmp_path: Path) -> None:
    queries = tmp_path / "q.txt"
    queries.write_text("a cat\ncoins on a table\n")
    for ending in ("trec", "jsonl"):
        result = photoseek("batch", queries, "-o", tmp_path / f"r.{ending}", "-i", index, "-k", 20)
        assert (result.exit_code, result.stderr) == (0, "")
    searcher = Searcher(Index.open(index))
    lines = [line.split() for line in (tmp_path / "r.trec").read_text().splitlines()]
    for name, text in (("1", "a cat"), ("2", "coins on a table")):
        scores = np.array([line[4] for line in lines if line[0] == name], np.float32)
        assert np.all(np.diff(scores) < 0)
        assert scores == pytest.approx([hit.score for hit in searcher.search(text, 20)], abs=1e-3)
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [row["match_probability"] for row in rows] == pytest.approx(
        [searcher.answer(row["query"]).match_probability for row in rows], abs=1e-3
    )
