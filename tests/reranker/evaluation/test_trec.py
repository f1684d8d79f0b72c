import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import AP, RR, nDCG

from indexer.errors import PhotoseekError
from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.results import Results
from reranker.evaluation.run_files import make_trec_folder, write_trec
from reranker.evaluation.trec import rank_order, trec_id, write_qrels, write_run
from reranker.metrics.recall import ranks_of_own
from tiny_evaluation import SAMPLE

pytestmark = pytest.mark.usefixtures("one_thread")

Measure = Callable[[Sequence[str]], tuple[Evaluation, Results]]
ODD = os.fsdecode(b"caf\xe9 1.jpg")


def trec_eval_order(scores: np.ndarray, ids: list[str]) -> list[list[int]]:
    """Return the order in which ir_measures (by pytrec_eval, which is trec_eval) ranks the photos of each query.

    Every photo is the only relevant one of a query of its own, so 1 / (reciprocal rank) is its rank.
    """
    pairs = [(row, column) for row in range(len(scores)) for column in range(len(ids))]
    run = {f"{row} {column}": dict(zip(ids, map(float, scores[row]), strict=True)) for row, column in pairs}
    qrels = {f"{row} {column}": {ids[column]: 1} for row, column in pairs}
    order = [[-1] * len(ids) for _ in scores]
    for metric in ir_measures.iter_calc([RR], qrels, run):
        row, column = map(int, metric.query_id.split())
        order[row][round(1 / metric.value) - 1] = column
    return order


@pytest.mark.parametrize("seed", range(5))
def test_random_scores_are_ranked_as_trec_eval_ranks_them(seed):
    generator = np.random.default_rng(seed)
    scores = generator.standard_normal((30, 40)) * 10 ** generator.integers(-6, 6, (30, 1)).astype(float)
    ids = [f"{name:x}.jpg" for name in generator.permutation(4000)[:40]]
    assert rank_order(scores, ids).tolist() == trec_eval_order(scores, ids)


@pytest.mark.parametrize("seed", range(5))
def test_tied_scores_too(seed):
    generator = np.random.default_rng(seed)
    ids = [f"{name:x}.jpg" for name in generator.permutation(4000)[:25]]
    scores = generator.integers(-2, 3, (30, 25)) / 4
    # Ties that only float32 makes, and a zero with a sign.
    scores[::2] += 1e-12 * generator.standard_normal((15, 25))
    scores[scores == 0] = -0.0
    assert rank_order(scores, ids).tolist() == trec_eval_order(scores, ids)


@given(
    st.integers(1, 8).flatmap(
        lambda n: st.tuples(
            st.lists(st.sampled_from([-1.5, 0.0, 0.25, 2.0]), min_size=n, max_size=n),
            st.lists(st.text("aAbB0é狗.", min_size=1, max_size=3), min_size=n, max_size=n, unique=True),
        )
    )
)
def test_any_few_scores_are_ranked_as_trec_eval_ranks_them(case):
    scores, ids = case
    assert rank_order(np.array([scores]), ids).tolist() == trec_eval_order(np.array([scores]), ids)


def test_equal_scores_are_ranked_by_id_from_the_last_to_the_first():
    scores = np.array([[0.5, 0.5, 0.9, 0.5], [1e-9, 0.0, 0.0, 2e-9]])
    ids = ["b.jpg", "c.jpg", "a.jpg", "B.jpg"]
    # Capital letters come before small ones, so B is the last of the tie.
    assert rank_order(scores, ids).tolist() == [[2, 1, 0, 3], [3, 0, 1, 2]]


def test_scores_that_float32_cannot_tell_apart_are_tied():
    assert rank_order(np.array([[1.0, 1.0 + 1e-9]]), ["b", "a"]).tolist() == [[0, 1]]
    assert rank_order(np.array([[1.0, 1.0 + 1e-6]]), ["b", "a"]).tolist() == [[1, 0]]


@pytest.mark.parametrize("ids", [["a"], ["a", "a"], ["a", "b", "c"]])
def test_photo_ids_that_repeat_or_do_not_fit_are_refused(ids):
    with pytest.raises(ValueError, match=rf"^{len(set(ids))} distinct photo ids for 2 columns of scores$"):
        rank_order(np.zeros((1, 2)), ids)


def test_a_run_and_its_judgments_are_written_line_by_line(tmp_path):
    run, qrels = tmp_path / "run.trec", tmp_path / "qrels.trec"
    scores = np.array([[0.5, 2.0, 0.5], [-np.inf, 1e-3, -0.25]])
    write_run(run, scores, ["a.jpg#0", "two words"], ["b.jpg", "a b.jpg", ODD], tag="mine")
    # %E9 begins "caf", which is after "b.jpg": of the tie, it is the first.
    assert run.read_text() == (
        "a.jpg%230 Q0 a%20b.jpg 1 2 mine\n"
        "a.jpg%230 Q0 caf%E9%201.jpg 2 0.5 mine\n"
        "a.jpg%230 Q0 b.jpg 3 0.5 mine\n"
        "two%20words Q0 a%20b.jpg 1 0.00100000005 mine\n"
        "two%20words Q0 caf%E9%201.jpg 2 -0.25 mine\n"
    )
    write_qrels(qrels, [("a.jpg#0", "b.jpg", 3), ("two words", ODD, 0)])
    assert qrels.read_text() == "a.jpg%230 0 b.jpg 3\ntwo%20words 0 caf%E9%201.jpg 0\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["qrels.trec", "run.trec"]


