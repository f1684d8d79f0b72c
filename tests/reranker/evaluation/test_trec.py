import os
from collections import Counter

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, nDCG

from indexer.errors import PhotoseekError
from reranker.evaluation.ranking_metrics import average_precision, in_rank_order, ndcg_at, reciprocal_rank
from reranker.evaluation.trec import trec_id, write_qrels, write_run

ODD = os.fsdecode(b"caf\xe9 1.jpg")


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
def test_ir_measures_finds_our_figures_in_the_files(tmp_path, tied):
    generator = np.random.default_rng(int(tied))
    scores = generator.integers(0, 4, (40, 30)) / 3 if tied else generator.standard_normal((40, 30))
    relevance = generator.choice([0, 0, 0, 1, 2], (40, 30))
    queries, photos = [f"query {row}" for row in range(40)], [f"photo #{name}.jpg" for name in range(30)]
    write_run(tmp_path / "run", scores, queries, photos)
    judged = [(queries[q], photos[p], relevance[q, p]) for q in range(40) for p in range(30)]
    write_qrels(tmp_path / "qrels", judged)
    found = ir_measures.calc_aggregate(
        [AP, RR, nDCG @ 10],
        list(ir_measures.read_trec_qrels(str(tmp_path / "qrels"))),
        list(ir_measures.read_trec_run(str(tmp_path / "run"))),
    )
    ranked = in_rank_order(scores, relevance, [trec_id(name) for name in photos])
    assert found[AP] == pytest.approx(average_precision(ranked).mean(), abs=1e-9)
    assert found[RR] == pytest.approx(reciprocal_rank(ranked).mean(), abs=1e-9)
    assert found[nDCG @ 10] == pytest.approx(ndcg_at(ranked, 10).mean(), abs=1e-9)


def test_scores_come_back_as_the_float32_they_were(tmp_path):
    scores = np.random.default_rng(0).standard_normal((1, 500)).astype(np.float32) * np.float32(1e-7)
    write_run(tmp_path / "run", scores, ["q"], [f"{place}" for place in range(500)])
    read = {doc.doc_id: np.float32(doc.score) for doc in ir_measures.read_trec_run(str(tmp_path / "run"))}
    assert [read[str(place)] for place in range(500)] == scores[0].tolist()


def test_a_run_keeps_the_first_photos_of_each_query(tmp_path):
    write_run(tmp_path / "run", np.arange(8.0).reshape(2, 4), ["q", "r"], list("abcd"), depth=2)
    rows = [line.split()[:4] for line in (tmp_path / "run").read_text().splitlines()]
    assert rows == [[q, "Q0", p, n] for q in "qr" for p, n in (("d", "1"), ("c", "2"))]
    write_run(tmp_path / "run", np.zeros((1, 1200)), ["q"], [f"{place}" for place in range(1200)])
    assert Counter(line.split()[0] for line in (tmp_path / "run").read_text().splitlines()) == {"q": 1000}


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
