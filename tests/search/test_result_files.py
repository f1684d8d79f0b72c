"""search.result_files: results are written and read back whole, in every format."""

import csv
import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import unquote_to_bytes

import ir_measures
import numpy as np
import pyarrow.parquet
import pytest

from indexer.errors import PhotoseekError
from indexer.photos.metadata.record import PhotoMetadata
from search.result_files import COLUMNS, is_results, write_results
from search.results import Hit, SearchResult

# Invalid UTF-8, a newline, a terminal escape, a right-to-left override, blanks, a percent sign.
ODD = os.fsdecode(b"/p/a b\n\x1b[31m%20\xff") + "\u202egpj.jpg"
TAKEN = datetime(2020, 7, 14, 12, 30, 59, 250_000, timezone(timedelta(hours=2)))
KNOWN = PhotoMetadata(TAKEN, "exif", "Nikon D90", "50mm", 48.8584, 2.2945, 6, "photo")
RESULTS = [
    SearchResult(
        "7",
        'a "red", bus\nat night',
        (
            Hit(1, "/p/bus.jpg", 0.875, 1.5, 640, 480, ("/p/copy.jpg",), KNOWN, (ODD,)),
            Hit(2, ODD, 0.25, -0.125, 30, 20),
        ),
        good_match=True,
        notes=("the query is longer",),
        match_probability=0.123456,
    ),
    SearchResult("no 8", "चाय 🍵", (), good_match=False),
    SearchResult("9", "", (), good_match=False, error="q.csv line 4: the query is empty"),
    SearchResult("10", "a boy", (), good_match=False, blocked="not shown here"),
]
KNOWN_VALUES = (TAKEN, "exif", "Nikon D90", "50mm", 48.8584, 2.2945, 6, "photo")
RECORDS = [
    ("7", 'a "red", bus\nat night', 1, "/p/bus.jpg", 0.875, 1.5, True, None, *KNOWN_VALUES, 3, [ODD]),
    ("7", 'a "red", bus\nat night', 2, ODD, 0.25, -0.125, True, None, *[None] * 8, 1, []),
    ("no 8", "चाय 🍵", None, None, None, None, False, None, *[None] * 10),
    ("9", "", None, None, None, None, False, "q.csv line 4: the query is empty", *[None] * 10),
    ("10", "a boy", None, None, None, None, False, "not shown here", *[None] * 10),
]


# What the files hold, to the byte.
CSV = (
    b"query_id,query,rank,path,relevance,score,good_match,error,taken,taken_from,camera,lens,latitude,longitude,"
    b"orientation,kind,stack_size,stack\n"
    b'7,"a ""red"", bus\nat night",1,/p/bus.jpg,0.8750,1.5000,True,,'
    b"2020-07-14T12:30:59.250000+02:00,exif,Nikon D90,50mm,48.8584,2.2945,6,photo,3,"
    b'"[""/p/a b\\n\\u001b[31m%20\xff\xe2\x80\xaegpj.jpg""]"\n'
    b'7,"a ""red"", bus\nat night",2,"/p/a b\n\x1b[31m%20\xff\xe2\x80\xaegpj.jpg",0.2500,-0.1250,True,,,,,,,,,,1,[]\n'
    b"no 8,\xe0\xa4\x9a\xe0\xa4\xbe\xe0\xa4\xaf \xf0\x9f\x8d\xb5,,,,,False,,,,,,,,,,,\n"
    b"9,,,,,,False,q.csv line 4: the query is empty,,,,,,,,,,\n"
    b"10,a boy,,,,,False,not shown here,,,,,,,,,,\n"
)
JSONL = (
    rb'{"format": 1, "id": "7", "query": "a \"red\", bus\nat night", "good_match": true, "match_probability": 0.1235, '
    rb'"notes": ["the query is longer"], "hits": [{"rank": 1, "path": "/p/bus.jpg", "relevance": 0.875, "score": 1.5, '
    rb'"width": 640, "height": 480, "copies": ["/p/copy.jpg"], '
    rb'"stack": ["/p/a b\n\u001b[31m%20\udcff\u202egpj.jpg"], "stack_size": 3, '
    rb'"taken": "2020-07-14T12:30:59.250000+02:00", '
    rb'"taken_from": "exif", "camera": "Nikon D90", "lens": "50mm", "latitude": 48.8584, "longitude": 2.2945, '
    rb'"orientation": 6, "kind": "photo"}, {"rank": 2, '
    rb'"path": "/p/a b\n\u001b[31m%20\udcff\u202egpj.jpg", "relevance": 0.25, "score": -0.125, "width": 30, '
    rb'"height": 20, "copies": [], "stack": [], "stack_size": 1, "taken": null, '
    rb'"taken_from": null, "camera": null, "lens": null, "latitude": null, '
    rb'"longitude": null, "orientation": null, "kind": null}]}'
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


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=HYPERLINK(0)", "'=HYPERLINK(0)"),
        ("@SUM(1)", "'@SUM(1)"),
        ("+1+cmd|'/c calc'!A0", "'+1+cmd|'/c calc'!A0"),
        ("-2+3", "'-2+3"),
        ("\t=1", "'\t=1"),
        ("-2.5", "-2.5"),
        ("a dog = a friend", "a dog = a friend"),
        ("'quoted'", "'quoted'"),
    ],
)
def test_csv_has_no_text_that_a_spreadsheet_would_run(tmp_path: Path, text: str, written: str) -> None:
    path = tmp_path / "r.csv"
    write_results([SearchResult(text, text, (), good_match=False, error=text)], path)
    with open(path, newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["query_id"], row["query"], row["error"]) == (written,) * 3


