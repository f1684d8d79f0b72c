"""Tables row by row: what is read, what is reported as bad, what is refused."""

from pathlib import Path

import pytest

from indexer.errors import PhotoseekError
from reranker.judgments.tables import BadRow, GoodRow, TableReader


def reader(path: Path, content: bytes) -> tuple[TableReader, list[BadRow], list[GoodRow]]:
    path.write_bytes(content)
    bad: list[BadRow] = []
    good: list[GoodRow] = []
    return TableReader(path, bad.append, good.append), bad, good


def test_lines_are_split_at_tabs_and_blank_lines_are_left_out(tmp_path: Path) -> None:
    table, bad, _ = reader(tmp_path / "t.tsv", b"\xef\xbb\xbfa\tb\r\n\n \ncaf\xe9\nc")
    assert list(table.lines()) == [(1, ["a", "b"]), (5, ["c"])]
    assert bad == [BadRow("malformed rows", tmp_path / "t.tsv", 4, "not UTF-8")]


def test_rows_are_read_by_column_and_those_that_do_not_fit_the_header_are_bad(tmp_path: Path) -> None:
    content = b'id|text\n1|"one | two"\n2\n\n3|c|d\n4|caf\xe9\n5|"two\nlines"\n6|"open\n7|g\n'
    table, bad, _ = reader(tmp_path / "t.csv", content)
    assert list(table.rows("|", ("text",))) == [
        (2, {"id": "1", "text": "one | two"}),
        (8, {"id": "5", "text": "two\nlines"}),
    ]
    assert [(row.line, row.reason) for row in bad] == [
        (3, "1 fields, the header has 2"),
        (5, "3 fields, the header has 2"),
        (6, "not UTF-8"),
        (9, "a quote that is not closed, up to line 10"),
    ]


def test_a_quote_is_a_character_where_rows_have_no_quotes(tmp_path: Path) -> None:
    table, bad, _ = reader(tmp_path / "t.tsv", b'id\ttext\n1\t"one\n2\t"two" three\n')
    assert list(table.rows("\t", ("text",), quotes=False)) == [
        (2, {"id": "1", "text": '"one'}),
        (3, {"id": "2", "text": '"two" three'}),
    ]
    assert bad == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"id,words\n", ": no column 'text'; it has 'id', 'words'"),
        (b"", ": no column 'text'; it has no header"),
        (b"id,te\xe9xt\n", ": its header is not UTF-8; save the file as UTF-8"),
        ("id,text".encode("utf-16"), " is UTF-16; save the file as UTF-8"),
    ],
)
def test_a_table_whose_header_cannot_be_used_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    table, bad, _ = reader(tmp_path / "t.csv", content)
    with pytest.raises(PhotoseekError) as refusal:
        list(table.rows(",", ("text",)))
    assert str(refusal.value) == f"{tmp_path / 't.csv'}{problem}"
    assert bad == []


def test_rows_are_reported_with_their_file(tmp_path: Path) -> None:
    table, bad, good = reader(tmp_path / "t.tsv", b"")
    table.good(3, ("a", "b"), "1", "2")
    table.bad(4, "unknown photos", "photo \x1b is in no photo folder")
    assert good == [GoodRow(tmp_path / "t.tsv", 3, ("a", "b"), ("1", "2"))]
    assert bad == [BadRow("unknown photos", tmp_path / "t.tsv", 4, "photo \x1b is in no photo folder")]
    assert str(bad[0]) == f"{tmp_path / 't.tsv'} line 4: photo \\x1b is in no photo folder"
