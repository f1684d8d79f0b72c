"""Report pages: every kind of block read back, hostile texts, sortable tables, places that cannot be written."""

from pathlib import Path

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from page_reader import assert_self_contained, parsed, texts
from reranker.metrics.bootstrap import Measured
from reranker.reports import charts
from reranker.reports.page import (
    Card,
    Cards,
    Points,
    Section,
    Table,
    Text,
    Thumb,
    Tiles,
    cell_text,
    render,
    write_report,
)

HOSTILE = "<script>alert('x')</script>\"onerror=alert(1) {{ 7 * 7 }} & \udce9\x1b[31m\u202e $x$ ]]> </style>"
SHOWN = HOSTILE.replace("\udce9\x1b", "\\udce9\\x1b").replace("\u202e", "\\u202e")
DOT = "data:image/gif;base64,R0lGODlhAQABAAAAACw="


def everything(text: str) -> list[Section]:
    """Return a page with the text in every place that takes one."""
    thumb = Thumb(DOT, text, 10, 10, text, "own")
    chart = charts.bars([text], {text: [Measured(0.5, 0.25, 0.75)]}, text, text, text, text, shown="{:.2f}")
    return [
        Section("First", [Text([text]), Points([text]), Tiles([(text, text, text)]), chart]),
        Section("Second", [Table(text, [text], [[text], [thumb]]), Cards(text, [Card(text, [text], [thumb])], text)]),
    ]


def test_hostile_texts_are_shown_as_they_are_and_do_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, HOSTILE, [("folder", HOSTILE)], everything(HOSTILE))
    assert_self_contained(path)
    page = parsed(path)
    assert texts(page, "h1") == texts(page, "title") == texts(page, "dd") == [SHOWN]
    assert texts(page, "p") == texts(page, "li")[2:] + [SHOWN] * 3
    assert texts(page, "td") == [SHOWN, SHOWN]
    assert [e.attrib["alt"] for e in page.iter("img")] == [SHOWN, SHOWN]
    (svg,) = [e for e in page.iter() if str(e.tag).endswith("}svg")]
    assert svg.attrib["aria-label"] == SHOWN
    # Of the given texts three are drawn: a tick and both axes; one group needs no legend.
    drawn = ["".join(e.itertext()) for e in svg.iter() if str(e.tag).endswith("}text")]
    assert drawn.count(SHOWN) == 3
    assert "0.50" in drawn


def test_figures_are_shown_with_their_interval() -> None:
    assert cell_text(Measured(0.3854, 0.372, 0.3995)) == "0.385 [0.372, 0.400]"
    assert [cell_text(value) for value in (1234567, 0.25, None, float("nan"), "a\nb")] == [
        "1,234,567",
        "0.250",
        "–",
        "–",
        "a\\nb",
    ]
    assert cell_text(1234.5, 1) == "1,234.5"


def test_a_table_is_sorted_by_whole_values_and_not_by_what_is_shown(tmp_path: Path) -> None:
    rows = [(0.12345, 1200, Measured(0.5, 0.25, 0.75)), (None, 7, Measured(0.1, 0.0, 0.2))]
    page = render("t", [], [Section("S", [Table("c", ("a", "b", "c"), rows, digits=1)])])
    (tmp_path / "r.html").write_text(page, encoding="utf-8")
    cells = parsed(tmp_path / "r.html").findall(".//td")
    assert [cell.attrib["data-key"] for cell in cells] == ["0.12345", "1200", "0.5", "", "7", "0.1"]
    assert ["".join(cell.itertext()) for cell in cells] == [
        "0.1",
        "1,200",
        "0.5 [0.2, 0.8]",
        "–",
        "7",
        "0.1 [0.0, 0.2]",
    ]


def test_a_long_table_can_be_filtered_and_prints_its_first_rows(tmp_path: Path) -> None:
    table = Table("c", ("n",), [(number,) for number in range(100)], long=True)
    (tmp_path / "r.html").write_text(render("t", [], [Section("S", [table])]), encoding="utf-8")
    page = parsed(tmp_path / "r.html")
    assert [row.attrib.get("class") for row in page.findall(".//tbody/tr")] == [None] * 40 + ["unprinted"] * 60
    assert texts(page, "label") == ["Filter rows"]
    assert "The first 40 of 100 rows; the file itself holds all." in texts(page, "p")


def test_contents_lead_to_every_section_and_no_two_have_one_title() -> None:
    page = render("t", [], [Section("At a glance", []), Section("What “x” leaves out", [])])
    assert page.index('href="#at-a-glance"') < page.index('href="#what-x-leaves-out"') < page.index('id="at-a-glance"')
    with pytest.raises(ValueError, match="two sections have one title"):
        render("t", [], [Section("A b", []), Section("A  B", [])])


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    for path, problem in (
        (tmp_path, f"{tmp_path} is a folder; give a file for the report"),
        (
            tmp_path / "no" / "r.html",
            f"report {tmp_path}/no/r.html cannot be written: there is no folder {tmp_path}/no",
        ),
    ):
        with pytest.raises(PhotoseekError) as refusal:
            write_report(path, "t", [], [])
        assert str(refusal.value) == problem
    assert list(tmp_path.iterdir()) == []


def test_a_report_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text("old")
    size = write_report(path, "t", [], [Section("S", [Text(["new"])])])
    assert path.stat().st_size == size
    assert texts(parsed(path), "p") == ["new"]
    assert [file.name for file in tmp_path.iterdir()] == ["r.html"]


def test_charts_take_the_pages_colours_and_ids_of_their_own() -> None:
    one = charts.lines(
        [charts.Line("a", np.arange(3), np.arange(3)), charts.Line("b", np.arange(3), np.ones(3))], "c", "alt", "x", "y"
    )
    other = charts.stacked_bars(["r"], {"a": [0.25], "b": [0.75]}, "c", "alt", "x")
    for chart in (one, other):
        assert "#04" not in chart.markup
        assert "#01" not in chart.markup
        assert {"var(--series-0)", "var(--series-1)", "var(--ink)"} <= set(_between(chart.markup, "var(--", ")"))
    # Told apart without colour, too: dashes and a hatch.
    assert "stroke-dasharray" in one.markup
    assert "<pattern" in other.markup
    ids = [set(_between(chart.markup, 'id="', '"')) for chart in (one, other)]
    assert ids[0].isdisjoint(ids[1])


def test_bars_are_as_high_as_their_values() -> None:
    chart = charts.bars(["a", "b"], {"g": [1.0, 2.0]}, "c", "alt", "x", "y")
    bars = [part for part in _between(chart.markup, '<path d="', '"') if part.count("L") == 3]
    heights = []
    for bar in bars[-2:]:
        ys = [float(point.split()[-1]) for point in bar.replace("M", "L").replace("z", "").split("L") if point.strip()]
        heights.append(max(ys) - min(ys))
    assert heights[1] == pytest.approx(2 * heights[0], rel=1e-4)


def _between(text: str, begin: str, end: str) -> list[str]:
    """What stands between each begin and the next end; the begin itself where it is a variable."""
    parts = [part.partition(end)[0] for part in text.split(begin)[1:]]
    return [f"{begin}{part}{end}" for part in parts] if begin.startswith("var") else parts
