"""Measure the no-match decision: against a query's photo removed, and against a gallery of other subjects."""

from functools import partial

import numpy as np

from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.results import Results
from reranker.gallery_ranking import GalleryRanking
from reranker.metrics.bootstrap import bootstrap_interval, mean_interval
from reranker.metrics.separation import auroc


def no_match(evaluation: Evaluation) -> Results | None:
    """Measure whether the no-match decision tells that a query's photo is there.

    It is held against the same gallery without the photo, in all photos and in a tenth of them, and against a gallery
    of other subjects.
    """
    if not evaluation.data.has_judged:
        return None
    chances = match_chances(evaluation)
    threshold = evaluation.ranker.no_match.threshold
    rows = range(len(chances["present"]))
    results: Results = {}
    for there, gone in (("present", "removed"), ("present_of_100", "removed_of_100"), ("present", "foreign")):
        if gone in chances:
            pair = chances[there], chances[gone]
            results[f"auroc_{gone}"] = bootstrap_interval(rows, partial(_auroc_of, *pair))
    for name in ("present", "removed", "present_of_100", "removed_of_100", "foreign"):
        if name in chances:
            results[f"refused_{name}"] = mean_interval(chances[name] < threshold)
    return {"no_match": results}


def match_chances(evaluation: Evaluation) -> dict[str, np.ndarray]:
    """Return the chance that anything fits, (queries,) float32 each, for several galleries.

    Returns:
        `present`: the query's own photo is there; `removed`: it is not; `present_of_100` and `removed_of_100`: the same
        in a tenth of the gallery; `foreign`: a gallery of other subjects, if there is one.
    """

    def compute() -> dict[str, np.ndarray]:
        ranking, own = evaluation.official()
        queries = np.arange(len(own))
        chances: dict[str, np.ndarray] = {}
        # A tenth of the gallery, with and without the photo: the decision must not drift with its size.
        for size, kept in (("", np.ones(ranking.ranking_scores.shape, bool)), ("_of_100", _tenths(ranking, own))):
            chances[f"present{size}"] = ranking.match_probability(kept)
            kept[queries, own] = False
            chances[f"removed{size}"] = ranking.match_probability(kept)
        foreign = evaluation.foreign_gallery()
        if foreign is not None:
            chances["foreign"] = foreign.match_probability(np.ones(foreign.ranking_scores.shape, bool))
        return chances

    return evaluation.once("match chances", compute)


def _tenths(ranking: GalleryRanking, own: np.ndarray) -> np.ndarray:
    """Draw a tenth of the photos at random for each query, its own among them: (queries, photos) bool."""
    part = np.random.default_rng(0).permutation(ranking.ranking_scores.shape[1]) % 10
    return np.asarray(part[None] == part[own][:, None])


def _auroc_of(positive: np.ndarray, negative: np.ndarray, rows: np.ndarray) -> float:
    return auroc(positive[rows], negative[rows])
