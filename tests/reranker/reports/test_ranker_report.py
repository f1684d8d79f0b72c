"""The report of a ranker: every chapter, from an evaluation of every protocol."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from page_reader import assert_self_contained, parsed, texts
from reranker.evaluation.comparison import compare_rankers
from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.protocols import PROTOCOLS
from reranker.evaluation.results import Results, Threshold, flatten, misses
from reranker.metrics.bootstrap import Measured
from reranker.metrics.rank_correlation import kendall_tau_c
from reranker.metrics.recall import ranks_of_own
from reranker.moderation.policy import Policy
from reranker.reports.ranker_report import write_ranker_report

Measure = Callable[[Sequence[str]], tuple[Evaluation, Results]]
pytestmark = pytest.mark.usefixtures("one_thread")

CHAPTERS = [
    "Conclusions",
    "Recall",
    "Where queries are lost",
    "Relevance",
    "No match",
    "Agreement with people",
    "Baselines",
    "Hubs",
    "Best and worst queries",
    "Every query",
    "All figures",
]


@pytest.fixture(scope="module")
def measured(measure: Measure) -> tuple[Evaluation, Results]:
    """Run every protocol that the sample allows."""
    return measure(tuple(PROTOCOLS))


def test_a_report_has_every_chapter_and_the_results_of_the_text(
    measured: tuple[Evaluation, Results], tmp_path: Path
) -> None:
    evaluation, results = measured
    path = tmp_path / "report.html"
    missed = misses(results, [Threshold("official.recall@10", 1.1)])
    assert write_ranker_report(path, evaluation, results, Policy.load("minors"), missed) == path.stat().st_size
    assert_self_contained(path)
    page = parsed(path)
    assert [title for title in texts(page, "h2") if title != "Contents"] == CHAPTERS
    rows = {texts(row, "td")[0]: texts(row, "td")[1] for row in page.findall(".//section[@id='all-figures']//tbody/tr")}
    for name, result in flatten(results).items():
        assert rows[name] == f"{result.value:.4f} [{result.low:.4f}, {result.high:.4f}]"
    says = texts(page, "section[@id='conclusions']//li")
    value = results["official"]["recall@10"].value
    assert says[0] == f"Targets not reached: official.recall@10 is {value:.4f}, below 1.1."
    assert says[1].startswith(f"Of the captions of the judged photos {100 * value:.1f}% [")
    # Every caption is in the table, with its rank.
    found, own = evaluation.official()
    table = [texts(row, "td") for row in page.findall(".//section[@id='every-query']//tbody/tr")]
    assert len(table) == len(own)
    assert sorted(int(row[1]) for row in table) == sorted((ranks_of_own(found.ranking_scores, own) + 1).tolist())
    assert table[0][1] == str(ranks_of_own(found.ranking_scores, own).max() + 1)


def test_every_result_has_an_interval_around_it(measured: tuple[Evaluation, Results]) -> None:
    _, results = measured
    for name, result in flatten(results).items():
        assert isinstance(result, Measured), name
        if not name.endswith(("ece", "largest_share")):  # both are largest or absolute values, which draws push up
            assert result.low <= result.value <= result.high, name


def test_parts_of_queries_add_up_to_all(measured: tuple[Evaluation, Results], tmp_path: Path) -> None:
    evaluation, results = measured
    write_ranker_report(tmp_path / "r.html", evaluation, results, None)
    rows = parsed(tmp_path / "r.html").findall(".//section[@id='where-queries-are-lost']//tbody/tr")
    for column in (1, 2, 3):
        parts = [float(row.findall("td")[column].attrib["data-key"]) for row in rows]
        assert sum(parts) == pytest.approx(1)
        k = {1: 1, 2: 5, 3: 10}[column]
        assert parts[0] + parts[1] == pytest.approx(results["official"][f"recall@{k}"].value)


def test_hostile_captions_do_nothing_in_a_report(measured: tuple[Evaluation, Results], tmp_path: Path) -> None:
    evaluation, results = measured
    bad = "</script><img src=http://x onerror=alert(1)> {{ 7 * 7 }} $x^$"
    judgments, features = evaluation.data.judged
    hostile = replace(features, texts=tuple(f"{bad} {i}" for i in range(len(features.texts))))
    named = replace(evaluation, data=replace(evaluation.data))
    named.data.__dict__["judged"] = (judgments, hostile)
    write_ranker_report(tmp_path / "r.html", named, results, None)
    assert_self_contained(tmp_path / "r.html")
    shown = [row[0] for row in _rows(tmp_path / "r.html", "every-query")]
    assert all(text.startswith(bad) for text in shown)


def test_a_ranker_beside_itself_is_a_chapter_without_differences(
    measured: tuple[Evaluation, Results], tmp_path: Path
) -> None:
    evaluation, results = measured
    comparison = compare_rankers(evaluation, results, evaluation.ranker, ["official"])
    write_ranker_report(tmp_path / "r.html", evaluation, results, None, None, comparison)
    rows = _rows(tmp_path / "r.html", "two-rankers")
    assert [row[0] for row in rows] == list(comparison.differences)
    assert {row[4] for row in rows} == {"no difference shown"}


def test_an_agreement_is_drawn_as_it_is(measured: tuple[Evaluation, Results], tmp_path: Path) -> None:
    evaluation, results = measured
    judgments, _ = evaluation.data.judged
    shown = evaluation.folds(0).expert
    foreign = [i for i, row in enumerate(judgments.expert) if row.caption.rpartition("#")[0] != row.photo]
    grades = np.array([judgments.expert[i].grades for i in foreign]).reshape(-1)
    expected = kendall_tau_c(np.repeat(shown[foreign], 3), grades)
    assert results["expert"]["tau_c"].value == pytest.approx(expected)
    write_ranker_report(tmp_path / "r.html", evaluation, results, None)
    labels = [e.attrib["aria-label"] for e in parsed(tmp_path / "r.html").iter() if str(e.tag).endswith("}svg")]
    (label,) = [label for label in labels if label.startswith("Bars of the agreement with people")]
    assert f"expert {expected:.3f}" in label


def _rows(path: Path, section: str) -> list[list[str]]:
    return [texts(row, "td") for row in parsed(path).findall(f".//section[@id='{section}']//tbody/tr")]
