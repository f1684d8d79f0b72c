"""Measure how far a ranker agrees with people, and whether its relevance is calibrated."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from reranker.evaluation.evaluation import Evaluation, described_photos
from reranker.evaluation.folds import FOLDS, score_pairs
from reranker.evaluation.results import Results
from reranker.judgments.judgments import photo_of
from reranker.metrics.bootstrap import Measured, bootstrap_interval
from reranker.metrics.calibration import brier_skill, calibration_error
from reranker.metrics.rank_correlation import kendall_tau_b, kendall_tau_c
from reranker.models.joint_space import PAIR_FEATURES
from reranker.training.train import MIN_PHOTOS

TAU_RESAMPLES = 200
# Below this a rank correlation says nothing.
FEWEST_PAIRS = 30


def expert(evaluation: Evaluation) -> Results | None:
    """Measure Kendall's tau-c with the experts' grades, by rankers trained on other photos' judgments."""
    return _over_folds(evaluation, "expert", "expert")


def expert_strict(evaluation: Evaluation) -> Results | None:
    """Measure Kendall's tau-c with the experts' grades where photo and caption are both unseen."""
    return _over_folds(evaluation, "expert_strict", "strict")


def crowd(evaluation: Evaluation) -> Results | None:
    """Measure Kendall's tau-b with the crowd's share of yes, by rankers trained on other photos' judgments."""
    return _over_folds(evaluation, "crowd", "crowd")


def expert_meaning(evaluation: Evaluation) -> Results | None:
    """Measure how far the meaning head's cosine, which learned from no judgment, agrees with the experts."""
    if not evaluation.data.has_judged or len(evaluation.data.judged[0].expert) < FEWEST_PAIRS:
        return None
    return {"expert_meaning": {"tau_c": _expert_tau(evaluation, [_meaning_of_pairs(evaluation, "expert")])}}


def crowd_meaning(evaluation: Evaluation) -> Results | None:
    """Measure how far the meaning head's cosine agrees with the crowd."""
    if not evaluation.data.has_judged or len(evaluation.data.judged[0].crowd) < FEWEST_PAIRS:
        return None
    return {"crowd_meaning": {"tau_b": _crowd_tau(evaluation, [_meaning_of_pairs(evaluation, "crowd")])}}


def calibration(evaluation: Evaluation) -> Results | None:
    """Measure whether relevance is the share of people who say yes, on held-out folds of the crowd's pairs."""
    if not _folds_train(evaluation) or not evaluation.data.judged[0].crowd:
        return None
    judgments, _ = evaluation.data.judged
    share = np.array([row.share for row in judgments.crowd])
    results: Results = {}
    for name, measure in (("ece", calibration_error), ("brier_skill", brier_skill)):
        shown = [evaluation.folds(seed).crowd for seed in range(evaluation.seeds)]
        results[name] = bootstrap_interval(
            [row.caption for row in judgments.crowd],
            partial(_mean_measure, measure, shown, share),
        )
    return {"calibration": results}


def _folds_train(evaluation: Evaluation) -> bool:
    """Return whether the photos outside a fold are enough to train on."""
    described = described_photos(evaluation)
    return described > 0 and described - -(-len(evaluation.data.judged[1].photos) // FOLDS) >= MIN_PHOTOS


def _over_folds(evaluation: Evaluation, name: str, kind: str) -> Results | None:
    if not _folds_train(evaluation):
        return None
    judgments, _ = evaluation.data.judged
    if not (judgments.crowd if kind == "crowd" else judgments.expert):
        return None
    scores = [getattr(evaluation.folds(seed), kind) for seed in range(evaluation.seeds)]
    if any(np.isfinite(shown).sum() < FEWEST_PAIRS for shown in scores):
        return None
    if kind == "crowd":
        return {name: {"tau_b": _crowd_tau(evaluation, scores)}}
    return {name: {"tau_c": _expert_tau(evaluation, scores)}}


def _meaning_of_pairs(evaluation: Evaluation, kind: str) -> np.ndarray:
    judgments, embedded = evaluation.data.judged
    rows = judgments.expert if kind == "expert" else judgments.crowd
    position = {name: i for i, name in enumerate(embedded.photos)}
    photo = np.array([position[row.photo] for row in rows])
    scored = score_pairs(evaluation.data, evaluation.ranker, photo, [row.caption for row in rows])
    return scored.pair_features[:, PAIR_FEATURES.index("meaning")]


def _expert_tau(evaluation: Evaluation, scores: Sequence[np.ndarray]) -> Measured:
    """Compute tau-c without a photo's own captions and unscored pairs; each of the three grades is a point."""
    judgments, _ = evaluation.data.judged
    grades = np.array([row.grades for row in judgments.expert])
    captions = np.array([row.caption for row in judgments.expert])
    foreign = np.array([photo_of(row.caption) != row.photo for row in judgments.expert])

    def statistic(rows: np.ndarray) -> float:
        values = []
        for shown in scores:
            kept = rows[np.isfinite(shown[rows])]
            values.append(kendall_tau_c(np.repeat(shown[kept], 3), grades[kept].reshape(-1)))
        return float(np.mean(values))

    kept = np.flatnonzero(foreign)
    return bootstrap_interval(captions[kept], lambda rows: statistic(kept[rows]), TAU_RESAMPLES)


def _crowd_tau(evaluation: Evaluation, scores: Sequence[np.ndarray]) -> Measured:
    judgments, _ = evaluation.data.judged
    share = np.array([row.share for row in judgments.crowd])

    def statistic(rows: np.ndarray) -> float:
        return float(np.mean([kendall_tau_b(shown[rows], share[rows]) for shown in scores]))

    return bootstrap_interval([row.caption for row in judgments.crowd], statistic, TAU_RESAMPLES)


def _mean_measure(
    measure: Callable[[np.ndarray, np.ndarray], float],
    shown: Sequence[np.ndarray],
    outcome: np.ndarray,
    rows: np.ndarray,
) -> float:
    """Average a measure of relevance against outcome over seeds."""
    return float(np.mean([measure(relevance[rows], outcome[rows]) for relevance in shown]))