def test_csv_read_back_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    write_results(RESULTS, path)
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        header, *rows = csv.reader(file)

    def shown(value: object) -> str:
        if isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, list):
            return json.dumps(value, ensure_ascii=False)
        return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)

    assert tuple(header) == COLUMNS
    assert [tuple(row) for row in rows] == [tuple(map(shown, record)) for record in RECORDS]


def test_json_lines_read_back_are_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    write_results(RESULTS, path)
    bus = {"rank": 1, "path": "/p/bus.jpg", "relevance": 0.875, "score": 1.5, "width": 640, "height": 480}
    odd = {"rank": 2, "path": ODD, "relevance": 0.25, "score": -0.125, "width": 30, "height": 20}
    known = {"taken": "2020-07-14T12:30:59.250000+02:00", "taken_from": "exif", "camera": "Nikon D90", "lens": "50mm"}
    known |= {"latitude": 48.8584, "longitude": 2.2945, "orientation": 6, "kind": "photo"}
    shared = {"format": 1, "good_match": False, "hits": []}
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [
        {
            "format": 1,
            "id": "7",
            "query": 'a "red", bus\nat night',
            "good_match": True,
            "match_probability": 0.1235,
            "notes": ["the query is longer"],
            "hits": [
                {**bus, "copies": ["/p/copy.jpg"], "stack": [ODD], "stack_size": 3, **known},
                {**odd, "copies": [], "stack": [], "stack_size": 1, **dict.fromkeys(known)},
            ],
        },
        {**shared, "id": "no 8", "query": "चाय 🍵"},
        {**shared, "id": "9", "query": "", "error": "q.csv line 4: the query is empty"},
        {**shared, "id": "10", "query": "a boy", "blocked": True, "disclaimer": "not shown here"},
    ]


def escaped(path: str | None) -> str | None:
    """Return a path as Parquet, whose text is UTF-8, holds it."""
    return path if path is None else path.encode("utf-8", "backslashreplace").decode("utf-8")


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet", ".trec", ".CSV"])
def test_results_are_told_from_query_files_and_tables(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"r{ending}"
    write_results(RESULTS, path)
    assert is_results(path)
    other = {
        ".jsonl": b'{"id": "1", "query": "a cat"}\n',
        ".parquet": b"PAR1 no more",
        ".trec": b"q 0 photo 1\n",
    }.get(ending, b"query_id,query\n1,a cat\n")
    path.write_bytes(other)
    assert not is_results(path)
    path.write_bytes(b"\xff\xfe\x00")
    assert not is_results(path)
    assert not is_results(tmp_path / f"none{ending}")


def test_a_narrow_blank_stays_in_every_format(tmp_path: Path) -> None:
    """macOS puts U+202F into the names of screenshots."""
    name = "/p/Screenshot 3.45.01\u202fPM.png"
    results = [SearchResult("1", "a", (Hit(1, name, 0.5, 0.5, 1, 1),), good_match=True)]
    for ending in ("csv", "jsonl", "parquet", "trec"):
        write_results(results, tmp_path / f"r.{ending}")
    (row,) = pyarrow.parquet.read_table(tmp_path / "r.parquet").to_pylist()
    assert (row["path"], row["path_bytes"]) == (name, name.encode())
    assert name.encode() in (tmp_path / "r.csv").read_bytes()
    assert json.loads((tmp_path / "r.jsonl").read_text())["hits"][0]["path"] == name
    assert unquote_to_bytes((tmp_path / "r.trec").read_text().split()[2]) == name.encode()


def test_parquet_read_back_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    write_results(RESULTS, path)
    read = pyarrow.parquet.read_table(path)
    texts = [(*r[:3], escaped(r[3]), *r[4:-1], r[-1] and list(map(escaped, r[-1]))) for r in RECORDS]
    # A column of times has one zone or none: what the clock showed stays.
    texts = [tuple(v.replace(tzinfo=None) if isinstance(v, datetime) else v for v in r) for r in texts]
    whole = [(None, None) if r[3] is None else (os.fsencode(r[3]), list(map(os.fsencode, r[-1]))) for r in RECORDS]
    assert [tuple(row.values()) for row in read.to_pylist()] == [a + b for a, b in zip(texts, whole, strict=True)]
    assert read.column_names == [*COLUMNS, "path_bytes", "stack_bytes"]
    assert [str(kind) for kind in read.schema.types] == [
        "string", "string", "int32", "string", "float", "float", "bool", "string",
        "timestamp[us]", "string", "string", "string", "double", "double", "int8", "string", "int32",
        "list<element: string>", "binary", "list<element: binary>",
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
