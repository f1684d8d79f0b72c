"""search.result_files: results are written and read back whole, in every format."""

import csv
import json
import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

import ir_measures
import numpy as np
import pyarrow.parquet
import pytest

from indexer.errors import PhotoseekError
from indexer.printable import printable
from search.result_files import COLUMNS, write_results
from search.results import Hit, SearchResult

# Invalid UTF-8, a newline, a terminal escape, a right-to-left override, blanks, a percent sign.
ODD = os.fsdecode(b"/p/a b\n\x1b[31m%20\xff") + "\u202egpj.jpg"
RESULTS = [
    SearchResult(
        "7",
        'a "red", bus\nat night',
        (Hit(1, "/p/bus.jpg", 0.875, 1.5, 640, 480, ("/p/copy.jpg",)), Hit(2, ODD, 0.25, -0.125, 30, 20)),
        good_match=True,
        notes=("the query is longer",),
        match_probability=0.123456,
    ),
    SearchResult("no 8", "चाय 🍵", (), good_match=False),
    SearchResult("9", "", (), good_match=False, error="q.csv line 4: the query is empty"),
    SearchResult("10", "a boy", (), good_match=False, blocked="not shown here"),
]
RECORDS = [
    ("7", 'a "red", bus\nat night', 1, "/p/bus.jpg", 0.875, 1.5, True, None),
    ("7", 'a "red", bus\nat night', 2, ODD, 0.25, -0.125, True, None),
    ("no 8", "चाय 🍵", None, None, None, None, False, None),
    ("9", "", None, None, None, None, False, "q.csv line 4: the query is empty"),
    ("10", "a boy", None, None, None, None, False, "not shown here"),
]


# What the files hold, to the byte.
CSV = (
    b"query_id,query,rank,path,relevance,score,good_match,error\n"
    b'7,"a ""red"", bus\nat night",1,/p/bus.jpg,0.8750,1.5000,True,\n'
    b'7,"a ""red"", bus\nat night",2,"/p/a b\n\x1b[31m%20\xff\xe2\x80\xaegpj.jpg",0.2500,-0.1250,True,\n'
    b"no 8,\xe0\xa4\x9a\xe0\xa4\xbe\xe0\xa4\xaf \xf0\x9f\x8d\xb5,,,,,False,\n"
    b"9,,,,,,False,q.csv line 4: the query is empty\n"
    b"10,a boy,,,,,False,not shown here\n"
)
JSONL = (
    rb'{"format": 1, "id": "7", "query": "a \"red\", bus\nat night", "good_match": true, "match_probability": 0.1235, '
    rb'"notes": ["the query is longer"], "hits": [{"rank": 1, "path": "/p/bus.jpg", "relevance": 0.875, "score": 1.5, '
    rb'"width": 640, "height": 480, "copies": ["/p/copy.jpg"]}, {"rank": 2, '
    rb'"path": "/p/a b\n\u001b[31m%20\udcff\u202egpj.jpg", "relevance": 0.25, "score": -0.125, "width": 30, '
    rb'"height": 20, "copies": []}]}'
    b"\n"
    rb'{"format": 1, "id": "no 8", "query": "\u091a\u093e\u092f \ud83c\udf75", "good_match": false, "hits": []}'
    b"\n"
    b'{"format": 1, "id": "9", "query": "", "good_match": false, "error": "q.csv line 4: the query is empty", '
    b'"hits": []}\n'
    b'{"format": 1, "id": "10", "query": "a boy", "good_match": false, "blocked": true, '
    b'"disclaimer": "not shown here", "hits": []}\n'
)
TREC = (
    b"7 Q0 /p/bus.jpg 1 1.5 photoseek\n"
    b"7 Q0 /p/a%20b%0A%1B%5B31m%2520%FF%E2%80%AEgpj.jpg 2 -0.125 photoseek\n"
    b"\xe0\xa4\x9a\xe0\xa4\xbe\xe0\xa4\xaf_11 Q0 /p/%C3%A9.jpg 1 9.31322575e-10 photoseek\n"
    b"\xe0\xa4\x9a\xe0\xa4\xbe\xe0\xa4\xaf_11 Q0 /p/b.jpg 2 9.31322519e-10 photoseek\n"
    b"_ Q0 a 1 0.100000001 photoseek\n"
)


@pytest.mark.parametrize(("ending", "content"), [("csv", CSV), ("jsonl", JSONL)])
def test_a_text_file_holds_these_very_bytes(tmp_path: Path, ending: str, content: bytes) -> None:
    write_results(RESULTS, tmp_path / f"r.{ending}")
    assert (tmp_path / f"r.{ending}").read_bytes() == content


def test_a_trec_run_holds_these_very_bytes(tmp_path: Path) -> None:
    tied = (Hit(1, "/p/é.jpg", 0.0, 2**-30, 1, 1), Hit(2, "/p/b.jpg", 0.0, 2**-30, 1, 1))
    blank = SearchResult("  ", "blank", (Hit(1, "a", 1.0, 0.1, 1, 1),), good_match=True)
    results = [*RESULTS, SearchResult("चाय 11", "a cat", tied, good_match=True), blank]
    write_results(results, tmp_path / "r.trec")
    assert (tmp_path / "r.trec").read_bytes() == TREC


