"""Evaluation: every figure by its protocol, with 95 % bootstrap intervals. `README.md` says what each one means."""

import csv
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from indexer.errors import PhotoseekError
from reranker import baselines, metrics
from reranker.evaluation import JUDGED_SET, Evaluation, all_scores
from reranker.features import embed_texts
from reranker.judgments import photo_of
from reranker.linear_map import unit

Figures = dict[str, Any]

RERANKED = 200
TAU_RESAMPLES = 200
KS = (1, 5, 10)
# Below this a rank correlation says nothing.
FEWEST_PAIRS = 30


def evaluate(evaluation: Evaluation, protocols: Sequence[str]) -> Figures:
    """The figures of the protocols that the data allows, by name. Raises PhotoseekError if it allows none."""
    figures: Figures = {}
    for number, name in enumerate(protocols):
        if evaluation.on_stage is not None:
            evaluation.on_stage("protocols", number, len(protocols))
        figures |= PROTOCOLS[name](evaluation) or {}
    if not figures:
        raise PhotoseekError(
            f"judged data {evaluation.judgments.folder} allows none of: {', '.join(protocols)} (it needs {JUDGED_SET}/ "
            "with judgments, test_queries.csv, or a folder of named photos)"
        )
    return figures


def course(evaluation: Evaluation) -> Figures | None:
    """Trained on the course's photos alone; its queries against its test photos."""
    if not (evaluation.has_course() and evaluation.has_judged()):
        return None
    judgments, features = evaluation.judged()
    x, texts, t, own = evaluation.course()
    ranks, before = [], []
    for seed in range(evaluation.seeds):
        ranker = evaluation.train(features, judgments, seed, None)
        candidates, relevance = all_scores(ranker, ranker.photo_side(x), ranker.query_side(t, texts))
        ranks.append(_ranks(candidates, relevance, own))
        before.append(metrics.ranks_of_own(candidates, own))
    return {"course": {**_recalls(np.stack(ranks)), "candidates": _recalls(np.stack(before))}}


def course_default(evaluation: Evaluation) -> Figures | None:
    """The given ranker on the course's test."""
    if not evaluation.has_course():
        return None
    x, texts, t, own = evaluation.course()
    ranker = evaluation.ranker
    candidates, relevance = all_scores(ranker, ranker.photo_side(x), ranker.query_side(t, texts))
    return {"course_default": _recalls(_ranks(candidates, relevance, own)[None])}


def official(evaluation: Evaluation) -> Figures | None:
    """Every caption of the judged photos against those photos, before and after reranking."""
    if not evaluation.has_judged():
        return None
    candidates, relevance, own = evaluation.official()
    ranks = _ranks(candidates, relevance, own)
    return {"official": {**_recalls(ranks[None]), "candidates": _recalls(metrics.ranks_of_own(candidates, own)[None])}}


def expert(evaluation: Evaluation) -> Figures | None:
    """Kendall tau-c against the experts' grades, rankers trained on other photos' judgments."""
    return _over_folds(evaluation, "expert", "expert")


def expert_strict(evaluation: Evaluation) -> Figures | None:
    """The same where photo and caption are both unseen."""
    return _over_folds(evaluation, "expert_strict", "strict")


def crowd(evaluation: Evaluation) -> Figures | None:
    """Kendall tau-b against the crowd's share of yes, rankers trained on other photos' judgments."""
    return _over_folds(evaluation, "crowd", "crowd")


def expert_default(evaluation: Evaluation) -> Figures | None:
    """The given ranker's relevance, as it is, against the experts' grades."""
    if not evaluation.has_judged() or not evaluation.judged()[0].expert:
        return None
    return {"expert_default": {"tau_c": _expert_tau(evaluation, [_default_pairs(evaluation, "expert")])}}


def expert_meaning(evaluation: Evaluation) -> Figures | None:
    """The cosine of the given ranker's meaning map alone against the experts' grades."""
    if not evaluation.has_judged() or not evaluation.judged()[0].expert:
        return None
    judgments, features = evaluation.judged()
    position = {name: i for i, name in enumerate(features.photos)}
    caption_row = {caption: i for i, caption in enumerate(features.captions)}
    meaning = evaluation.ranker.meaning
    photos, texts = meaning.images(features.x), meaning.texts(unit(features.t))
    cosines = np.array([photos[position[row.photo]] @ texts[caption_row[row.caption]] for row in judgments.expert])
    return {"expert_meaning": {"tau_c": _expert_tau(evaluation, [cosines])}}


def crowd_default(evaluation: Evaluation) -> Figures | None:
    """The given ranker's relevance, as it is, against the crowd."""
    if not evaluation.has_judged() or not evaluation.judged()[0].crowd:
        return None
    return {"crowd_default": {"tau_b": _crowd_tau(evaluation, [_default_pairs(evaluation, "crowd")])}}