@pytest.mark.parametrize("tied", [False, True])
def test_ir_measures_finds_the_same_results_in_the_files_as_in_the_arrays(tmp_path, tied):
    generator = np.random.default_rng(int(tied))
    scores = generator.integers(0, 4, (40, 30)) / 3 if tied else generator.standard_normal((40, 30))
    relevance = generator.choice([0, 0, 0, 1, 2], (40, 30))
    queries, photos = [f"query {row}" for row in range(40)], [f"photo #{name}.jpg" for name in range(30)]
    write_run(tmp_path / "run", scores, queries, photos)
    judged = [(queries[q], photos[p], relevance[q, p]) for q in range(40) for p in range(30)]
    write_qrels(tmp_path / "qrels", judged)
    measures = [AP, RR, nDCG @ 10]
    found = ir_measures.calc_aggregate(
        measures,
        list(ir_measures.read_trec_qrels(str(tmp_path / "qrels"))),
        list(ir_measures.read_trec_run(str(tmp_path / "run"))),
    )
    ids = [trec_id(name) for name in photos]
    run = {query: dict(zip(ids, map(float, row), strict=True)) for query, row in zip(queries, scores, strict=True)}
    qrels = {query: dict(zip(ids, map(int, row), strict=True)) for query, row in zip(queries, relevance, strict=True)}
    expected = ir_measures.calc_aggregate(measures, qrels, run)
    assert found == {measure: pytest.approx(expected[measure], abs=1e-9) for measure in measures}


def test_scores_come_back_as_the_float32_they_were(tmp_path):
    scores = np.random.default_rng(0).standard_normal((1, 500)).astype(np.float32) * np.float32(1e-7)
    write_run(tmp_path / "run", scores, ["q"], [f"{place}" for place in range(500)], depth=500)
    read = {doc.doc_id: np.float32(doc.score) for doc in ir_measures.read_trec_run(str(tmp_path / "run"))}
    assert [read[str(place)] for place in range(500)] == scores[0].tolist()


def test_a_run_keeps_the_first_photos_of_each_query(tmp_path):
    write_run(tmp_path / "run", np.arange(8.0).reshape(2, 4), ["q", "r"], list("abcd"), depth=2)
    rows = [line.split()[:4] for line in (tmp_path / "run").read_text().splitlines()]
    assert rows == [[q, "Q0", p, n] for q in "qr" for p, n in (("d", "1"), ("c", "2"))]
    write_run(tmp_path / "run", np.zeros((1, 120)), ["q"], [f"{place}" for place in range(120)])
    assert Counter(line.split()[0] for line in (tmp_path / "run").read_text().splitlines()) == {"q": 100}


@pytest.mark.parametrize(
    ("scores", "queries", "problem"),
    [
        ([[0.0, np.nan]], ["q"], "a run's scores must be numbers, or -inf for photos to leave out"),
        ([[0.0, np.inf]], ["q"], "a run's scores must be numbers, or -inf for photos to leave out"),
        ([[0.0, 1.0]], ["q", "r"], "2 distinct query ids for 1 rows of scores"),
        ([[0.0, 1.0], [0.0, 1.0]], ["q", "q"], "1 distinct query ids for 2 rows of scores"),
    ],
)
def test_a_run_that_says_nothing_clear_is_refused(tmp_path, scores, queries, problem):
    with pytest.raises(ValueError) as caught:
        write_run(tmp_path / "run", np.array(scores), queries, ["a", "b"])
    assert str(caught.value) == problem
    assert list(tmp_path.iterdir()) == []


def test_two_judgments_of_a_pair_are_refused_and_the_old_file_stays(tmp_path):
    (tmp_path / "qrels").write_text("old")
    with pytest.raises(ValueError) as caught:
        write_qrels(tmp_path / "qrels", [("q", "a.jpg", 1), ("q", "a.jpg", 0)])
    assert str(caught.value) == "query 'q' has two judgments of photo 'a.jpg'"
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("qrels", "old")]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "none" / "run"
    with pytest.raises(PhotoseekError) as caught:
        write_run(path, np.zeros((1, 1)), ["q"], ["a"])
    assert str(caught.value) == f"{path}: No such file or directory"


def test_trec_files_give_the_same_recall_to_other_tools(measure: Measure, tmp_path: Path) -> None:
    evaluation, results = measure(("official", "course_default", "course", "hubs"))
    make_trec_folder(tmp_path / "trec", ["official"])
    written = [path.name for path in write_trec(tmp_path / "trec", evaluation, results)]
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
        write_trec(tmp_path / "none", evaluation, {"hubs": results["hubs"]})
    assert str(refusal.value) == f"--trec: judged data {SAMPLE} allows none of official, course_default, course"
