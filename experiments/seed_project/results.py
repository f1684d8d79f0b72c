"""Measure the models of the seed project: errors on held-out pairs, recall and repeated photos of the search."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from experiments.seed_project.project import TITLES, TOP, ModelScores, Result, Results, ScoredPairs, value_of
from reranker.evaluation.results import drop_undefined
from reranker.metrics.bootstrap import Measured, bootstrap_interval
from reranker.metrics.hubs import has_most_shown, mean_overlap
from reranker.metrics.rank_correlation import kendall_tau_c
from reranker.metrics.recall import ranks_of_own, recall_at

# Depths of recall, those of the course's test.
RECALL_DEPTHS = (1, 5, 10)
# Bootstrap draws of the metrics over pairs, fewer than those over queries (500): Kendall's tau is slow.
RESAMPLES = 200
# The metrics by their keys in the JSON, with the heads of their columns.
COLUMNS = {
    "rmse": "RMSE",
    "mae": "MAE",
    "tau_c": "tau-c",
    "recall@1": "recall@1",
    "recall@5": "@5",
    "recall@10": "@10",
    "largest_share": "largest share",
    "overlap@10": "overlap",
    "distinct@1": "photos in top 1",
    "distinct@10": "in top 10",
}


def measure_models(models: dict[str, ModelScores], pairs: ScoredPairs, own_photos: np.ndarray) -> Results:
    """Measure every model.

    Args:
        models: The scores of each model.
        pairs: The scored pairs and their split.
        own_photos: The row of the test photo that each query was written for, (queries,) int.

    Returns:
        The results by model and metric.
    """
    return {
        name: {
            **measure_pairs(model, pairs.held_out_scores, pairs.held_out_photos),
            **measure_search(model.search_scores, own_photos),
        }
        for name, model in models.items()
    }


def measure_pairs(model: ModelScores, scores: np.ndarray, photos: list[str]) -> dict[str, Result]:
    """Measure the errors and the rank correlation of a model on held-out pairs.

    Args:
        model: The scores of the model.
        scores: The generalised score of each held-out pair, (held-out pairs,) float64.
        photos: The photo of each held-out pair; the bootstrap draws whole photos.

    Returns:
        RMSE and MAE if the model's scores are on the same scale, Kendall's tau-c if they are not all equal.
    """
    predicted = model.pair_scores
    results: dict[str, Measured] = {}
    if model.from_0_to_1:
        squared, absolute = (predicted - scores) ** 2, np.abs(predicted - scores)
        results["rmse"] = bootstrap_interval(photos, lambda rows: float(squared[rows].mean() ** 0.5), RESAMPLES)
        results["mae"] = bootstrap_interval(photos, lambda rows: float(absolute[rows].mean()), RESAMPLES)
    if np.ptp(predicted) > 0:
        results["tau_c"] = bootstrap_interval(
            photos, lambda rows: kendall_tau_c(predicted[rows], scores[rows]), RESAMPLES
        )
    return _defined(results)


def measure_search(scores: np.ndarray, own_photos: np.ndarray) -> dict[str, Result]:
    """Measure a search: whether queries find their own photo, and whether they get the same photos.

    Args:
        scores: The score of each test photo for each query, (queries, photos).
        own_photos: The row of the test photo that each query was written for, (queries,) int.

    Returns:
        Recall, the largest share of queries that one photo is shown for, the numbers of distinct photos, and the mean
        overlap of two queries' top 10.
    """
    queries = range(len(own_photos))
    ranks = ranks_of_own(scores, own_photos)
    results = {f"recall@{k}": bootstrap_interval(queries, partial(_recall, ranks, k)) for k in RECALL_DEPTHS}
    top = first_photos(scores)
    shown = has_most_shown(top)
    results["largest_share"] = bootstrap_interval(queries, lambda rows: float(shown[rows].mean()))
    return {
        **_defined(results),
        "distinct@1": len(np.unique(top[:, 0])),
        "distinct@10": len(np.unique(top)),
        "overlap@10": mean_overlap(top),
    }


def first_photos(scores: np.ndarray) -> np.ndarray:
    """Return the first photos of each query: scores (queries, photos) -> rows of photos (queries, 10 or fewer)."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :TOP]


def results_table(results: Results) -> str:
    """Return the results as a Markdown table with one line per model."""
    lines = [f"| | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, values in results.items():
        lines.append(f"| {TITLES[name]} | {' | '.join(_cell(values.get(key)) for key in COLUMNS)} |")
    return "\n".join(lines)


def _cell(result: Result | None) -> str:
    if result is None:
        return "–"
    return str(result) if isinstance(result, int) else f"{value_of(result):.3f}"


def _defined(results: Mapping[str, Measured]) -> dict[str, Result]:
    """Leave out results that are NaN, and intervals that are NaN."""
    kept = drop_undefined(dict(results))
    return {name: value for name, value in kept.items() if not isinstance(value, dict)}


def _recall(ranks: np.ndarray, k: int, rows: np.ndarray) -> float:
    return recall_at(ranks[rows], k)