def calibration(evaluation: Evaluation) -> Figures | None:
    """Whether relevance is the share of people who say yes, on held-out folds of the crowd's pairs."""
    if not evaluation.has_judged() or not evaluation.judged()[0].crowd:
        return None
    judgments, _ = evaluation.judged()
    share = np.array([row.share for row in judgments.crowd])
    figures: Figures = {}
    for name, measure in (("ece", metrics.calibration_error), ("brier_skill", metrics.brier_skill)):
        shown = [evaluation.folds(seed)["crowd"] for seed in range(evaluation.seeds)]
        figures[name] = _interval(
            [row.caption for row in judgments.crowd],
            partial(_mean_measure, measure, shown, share),
        )
    return {"calibration": figures}


def no_match(evaluation: Evaluation) -> Figures | None:
    """Does the best relevance of a query tell whether its photo is there?"""
    if not evaluation.has_judged():
        return None
    _, relevance, own = evaluation.official()
    present = relevance.max(axis=1)
    removed = relevance.copy()
    removed[np.arange(len(own)), own] = -1
    absent = removed.max(axis=1)
    rows = range(len(own))
    figures = {"auroc_removed": _interval(rows, lambda at: metrics.auroc(present[at], absent[at]))}
    _, _, x, _ = evaluation.names()
    if len(x):
        _, features = evaluation.judged()
        asked = np.flatnonzero(features.owner >= 0)
        query = evaluation.ranker.query_side(features.t[asked], [features.texts[row] for row in asked])
        _, foreign = all_scores(evaluation.ranker, evaluation.ranker.photo_side(x), query)
        elsewhere = foreign.max(axis=1)
        figures["auroc_foreign"] = _interval(rows, lambda at: metrics.auroc(present[at], elsewhere[at]))
    return {"no_match": figures}


def hubs(evaluation: Evaluation) -> Figures | None:
    """The largest share of the course's queries that have one photo in their top 10."""
    if not evaluation.has_course():
        return None
    x, texts, t, _ = evaluation.course()
    ranker = evaluation.ranker
    candidates, relevance = all_scores(ranker, ranker.photo_side(x), ranker.query_side(t, texts))
    top = np.argsort(-_combined(candidates, relevance), axis=1)[:, :10]
    return {"hubs": {"largest_share": _interval(range(len(top)), lambda rows: metrics.largest_share(top[rows]))}}


def breadth(evaluation: Evaluation) -> Figures | None:
    """Names of things: the share of a name's photos that are in its top 10."""
    return _breadth(evaluation, "breadth", outside=False)


def breadth_outside(evaluation: Evaluation) -> Figures | None:
    """The same for names that are none of ImageNet's 1,000 classes."""
    return _breadth(evaluation, "breadth_outside", outside=True)


def baseline(evaluation: Evaluation) -> Figures | None:
    """What the course's test gives to chance, to ridge maps and to Ridge on the concatenated vector."""
    if not (evaluation.has_course() and evaluation.has_judged()):
        return None
    judgments, features = evaluation.judged()
    x, _, t, own = evaluation.course()
    scores = {
        "chance": baselines.chance(len(own), len(x)),
        "ridge_map": baselines.ridge_map(features, x, t),
        "ridge_concatenated": baselines.ridge_concatenated(features, judgments, x, t),
    }
    figures: Figures = {}
    for name, values in scores.items():
        top = np.argsort(-values, axis=1)[:, :10]
        ranks = metrics.ranks_of_own(values, own)
        figures[name] = {**_recalls(ranks[None]), "largest_share": metrics.largest_share(top)}
    return {"baseline": figures}


PROTOCOLS: dict[str, Callable[[Evaluation], Figures | None]] = {
    protocol.__name__: protocol
    for protocol in (
        course,
        course_default,
        official,
        expert,
        expert_strict,
        crowd,
        expert_default,
        expert_meaning,
        crowd_default,
        calibration,
        no_match,
        hubs,
        breadth,
        breadth_outside,
        baseline,
    )
}


def report(figures: Figures, prefix: str = "") -> str:
    """The figures as lines of `name value [low, high]`."""
    lines = []
    for name, value in figures.items():
        if isinstance(value, dict) and "value" not in value:
            lines.append(report(value, f"{prefix}{name}."))
        elif isinstance(value, dict):
            lines.append(f"{prefix + name:<44}{value['value']:.4f}  [{value['low']:.4f}, {value['high']:.4f}]")
        else:
            lines.append(f"{prefix + name:<44}{value:.4f}")
    return "\n".join(lines)


def _combined(candidates: np.ndarray, relevance: np.ndarray) -> np.ndarray:
    """Scores whose order is that of a search: the first candidates by relevance, then the others as they were."""
    kept = min(RERANKED, candidates.shape[1])
    threshold = np.partition(candidates, -kept, axis=1)[:, -kept][:, None]
    return np.where(candidates >= threshold, 10 + relevance.astype(np.float64), candidates)


def _ranks(candidates: np.ndarray, relevance: np.ndarray, own: np.ndarray) -> np.ndarray:
    return metrics.ranks_of_own(_combined(candidates, relevance), own)


