"""photoseek batch: whole stdout, whole stderr, the exit code and the file."""

import json
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli import main
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
    error = f"{queries} line 3, column 'id': id 'a' was there before"
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
    result = photoseek("batch", queries, "-o", tmp_path / "none" / "r.csv", "-i", index)
    misused(result, "batch", f"-o {tmp_path / 'none' / 'r.csv'}: there is no folder {tmp_path / 'none'}")
    result = photoseek("batch", queries, "--column", "text", "-i", index)
    misused(result, "batch", f"--column text: {queries} is a text file, which has no columns")


@pytest.mark.parametrize(
    "data", ["a cat\n\n coins on a table\n", '{"query": "a cat"}\n{"query": "coins on a table"}\n']
)
def test_batch_reads_standard_input_and_writes_standard_output(index: Path, tmp_path: Path, data: str) -> None:
    result = CliRunner().invoke(main, ["batch", "-", "-i", str(index), "-k", "2"], input=data)
    assert result.exit_code == 0
    assert result.stderr == "2 queries answered, 0 without a good match, 0 with an error\n"
    (tmp_path / "q.txt").write_text("a cat\ncoins on a table\n")
    assert photoseek("batch", tmp_path / "q.txt", "-o", tmp_path / "r.jsonl", "-i", index, "-k", 2).exit_code == 0
    assert result.stdout == (tmp_path / "r.jsonl").read_text()
    # The same to standard output, by name or by default.
    assert photoseek("batch", tmp_path / "q.txt", "-o", "-", "-i", index, "-k", 2).stdout == result.stdout


def test_batch_names_bad_lines_of_standard_input(index: Path) -> None:
    result = CliRunner().invoke(
        main, ["batch", "-", "-i", str(index)], input=b"a cat\ncaf\xe9\n", prog_name="photoseek"
    )
    refused(result, "standard input line 2: not UTF-8 (--keep-going goes past it)")
    result = CliRunner().invoke(main, ["batch", "-", "-i", str(index)], input="\n", prog_name="photoseek")
    refused(result, "query file standard input holds no queries")


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
        assert scores == pytest.approx([hit.score for hit in searcher.search(text, 20, show_all=True)], abs=1e-3)
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [row["match_probability"] for row in rows] == pytest.approx(
        [searcher.answer(row["query"]).match_probability for row in rows], abs=1e-3
    )


def test_batch_says_that_standard_input_is_closed(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(click.UsageError, match="QUERIES is -, but standard input is closed"):
        main(["batch", "-", "-i", str(index)], standalone_mode=False)
