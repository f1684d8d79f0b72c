import numpy as np
import pytest

from experiments.seed_project.project import ModelScores, ScoredPairs, value_of
from experiments.seed_project.results import first_photos, measure_models, measure_pairs, measure_search, results_table
from reranker.metrics.bootstrap import Measured

PREDICTED, SCORES, PHOTOS = np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0, 1.0]), ["a", "b", "c"]
# 12 photos: ten are in each top 10. Queries 0 and 1 want photo 0, the last of all for query 1.
SEARCH, OWN = np.stack([np.arange(12, 0, -1), np.arange(12)]).astype(float), np.array([0, 0])


def test_errors_and_tau_of_pairs_by_hand() -> None:
    results = measure_pairs(ModelScores(PREDICTED, SEARCH, True), SCORES, PHOTOS)
    assert value_of(results["rmse"]) == pytest.approx((0.25 / 3) ** 0.5)
    assert value_of(results["mae"]) == pytest.approx(0.5 / 3)
    # Two concordant pairs, one tied in the score: 2 (P - Q) m / (n^2 (m - 1)) = 2 * 2 * 2 / (9 * 1)
    assert value_of(results["tau_c"]) == pytest.approx(8 / 9)


def test_scores_on_another_scale_have_no_error_and_equal_scores_have_no_tau() -> None:
    assert list(measure_pairs(ModelScores(PREDICTED, SEARCH, False), SCORES, PHOTOS)) == ["tau_c"]
    assert list(measure_pairs(ModelScores(np.ones(3), SEARCH, True), SCORES, PHOTOS)) == ["rmse", "mae"]
    assert measure_pairs(ModelScores(np.ones(3), SEARCH, False), SCORES, PHOTOS) == {}


def test_recall_and_repeated_photos_of_a_search_by_hand() -> None:
    results = measure_search(SEARCH, OWN)
    assert isinstance(results["recall@1"], Measured)
    assert {name: value_of(result) for name, result in results.items()} == {
        "recall@1": 0.5,
        "recall@5": 0.5,
        "recall@10": 0.5,
        "largest_share": 1.0,
        "distinct@1": 2,
        "distinct@10": 12,
        "overlap@10": pytest.approx(8 / 12),  # both have photos 2 to 9
    }


def test_the_first_photos_have_the_largest_scores() -> None:
    assert first_photos(SEARCH).tolist() == [list(range(10)), list(range(11, 1, -1))]


def test_the_table_has_a_line_per_model_and_a_dash_where_nothing_is_defined() -> None:
    pairs = ScoredPairs((("a", "x"),) * 3, np.zeros(3, int), np.zeros(3, int), SCORES, np.array([]), np.arange(3))
    results = measure_models({"candidates": ModelScores(np.ones(3), SEARCH, False)}, pairs, OWN)
    assert results_table(results).splitlines() == [
        "| | RMSE | MAE | tau-c | recall@1 | @5 | @10 | largest share | overlap | photos in top 1 | in top 10 |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        "| photoseek, candidates | – | – | – | 0.500 | 0.500 | 0.500 | 1.000 | 0.667 | 2 | 12 |",
    ]