def _recalls(ranks: np.ndarray) -> Figures:
    """recall@1, 5 and 10 of ranks (seeds, queries): mean over seeds, interval over queries."""
    figures = {}
    for k in KS:
        found = (ranks < k).mean(axis=0)
        figures[f"recall@{k}"] = _interval(range(len(found)), partial(_mean_of, found))
    return figures


def _interval(
    groups: Sequence[Any] | np.ndarray, statistic: Callable[[np.ndarray], float], resamples: int = 500
) -> Figures:
    """A value with its 95 % bootstrap interval; whole groups (a query's pairs) are drawn together."""
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(group, kind="stable")
    rows_of = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    low, high = metrics.bootstrap(
        len(rows_of), lambda drawn: statistic(np.concatenate([rows_of[i] for i in drawn])), resamples
    )
    return {"value": statistic(np.arange(len(group))), "low": low, "high": high}


def _over_folds(evaluation: Evaluation, name: str, kind: str) -> Figures | None:
    if not evaluation.has_judged():
        return None
    judgments, _ = evaluation.judged()
    if not (judgments.crowd if kind == "crowd" else judgments.expert):
        return None
    scores = [evaluation.folds(seed)[kind] for seed in range(evaluation.seeds)]
    if any(np.isfinite(shown).sum() < FEWEST_PAIRS for shown in scores):
        return None
    if kind == "crowd":
        return {name: {"tau_b": _crowd_tau(evaluation, scores)}}
    return {name: {"tau_c": _expert_tau(evaluation, scores)}}


def _default_pairs(evaluation: Evaluation, kind: str) -> np.ndarray:
    judgments, features = evaluation.judged()
    rows = judgments.expert if kind == "expert" else judgments.crowd
    position = {name: i for i, name in enumerate(features.photos)}
    photo = np.array([position[row.photo] for row in rows])
    return evaluation.pair_relevance(evaluation.ranker, photo, [row.caption for row in rows])


def _expert_tau(evaluation: Evaluation, scores: Sequence[np.ndarray]) -> Figures:
    """tau-c; a photo's own captions are left out, the three grades are separate points, unscored pairs are dropped."""
    judgments, _ = evaluation.judged()
    grades = np.array([row.grades for row in judgments.expert])
    captions = np.array([row.caption for row in judgments.expert])
    foreign = np.array([photo_of(row.caption) != row.photo for row in judgments.expert])

    def statistic(rows: np.ndarray) -> float:
        values = []
        for shown in scores:
            kept = rows[np.isfinite(shown[rows])]
            values.append(metrics.kendall_tau_c(np.repeat(shown[kept], 3), grades[kept].reshape(-1)))
        return float(np.mean(values))

    kept = np.flatnonzero(foreign)
    return _interval(captions[kept], lambda rows: statistic(kept[rows]), TAU_RESAMPLES)


def _crowd_tau(evaluation: Evaluation, scores: Sequence[np.ndarray]) -> Figures:
    judgments, _ = evaluation.judged()
    share = np.array([row.share for row in judgments.crowd])

    def statistic(rows: np.ndarray) -> float:
        return float(np.mean([metrics.kendall_tau_b(shown[rows], share[rows]) for shown in scores]))

    return _interval([row.caption for row in judgments.crowd], statistic, TAU_RESAMPLES)


def _breadth(evaluation: Evaluation, name: str, *, outside: bool) -> Figures | None:
    synsets, words, x, label = evaluation.names()
    if not len(x):
        return None
    wanted = np.arange(len(synsets))
    if outside:
        table = (evaluation.breadth or evaluation.judgments.folder.resolve().parent / "imagen").parent
        path = table / "imagenet_classes.tsv"
        if not path.is_file():
            return None
        with open(path, encoding="utf-8", newline="") as file:
            known = {row["wnid"] for row in csv.DictReader(file, delimiter="\t")}
        wanted = np.array([i for i, synset in enumerate(synsets) if synset not in known])
    texts = [f"a photo of a {words[i]}" for i in wanted]
    ranker = evaluation.ranker
    query = ranker.query_side(embed_texts(texts, evaluation.encoders()[1]), texts)
    candidates, relevance = all_scores(ranker, ranker.photo_side(x), query)
    top = np.argsort(-_combined(candidates, relevance), axis=1)[:, :10]
    found = np.array([(label[top[row]] == i).sum() / (label == i).sum() for row, i in enumerate(wanted)])
    return {name: {"recall@10": _interval(range(len(found)), partial(_mean_of, found))}}


def _mean_of(values: np.ndarray, rows: np.ndarray) -> float:
    return float(values[rows].mean())


def _mean_measure(
    measure: Callable[[np.ndarray, np.ndarray], float],
    shown: Sequence[np.ndarray],
    outcome: np.ndarray,
    rows: np.ndarray,
) -> float:
    """The mean over seeds of a measure of relevance against outcome."""
    return float(np.mean([measure(relevance[rows], outcome[rows]) for relevance in shown]))
