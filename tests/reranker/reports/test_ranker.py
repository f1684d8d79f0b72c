"""The report of a ranker: every chapter from an evaluation of every protocol, a second ranker beside it, TREC files."""

from dataclasses import replace
from pathlib import Path

import ir_measures
import numpy as np
import pytest

from indexer.errors import PhotoseekError
from page_reader import assert_self_contained, parsed, texts
from reranker.evaluation.comparison import check_runs, compare_rankers, comparison_lines, write_html, write_trec
from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.protocols import PROTOCOLS, evaluate
from reranker.evaluation.results import Results, Threshold, flat, misses
from reranker.judgments.judged_folder import load_judgments
from reranker.metrics.metrics import kendall_tau_c, percentiles, ranks_of_own
from reranker.moderation.policy import Policy
from tiny_evaluation import SAMPLE, evaluation_of

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
def measured(tmp_path_factory: pytest.TempPathFactory):
    """(evaluation, figures) of every protocol that the sample allows; what trains gives the ranker that there is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHOTOSEEK_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(Evaluation, "train", lambda self, features, judgments, seed: self.ranker)
        patch.setattr(Evaluation, "train_on", lambda self, features, judgments, seed: self.ranker)
        evaluation = evaluation_of(load_judgments(SAMPLE), tmp_path_factory.mktemp("none"))
        yield evaluation, evaluate(evaluation, tuple(PROTOCOLS))


def test_a_report_has_every_chapter_and_the_figures_of_the_text(
    measured: tuple[Evaluation, Results], tmp_path: Path
) -> None:
    evaluation, figures = measured
    path = tmp_path / "report.html"
    missed = misses(figures, [Threshold("official.recall@10", 1.1)])
    assert write_html(path, evaluation, figures, Policy.load("minors"), missed) == path.stat().st_size
    assert_self_contained(path)
    page = parsed(path)
    assert [title for title in texts(page, "h2") if title != "Contents"] == CHAPTERS
    rows = {texts(row, "td")[0]: texts(row, "td")[1] for row in page.findall(".//section[@id='all-figures']//tbody/tr")}
    for name, leaf in flat(figures).items():
        assert rows[name] == f"{leaf['value']:.4f} [{leaf['low']:.4f}, {leaf['high']:.4f}]"
    says = texts(page, "section[@id='conclusions']//li")
    value = figures["official"]["recall@10"]["value"]
    assert says[0] == f"Targets not reached: official.recall@10 is {value:.4f}, below 1.1."
    assert says[1].startswith(f"Of the captions of the judged photos {100 * value:.1f}% [")
    # Every caption is in the table, with its rank.
    found, own = evaluation.official()
    table = [texts(row, "td") for row in page.findall(".//section[@id='every-query']//tbody/tr")]
    assert len(table) == len(own)
    assert sorted(int(row[1]) for row in table) == sorted((ranks_of_own(found.ranking_scores, own) + 1).tolist())
    assert table[0][1] == str(ranks_of_own(found.ranking_scores, own).max() + 1)


def test_every_figure_has_an_interval_around_it(measured: tuple[Evaluation, Results]) -> None:
    _, figures = measured
    for name, leaf in flat(figures).items():
        assert set(leaf) == {"value", "low", "high"}, name
        if not name.endswith(("ece", "largest_share")):  # both are largest or absolute values, which draws push up
            assert leaf["low"] <= leaf["value"] <= leaf["high"], name


def test_parts_of_queries_add_up_to_all(measured: tuple[Evaluation, Results], tmp_path: Path) -> None:
    evaluation, figures = measured
    write_html(tmp_path / "r.html", evaluation, figures, None)
    rows = parsed(tmp_path / "r.html").findall(".//section[@id='where-queries-are-lost']//tbody/tr")
    for column in (1, 2, 3):
        parts = [float(row.findall("td")[column].attrib["data-key"]) for row in rows]
        assert sum(parts) == pytest.approx(1)
        k = {1: 1, 2: 5, 3: 10}[column]
        assert parts[0] + parts[1] == pytest.approx(figures["official"][f"recall@{k}"]["value"])


def test_hostile_captions_do_nothing_in_a_report(measured: tuple[Evaluation, Results], tmp_path: Path) -> None:
    evaluation, figures = measured
    bad = "</script><img src=http://x onerror=alert(1)> {{ 7 * 7 }} $x^$"
    judgments, features = evaluation.judged()
    hostile = replace(features, texts=tuple(f"{bad} {i}" for i in range(len(features.texts))))
    named = replace(evaluation, _cache={**evaluation._cache, "judged": (judgments, hostile)})
    write_html(tmp_path / "r.html", named, figures, None)
    assert_self_contained(tmp_path / "r.html")
    shown = [row[0] for row in _rows(tmp_path / "r.html", "every-query")]
    assert all(text.startswith(bad) for text in shown)


def test_a_ranker_beside_itself_differs_in_nothing(measured: tuple[Evaluation, Results], tmp_path: Path) -> None:
    evaluation, figures = measured
    comparison = compare_rankers(
        evaluation, figures, evaluation.ranker, ["official", "expert_meaning", "course", "baseline"]
    )
    assert set(comparison.figures) == {"official", "expert_meaning"}
    assert set(comparison.differing) == set(flat(comparison.figures))
    assert all(leaf == {"value": 0.0, "low": 0.0, "high": 0.0} for leaf in comparison.differing.values())
    write_html(tmp_path / "r.html", evaluation, figures, None, None, comparison)
    assert {row[4] for row in _rows(tmp_path / "r.html", "two-rankers")} == {"no difference shown"}
    with pytest.raises(PhotoseekError) as refusal:
        compare_rankers(evaluation, figures, evaluation.ranker, ["course"])
    identity = evaluation.ranker.id
    assert str(refusal.value) == f"--compare: course cannot tell rankers {identity} and {identity} apart"


def test_a_difference_is_that_of_the_same_drawn_queries(measured: tuple[Evaluation, Results]) -> None:
    evaluation, figures = measured
    joint_space = evaluation.ranker.joint_space
    worse = replace(
        evaluation.ranker,
        joint_space=replace(joint_space, map=replace(joint_space.map, A=joint_space.map.A[:, ::-1])),
        id="worse",
    )
    comparison = compare_rankers(evaluation, figures, worse, ["official"])
    leaf = comparison.differing["official.candidates.recall@5"]
    _, own = evaluation.official()
    second = replace(evaluation, ranker=worse, _cache={k: evaluation._cache[k] for k in ("encoders", "judged")})
    hit, other = ((ranks_of_own(one.official()[0].candidates, own) < 5).astype(float) for one in (evaluation, second))
    assert leaf["value"] == pytest.approx((hit - other).mean())
    generator = np.random.default_rng(0)
    draws = [(hit - other)[generator.integers(0, len(own), len(own))].mean() for _ in range(500)]
    assert (leaf["low"], leaf["high"]) == pytest.approx(percentiles(np.array(draws)))
    lines = comparison_lines(figures, comparison).splitlines()
    assert lines[1] == "beside ranker worse                             this   other  difference"
    both = [flat(one)["official.candidates.recall@5"]["value"] for one in (figures, comparison.figures)]
    numbers = f"{both[0]:>8.4f}{both[1]:>8.4f}  {leaf['value']:+.4f}  [{leaf['low']:+.4f}, {leaf['high']:+.4f}]"
    assert f"{'official.candidates.recall@5':<44}{numbers}" in lines


def test_trec_files_give_the_same_recall_to_others(measured: tuple[Evaluation, Results], tmp_path: Path) -> None:
    evaluation, figures = measured
    check_runs(tmp_path / "trec", ["official"])
    written = [path.name for path in write_trec(tmp_path / "trec", evaluation, figures)]
    assert written == [
        "official.qrels",
        "official.run",
        "official.candidates.run",
        "course.qrels",
        "course_default.run",
        "course.run",
    ]
    found, own = evaluation.official()
    # Ties count against the own photo in our recall, by the photos' ids in TREC's.
    strict = float((ranks_of_own(found.ranking_scores, own) < 5).mean())
    kind = float(
        ((found.ranking_scores > found.ranking_scores[np.arange(len(own)), own][:, None]).sum(axis=1) < 5).mean()
    )
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "trec" / "official.qrels")))
    run = list(ir_measures.read_trec_run(str(tmp_path / "trec" / "official.run")))
    assert len(qrels) == len(own)
    assert len(run) == found.ranking_scores.size
    assert strict <= ir_measures.calc_aggregate([ir_measures.R @ 5], qrels, run)[ir_measures.R @ 5] <= kind
    with pytest.raises(PhotoseekError) as refusal:
        write_trec(tmp_path / "none", evaluation, {"hubs": figures["hubs"]})
    assert str(refusal.value) == f"--trec: judged data {SAMPLE} allows none of official, course_default, course"


def test_a_figure_of_agreement_is_drawn_as_it_is(measured: tuple[Evaluation, Results], tmp_path: Path) -> None:
    evaluation, figures = measured
    judgments, _ = evaluation.judged()
    shown = evaluation.folds(0)["expert"]
    foreign = [i for i, row in enumerate(judgments.expert) if row.caption.rpartition("#")[0] != row.photo]
    grades = np.array([judgments.expert[i].grades for i in foreign]).reshape(-1)
    expected = kendall_tau_c(np.repeat(shown[foreign], 3), grades)
    assert figures["expert"]["tau_c"]["value"] == pytest.approx(expected)
    write_html(tmp_path / "r.html", evaluation, figures, None)
    labels = [e.attrib["aria-label"] for e in parsed(tmp_path / "r.html").iter() if str(e.tag).endswith("}svg")]
    (label,) = [label for label in labels if label.startswith("Bars of the agreement with people")]
    assert f"expert {expected:.3f}" in label


def _rows(path: Path, section: str) -> list[list[str]]:
    return [texts(row, "td") for row in parsed(path).findall(f".//section[@id='{section}']//tbody/tr")]
