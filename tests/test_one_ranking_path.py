"""Check that evaluation measures what a search does: the same ranking path, first ten photos and recall."""

import os
from pathlib import Path

import numpy as np
import pytest

from indexer.index import Index
from reranker.evaluation.data import EvaluationData
from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.protocols import evaluate
from reranker.judgments.judged_folder import load_judgments
from reranker.metrics.recall import ranks_of_own, recall_at
from reranker.ranker import Ranker
from search.searcher import Searcher

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    judgments, ranker = load_judgments(SAMPLE), Ranker.default()
    return Evaluation(EvaluationData.of_ranker(judgments, ranker), ranker)


def searched(folder: Path, photos: str, texts: list[str], names: list[str]) -> np.ndarray:
    """Places in `names` of the hits of each text, best first: (texts, photos) int64."""
    index = Index.build(SAMPLE / photos, folder, regions=True)
    index.attach(Ranker.default())
    searcher = Searcher(Index.open(folder))
    results = searcher.answer_many([(str(i), text) for i, text in enumerate(texts)], len(names))
    return np.array([[names.index(os.path.basename(hit.path)) for hit in result.hits] for result in results])


def test_the_first_ten_of_a_search_are_those_of_evaluation(evaluation: Evaluation, tmp_path: Path) -> None:
    _, embedded = evaluation.data.judged
    ranking, _ = evaluation.official()
    captions = evaluation.data.captions.texts
    found = searched(tmp_path / "index", "train_images", captions, list(embedded.photos))
    assert found.shape == ranking.ranking_scores.shape
    measured = np.argsort(-ranking.ranking_scores, axis=1, kind="stable")[:, :10]
    # A search writes American for British spelling: the captions with "grey" and "coloured" are other texts to it.
    same = [row for row, text in enumerate(captions) if not {"grey", "coloured"} & set(text.lower().split())]
    assert len(captions) - len(same) == 3
    # A view keeps half precision, so photos whose scores differ by less may change places.
    for row in same:
        ours, theirs = ranking.ranking_scores[row, found[row, :10]], ranking.ranking_scores[row, measured[row]]
        assert ours == pytest.approx(theirs, abs=0.05)
    assert (found[same, :10] == measured[same]).mean() > 0.98


def test_a_published_figure_is_that_of_a_search(evaluation: Evaluation, tmp_path: Path) -> None:
    published = evaluate(evaluation, ["course_default"])["course_default"]
    names = list(evaluation.judgments.test_photos)
    queries = evaluation.judgments.queries
    found = searched(tmp_path / "index", "test_images", [query.text for query in queries], names)
    own = np.array([names.index(query.photo) for query in queries])
    place = np.argsort(found, axis=1)  # photo -> its place among the hits
    ranks = ranks_of_own(-place.astype(float), own)
    for k in (1, 5, 10):
        assert recall_at(ranks, k) == published[f"recall@{k}"].value
