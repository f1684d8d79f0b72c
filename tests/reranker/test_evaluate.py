"""Evaluation: protocols on the sample against a plain computation, their intervals, their report."""

from pathlib import Path

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from reranker import evaluate as protocols
from reranker.evaluate import PROTOCOLS, evaluate, report
from reranker.evaluation import Evaluation
from reranker.judgments import load_judgments
from reranker.metrics import kendall_tau_b
from reranker.ranker import Ranker

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return Evaluation(load_judgments(SAMPLE), Ranker.default(), breadth=tmp_path_factory.mktemp("none"))


def test_the_official_protocol_is_the_recall_of_every_caption_against_the_photos(evaluation: Evaluation):
    figures = evaluate(evaluation, ["official"])["official"]
    _, features = evaluation.judged()
    ranker = evaluation.ranker
    side = ranker.photo_side(features.x)
    rows = [i for i, photo in enumerate(features.owner) if photo >= 0]
    hits = {1: 0, 5: 0, 10: 0}
    for row in rows:
        query = ranker.query_side(features.t[[row]], [features.texts[row]])
        relevance = ranker.relevance(side, query, 0)
        rank = int((relevance > relevance[features.owner[row]]).sum())
        for k in hits:
            hits[k] += rank < k
    for k, count in hits.items():
        assert figures[f"recall@{k}"]["value"] == pytest.approx(count / len(rows))
        assert figures[f"recall@{k}"]["low"] <= count / len(rows) <= figures[f"recall@{k}"]["high"]


def test_agreement_with_the_crowd_is_taub_over_its_pairs(evaluation: Evaluation):
    figure = evaluate(evaluation, ["crowd_default"])["crowd_default"]["tau_b"]
    judgments, features = evaluation.judged()
    shown = []
    for row in judgments.crowd:
        photo, text = features.photos.index(row.photo), features.captions.index(row.caption)
        query = evaluation.ranker.query_side(features.t[[text]], [features.texts[text]])
        shown.append(evaluation.ranker.relevance(evaluation.ranker.photo_side(features.x[[photo]]), query, 0)[0])
    expected = kendall_tau_b(np.array(shown), np.array([row.share for row in judgments.crowd]))
    assert figure["value"] == pytest.approx(expected, abs=1e-6)


def test_what_the_data_does_not_allow_is_left_out_and_nothing_at_all_is_refused(evaluation: Evaluation):
    assert set(evaluate(evaluation, ["hubs", "breadth"])) == {"hubs"}
    with pytest.raises(PhotoseekError) as refusal:
        evaluate(evaluation, ["breadth"])
    assert str(refusal.value) == (
        f"judged data {SAMPLE} allows none of: breadth (it needs train_images/ with judgments, test_queries.csv, or a "
        "folder of named photos)"
    )


def test_every_photo_of_a_small_gallery_in_the_top_ten_is_the_largest_share(evaluation: Evaluation):
    # Six test photos: each is in the top 10 of every query.
    assert evaluate(evaluation, ["hubs"])["hubs"]["largest_share"]["value"] == 1.0


def test_a_search_ranks_its_first_candidates_by_relevance_and_the_others_as_they_were(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(protocols, "RERANKED", 2)
    candidates = np.array([[0.9, 0.8, 0.7, 0.6]], np.float32)
    relevance = np.array([[0.1, 0.2, 0.99, 0.98]], np.float32)
    assert np.argsort(-protocols._combined(candidates, relevance), axis=1).tolist() == [[1, 0, 2, 3]]


def test_an_interval_draws_whole_groups():
    values = np.array([0.0, 0.0, 1.0, 1.0])
    figure = protocols._interval(["a", "a", "b", "b"], lambda rows: float(values[rows].mean()))
    # Two groups: a resample is all 0, half or all 1.
    assert figure == {"value": 0.5, "low": 0.0, "high": 1.0}


def test_the_report_has_a_line_a_figure():
    figures = {"a": {"x": {"value": 0.5, "low": 0.25, "high": 0.75}, "b": {"y": 1.0}}}
    assert report(figures) == (
        "a.x                                         0.5000  [0.2500, 0.7500]\n"
        "a.b.y                                       1.0000"
    )


def test_every_protocol_says_what_it_measures_and_stands_in_the_readme():
    readme = (Path(protocols.__file__).parent / "README.md").read_text(encoding="utf-8")
    for name, protocol in PROTOCOLS.items():
        assert protocol.__doc__
        assert f"`{name}`" in readme


def test_the_folds_never_learn_from_what_they_are_measured_on(monkeypatch: pytest.MonkeyPatch):
    own = Evaluation(load_judgments(SAMPLE), Ranker.default())
    judgments, features = own.judged()
    fold_of = np.random.default_rng(0).permutation(len(features.photos)) % 5
    learned = []

    def train(self, part, seen, seed, base):
        learned.append((set(part.photos), seen))
        return base

    monkeypatch.setattr(Evaluation, "train", train)
    scores = own.folds(0)
    assert np.isfinite(scores["crowd"]).all()
    assert len(learned) == 10
    for number, (photos, seen) in enumerate(learned):
        held = {name for name, fold in zip(features.photos, fold_of, strict=True) if fold == number // 2}
        assert photos.isdisjoint(held)
        assert {row.photo for row in (*seen.expert, *seen.crowd)}.isdisjoint(held)
        if number % 2:  # strict: nor any caption that was written for a held-out photo
            assert {row.caption.rpartition("#")[0] for row in (*seen.expert, *seen.crowd)}.isdisjoint(held)
    place = dict(zip(features.photos, fold_of, strict=True))
    both = [place[row.photo] == place.get(row.caption.rpartition("#")[0]) for row in judgments.expert]
    assert np.isfinite(scores["strict"]).tolist() == both