def test_csv_read_back_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    write_results(RESULTS, path)
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        header, *rows = csv.reader(file)

    def shown(value: object) -> str:
        return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)

    assert tuple(header) == COLUMNS
    assert [tuple(row) for row in rows] == [tuple(map(shown, record)) for record in RECORDS]


def test_json_lines_read_back_are_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write_results(RESULTS, path)
    bus = {"rank": 1, "path": "/p/bus.jpg", "relevance": 0.875, "score": 1.5, "width": 640, "height": 480}
    odd = {"rank": 2, "path": ODD, "relevance": 0.25, "score": -0.125, "width": 30, "height": 20}
    shared = {"format": 1, "good_match": False, "hits": []}
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [
        {
            "format": 1,
            "id": "7",
            "query": 'a "red", bus\nat night',
            "good_match": True,
            "match_probability": 0.1235,
            "notes": ["the query is longer"],
            "hits": [{**bus, "copies": ["/p/copy.jpg"]}, {**odd, "copies": []}],
        },
        {**shared, "id": "no 8", "query": "चाय 🍵"},
        {**shared, "id": "9", "query": "", "error": "q.csv line 4: the query is empty"},
        {**shared, "id": "10", "query": "a boy", "blocked": True, "disclaimer": "not shown here"},
    ]


def test_parquet_read_back_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    write_results(RESULTS, path)
    read = pyarrow.parquet.read_table(path)
    expected = [(*r[:3], None if r[3] is None else printable(r[3]), *r[4:]) for r in RECORDS]
    assert [tuple(row.values()) for row in read.to_pylist()] == expected
    assert read.column_names == list(COLUMNS)
    assert [str(kind) for kind in read.schema.types] == [
        "string", "string", "int32", "string", "float", "float", "bool", "string"
    ]  # fmt: skip


def test_a_trec_run_is_read_by_ir_measures(tmp_path: Path) -> None:
    path = tmp_path / "r.trec"
    write_results(
        [*RESULTS, SearchResult("no 11", "a cat", (Hit(1, "/p/é.jpg", 0.0, 2**-30, 1, 1),), good_match=True)], path
    )
    run = list(ir_measures.read_trec_run(str(path)))
    read = [(doc.query_id, unquote_to_bytes(doc.doc_id), doc.score) for doc in run]
    assert read == [
        ("7", b"/p/bus.jpg", 1.5),
        ("7", os.fsencode(ODD), -0.125),
        ("no_11", "/p/é.jpg".encode(), pytest.approx(2**-30)),
    ]
    qrels = [ir_measures.Qrel("7", run[1].doc_id, 1), ir_measures.Qrel("no_11", run[2].doc_id, 1)]
    # The right photo is second for one query and first for the other: (1/2 + 1) / 2.
    assert ir_measures.calc_aggregate([ir_measures.RR], qrels, run)[ir_measures.RR] == 0.75


def test_scores_of_a_trec_run_fall_with_every_rank(tmp_path: Path) -> None:
    # Equal photos have equal scores, 0.1 and 0.1 + 1e-12 are the same float32, and some are below zero.
    scores = [0.1 + 1e-12, 0.1, 0.1, 0.0, 0.0, -7.5, -7.5, -7.5, -20.0]
    hits = tuple(Hit(i + 1, f"/p/{9 - i}.jpg", 0.5, score, 1, 1) for i, score in enumerate(scores))
    write_results(
        [SearchResult("1", "a", hits, good_match=True), SearchResult("2", "b", hits[:2], good_match=True)],
        tmp_path / "r.trec",
    )
    run = [
        (doc.query_id, doc.doc_id, np.float32(doc.score)) for doc in ir_measures.read_trec_run(str(tmp_path / "r.trec"))
    ]
    for name, count in (("1", 9), ("2", 2)):
        by_score = sorted((doc for doc in run if doc[0] == name), key=lambda doc: -doc[2])
        assert [doc[1] for doc in by_score] == [hit.path for hit in hits[:count]]
        assert len({doc[2] for doc in by_score}) == count
        assert [doc[2] for doc in by_score] == pytest.approx(scores[:count], abs=1e-6)


def test_only_known_endings_are_written(tmp_path: Path) -> None:
    with pytest.raises(PhotoseekError) as caught:
        write_results(RESULTS, tmp_path / "r.xlsx")
    line = f"results file {tmp_path / 'r.xlsx'}: the ending must be one of .csv, .jsonl, .parquet, .trec"
    assert str(caught.value) == line


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "trec"])
def test_a_folder_that_is_not_there_is_named(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "none" / f"r.{ending}"
    with pytest.raises(PhotoseekError) as caught:
        write_results(RESULTS, path)
    assert str(caught.value) == f"results file {path}: No such file or directory"


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("old")

    def breaking():
        yield RESULTS[0]
        raise RuntimeError("search failed")

    with pytest.raises(RuntimeError, match="search failed"):
        write_results(breaking(), path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.jsonl"]
    assert path.read_text() == "old"
