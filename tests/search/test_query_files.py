"""Query files of every kind, and the whole line that each bad row gives."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from indexer.errors import PhotoseekError
from search.query_files import FileQuery, read_queries

DOG, BUS = FileQuery("7", "a dog runs"), FileQuery("9", "a red bus, at night")


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path: Path, **options) -> str:
    with pytest.raises(PhotoseekError) as caught:
        read_queries(path, **options)
    return str(caught.value)


def test_a_text_file_has_a_query_a_line_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, "q.txt", "a dog runs\n\n  a red bus  \n")
    assert read_queries(path) == [FileQuery("1", "a dog runs"), FileQuery("2", "a red bus")]


def test_a_line_ends_only_where_an_editor_ends_it(tmp_path: Path) -> None:
    path = written(tmp_path, "q.txt", "\ufeffa dog\r\na bus\u2028at night\rlast")
    assert [query.text for query in read_queries(path)] == ["a dog", "a bus\u2028at night", "last"]


@pytest.mark.parametrize(
    ("delimiter", "ending"), [(",", "csv"), ("\t", "csv"), ("\t", "tsv"), (";", "csv"), ("|", "csv")]
)
def test_the_delimiter_of_a_table_is_found_in_its_header(tmp_path: Path, delimiter: str, ending: str) -> None:
    rows = [["query_id", "query_text"], ["7", "a dog runs"], ["9", '"a red bus, at night"']]
    path = written(tmp_path, f"q.{ending}", "".join(delimiter.join(row) + "\n" for row in rows))
    assert read_queries(path) == [DOG, BUS]


def test_the_courses_form_has_an_unnamed_index_column(tmp_path: Path) -> None:
    content = "|query_id|query_text|image\n0|1.jpg#0|Two boys , one in blue .|1.jpg\n1|1.jpg#1|A water fight .|1.jpg\n"
    assert read_queries(written(tmp_path, "test_queries.csv", content)) == [
        FileQuery("1.jpg#0", "Two boys , one in blue ."),
        FileQuery("1.jpg#1", "A water fight ."),
    ]


def test_quotes_hold_delimiters_newlines_and_doubled_quotes(tmp_path: Path) -> None:
    content = 'id,text\n1,"a ""big"" dog,\r\nrunning\u2028fast"\n2,a bus\n'
    assert read_queries(written(tmp_path, "q.csv", content)) == [
        FileQuery("1", 'a "big" dog,\r\nrunning\u2028fast'),
        FileQuery("2", "a bus"),
    ]


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_a_table(tmp_path: Path) -> None:
    path = written(tmp_path, "Q.CSV", "\ufeffquery_id;query_text\r\n7;a dog runs\r\n\r\n9;a red bus, at night\r\n")
    assert read_queries(path) == [DOG, BUS]


def test_a_table_without_delimiters_is_one_column(tmp_path: Path) -> None:
    path = written(tmp_path, "q.csv", "caption\na red bus, at night\n")
    assert read_queries(path) == [FileQuery("1", "a red bus, at night")]


def test_another_column_can_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, "q.csv", "text,spanish\na dog,un perro\n")
    assert read_queries(path, column="spanish") == [FileQuery("1", "un perro")]


def test_json_lines_hold_objects_and_strings(tmp_path: Path) -> None:
    lines = [{"id": 7, "query": "a dog runs"}, "a bus", {"caption": "चाय 🍵\u2028hot", "other": 1}]
    text = "\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    assert read_queries(written(tmp_path, "q.jsonl", text)) == [
        FileQuery("7", "a dog runs"),
        FileQuery("2", "a bus"),
        FileQuery("3", "चाय 🍵\u2028hot"),
    ]


def test_parquet_columns_are_read_with_ids_of_any_type(tmp_path: Path) -> None:
    table = pyarrow.table({"qid": [7, 9], "image": [1.5, None], "query_text": [" a dog runs", "a red bus, at night"]})
    pyarrow.parquet.write_table(table, tmp_path / "q.parquet")
    assert read_queries(tmp_path / "q.parquet") == [DOG, BUS]


def test_a_number_is_never_the_id_of_two_rows(tmp_path: Path) -> None:
    path = written(tmp_path, "q.csv", "id,text\n,a dog\n1,a bus\n,a cat\nrow-5,a red bus\n,a sea\n5,snow\n")
    assert [(query.id, query.text) for query in read_queries(path)] == [
        ("row-1", "a dog"),
        ("1", "a bus"),
        ("3", "a cat"),
        ("row-5", "a red bus"),
        ("row-row-5", "a sea"),
        ("5", "snow"),
    ]


BAD_ROWS = {
    "empty.csv": ("id,text\n1, \n2,a bus\n", "line 2, column 'text': the query is empty"),
    "after.csv": ('id,text\n1,"two\nlines"\n2,\n3,a bus\n', "line 4, column 'text': the query is empty"),
    "twice.csv": ("id,text\n7,a dog\n7,a bus\n", "line 3, column 'id': id '7' was there before"),
    "fields.csv": ("id,text\n1,a red, fast bus\n2,a bus\n", "line 2: 3 fields, the header has 2"),
    "quote.csv": ('id,text\n1,"a dog\n2,a bus\n', "line 2: cannot be read (unexpected end of data)"),
    "latin.csv": (b"id,text\n1,caf\xe9\n2,a bus\n", "line 2, column 'text': not UTF-8"),
    "latin.txt": (b"a dog\n\ncaf\xe9\n", "line 3: not UTF-8"),
    "broken.jsonl": ('"a dog"\n{"text": \n', "line 2: not JSON (Expecting value at character 11)"),
    "list.jsonl": ('["a dog"]\n"a bus"\n', "line 1: neither an object nor a string"),
    "number.jsonl": ('{"text": 5}\n', "line 1, column 'text': not a text"),
    "column.jsonl": (
        '"a dog"\n{"title": "a bus"}\n',
        "line 2: no column 'query_text' or 'query' or 'text' or 'caption'; it has 'title'",
    ),
    "half.jsonl": ('"a \\ud83c"\n', "line 1: not UTF-8"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_refused_by_its_place(tmp_path: Path, name: str) -> None:
    content, problem = BAD_ROWS[name]
    path = written(tmp_path, name, content)
    assert refusal(path) == f"{path} {problem} (--keep-going goes past it)"


@pytest.mark.parametrize("name", BAD_ROWS)
def test_keep_going_keeps_a_bad_row_with_its_error(tmp_path: Path, name: str) -> None:
    content, problem = BAD_ROWS[name]
    path = written(tmp_path, name, content)
    queries = read_queries(path, keep_going=True)
    wrong = [query for query in queries if query.error is not None]
    assert [(query.text, query.error) for query in wrong] == [("", f"{path} {problem}")]
    assert all(query.text for query in queries if query.error is None)


def test_keep_going_goes_past_every_bad_row_and_keeps_the_order(tmp_path: Path) -> None:
    path = written(tmp_path, "q.csv", b"id,text\n1,a dog\n1,a cat\n2,x,y\n3,caf\xe9\n4,\n5,a bus\n")
    assert read_queries(path, keep_going=True) == [
        FileQuery("1", "a dog"),
        FileQuery("1", "", f"{path} line 3, column 'id': id '1' was there before"),
        FileQuery("row-3", "", f"{path} line 4: 3 fields, the header has 2"),
        FileQuery("3", "", f"{path} line 5, column 'text': not UTF-8"),
        FileQuery("4", "", f"{path} line 6, column 'text': the query is empty"),
        FileQuery("5", "a bus"),
    ]


def test_a_null_in_parquet_is_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a dog", None]}), path)
    assert refusal(path) == f"{path} row 2, column 'text': not a text (--keep-going goes past it)"


LOOKED = "no column 'query_text' or 'query' or 'text' or 'caption'"


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("q.csv", "id,title\n1,a dog\n", f"query file PATH: {LOOKED}; it has 'id', 'title'"),
        ("q.csv", "", f"query file PATH: {LOOKED}; it has none"),
        ("q.csv", "id,text\n", "query file PATH holds no queries"),
        ("q.csv", "id,text\n1,a dog\n".encode("utf-16"), "query file PATH: its header is not UTF-8; save it as UTF-8"),
        ("q.txt", "\n \n", "query file PATH holds no queries"),
        ("q.jsonl", "", "query file PATH holds no queries"),
        ("q.xlsx", "a dog", "query file PATH: the ending must be one of .txt, .csv, .tsv, .jsonl, .parquet"),
        ("q.parquet", "a dog", "query file PATH: not a Parquet file, or a damaged one"),
    ],
)
def test_a_file_without_queries_is_refused(tmp_path: Path, name: str, content: str | bytes, line: str) -> None:
    path = written(tmp_path, name, content)
    assert refusal(path) == line.replace("PATH", str(path))


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = written(tmp_path, "q.csv", "id,text\n1,a dog\n")
    assert refusal(path, column="query") == f"query file {path}: no column 'query'; it has 'id', 'text'"


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    assert refusal(tmp_path / "none.csv") == f"query file {tmp_path / 'none.csv'}: No such file or directory"
    assert refusal(tmp_path / "folder.csv") == f"query file {tmp_path / 'folder.csv'}: Is a directory"
