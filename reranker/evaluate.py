"""Evaluation: every figure by its protocol, with 95 % bootstrap intervals. `README.md` says what each one means."""

import csv
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from indexer.errors import PhotoseekError
from reranker import baselines, metrics
from reranker.evaluation import JUDGED_SET, Evaluation, Photos, search
from reranker.judgments import photo_of
from reranker.space import SCALARS

Figures = dict[str, Any]

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
    photos, queries, own = evaluation.course()
    ranks, before = [], []
    for seed in range(evaluation.seeds):
        found = search(evaluation.train(features, judgments, seed), photos, queries)
        ranks.append(metrics.ranks_of_own(found.order, own))
        before.append(metrics.ranks_of_own(found.candidates, own))
    return {"course": {**_recalls(np.stack(ranks)), "candidates": _recalls(np.stack(before))}}


def course_default(evaluation: Evaluation) -> Figures | None:
    """The given ranker on the course's test."""
    if not evaluation.has_course():
        return None
    photos, queries, own = evaluation.course()
    found = search(evaluation.ranker, photos, queries)
    return {"course_default": _recalls(metrics.ranks_of_own(found.order, own)[None])}


def official(evaluation: Evaluation) -> Figures | None:
    """Every caption of the judged photos against those photos: candidates, reranked, and reranked without regions."""
    if not evaluation.has_judged():
        return None
    found, own = evaluation.official()
    _, features = evaluation.judged()
    figures = _recalls(metrics.ranks_of_own(found.order, own)[None])
    figures["candidates"] = _recalls(metrics.ranks_of_own(found.candidates, own)[None])
    if features.regions is not None:
        plain = search(evaluation.ranker, Photos(features.x, None), evaluation.captions())
        figures["without_regions"] = _recalls(metrics.ranks_of_own(plain.order, own)[None])
    return {"official": figures}


def expert(evaluation: Evaluation) -> Figures | None:
    """Kendall tau-c against the experts' grades, rankers trained on other photos' judgments."""
    return _over_folds(evaluation, "expert", "expert")


def expert_strict(evaluation: Evaluation) -> Figures | None:
    """The same where photo and caption are both unseen."""
    return _over_folds(evaluation, "expert_strict", "strict")


def crowd(evaluation: Evaluation) -> Figures | None:
    """Kendall tau-b against the crowd's share of yes, rankers trained on other photos' judgments."""
    return _over_folds(evaluation, "crowd", "crowd")


def expert_meaning(evaluation: Evaluation) -> Figures | None:
    """The cosine of the given ranker's meaning map alone, which has learned from no judgment, and the experts."""
    if not evaluation.has_judged() or not evaluation.judged()[0].expert:
        return None
    return {"expert_meaning": {"tau_c": _expert_tau(evaluation, [_meaning_of_pairs(evaluation, "expert")])}}


def crowd_meaning(evaluation: Evaluation) -> Figures | None:
    """The same and the crowd."""
    if not evaluation.has_judged() or not evaluation.judged()[0].crowd:
        return None
    return {"crowd_meaning": {"tau_b": _crowd_tau(evaluation, [_meaning_of_pairs(evaluation, "crowd")])}}


def calibration(evaluation: Evaluation) -> Figures | None:
    """Whether relevance is the share of people who say yes, on held-out folds of the crowd's pairs."""
    if not evaluation.has_judged() or not evaluation.judged()[0].crowd:
        return None
    judgments, _ = evaluation.judged()
    share = np.array([row.share for row in judgments.crowd])
    figures: Figures = {}
    for name, measure in (("ece", metrics.calibration_error), ("brier_skill", metrics.brier_skill)):
        shown = [evaluation.folds(seed)["crowd"] for seed in range(evaluation.seeds)]
        figures[name] = metrics.interval(
            [row.caption for row in judgments.crowd],
            partial(_mean_measure, measure, shown, share),
        )
    return {"calibration": figures}


def no_match(evaluation: Evaluation) -> Figures | None:
    """Does the decision tell whether a query's photo is there: against it removed, and a gallery of other subjects?"""
    if not evaluation.has_judged():
        return None
    found, own = evaluation.official()
    present = found.match(found.order)
    removed = found.order.copy()
    removed[np.arange(len(own)), own] = -np.inf
    absent = found.match(removed)
    threshold = evaluation.ranker.match.threshold
    rows = range(len(own))
    figures = {
        "auroc_removed": metrics.interval(rows, lambda at: metrics.auroc(present[at], absent[at])),
        "refused_present": float((present < threshold).mean()),
        "refused_removed": float((absent < threshold).mean()),
    }
    # A tenth of the gallery, with and without the photo: the decision must not drift with its size.
    tenth = _tenths(found.order, own)
    small, gone = found.match(tenth), tenth.copy()
    gone[np.arange(len(own)), own] = -np.inf
    smaller = found.match(gone)
    figures["auroc_removed_of_100"] = metrics.interval(rows, lambda at: metrics.auroc(small[at], smaller[at]))
    figures["refused_present_of_100"] = float((small < threshold).mean())
    _, _, photos, _ = evaluation.names()
    if len(photos.x):
        elsewhere = search(evaluation.ranker, photos, evaluation.captions())
        foreign = elsewhere.match(elsewhere.order)
        figures["auroc_foreign"] = metrics.interval(rows, lambda at: metrics.auroc(present[at], foreign[at]))
        figures["refused_foreign"] = float((foreign < threshold).mean())
    return {"no_match": figures}


def hubs(evaluation: Evaluation) -> Figures | None:
    """The largest share of the course's queries that have one photo in their top 10."""
    if not evaluation.has_course():
        return None
    photos, queries, _ = evaluation.course()
    top = np.argsort(-search(evaluation.ranker, photos, queries).order, axis=1)[:, :10]
    return {"hubs": {"largest_share": metrics.interval(range(len(top)), lambda rows: metrics.largest_share(top[rows]))}}


def breadth(evaluation: Evaluation) -> Figures | None:
    """Names of things: the share of a name's photos that are in its top 10."""
    return _breadth(evaluation, "breadth", outside=False)


def breadth_outside(evaluation: Evaluation) -> Figures | None:
    """The same for names that are none of ImageNet's 1,000 classes."""
    return _breadth(evaluation, "breadth_outside", outside=True)


def baseline(evaluation: Evaluation) -> Figures | None:
    """What the course's test gives to chance, cosines, Ridge on the concatenated vector and a plain net on it."""
    if not (evaluation.has_course() and evaluation.has_judged()):
        return None
    judgments, features = evaluation.judged()
    photos, queries, own = evaluation.course()
    scores = {
        "chance": baselines.chance(len(own), len(photos.x)),
        "cosine": baselines.cosine(features, photos.x, queries.t),
        "ridge_map": baselines.ridge_map(features, photos.x, queries.t),
        "ridge_concatenated": baselines.ridge_concatenated(features, judgments, photos.x, queries.t),
        "plain_net": baselines.plain_net(features, judgments, photos.x, queries.t),
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
        expert_meaning,
        crowd_meaning,
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


def _tenths(order: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The same scores where every query has a tenth of the photos left, drawn at random, its own among them."""
    shown = order.copy()
    part = np.random.default_rng(0).permutation(order.shape[1]) % 10
    shown[part[None] != part[own][:, None]] = -np.inf
    return shown


def _recalls(ranks: np.ndarray) -> Figures:
    """recall@1, 5 and 10 of ranks (seeds, queries): mean over seeds, interval over queries."""
    figures = {}
    for k in KS:
        found = (ranks < k).mean(axis=0)
        figures[f"recall@{k}"] = metrics.interval(range(len(found)), partial(_mean_of, found))
    return figures


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


def _meaning_of_pairs(evaluation: Evaluation, kind: str) -> np.ndarray:
    judgments, features = evaluation.judged()
    rows = judgments.expert if kind == "expert" else judgments.crowd
    position = {name: i for i, name in enumerate(features.photos)}
    photo = np.array([position[row.photo] for row in rows])
    _, scalars = evaluation.pair_scores(evaluation.ranker, photo, [row.caption for row in rows])
    return scalars[:, SCALARS.index("meaning")]


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
    return metrics.interval(captions[kept], lambda rows: statistic(kept[rows]), TAU_RESAMPLES)


def _crowd_tau(evaluation: Evaluation, scores: Sequence[np.ndarray]) -> Figures:
    judgments, _ = evaluation.judged()
    share = np.array([row.share for row in judgments.crowd])

    def statistic(rows: np.ndarray) -> float:
        return float(np.mean([metrics.kendall_tau_b(shown[rows], share[rows]) for shown in scores]))

    return metrics.interval([row.caption for row in judgments.crowd], statistic, TAU_RESAMPLES)


def _breadth(evaluation: Evaluation, name: str, *, outside: bool) -> Figures | None:
    synsets, words, photos, label = evaluation.names()
    if not len(photos.x):
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
    queries = evaluation.queries([f"a photo of a {words[i]}" for i in wanted])
    top = np.argsort(-search(evaluation.ranker, photos, queries).order, axis=1)[:, :10]
    found = np.array([(label[top[row]] == i).sum() / (label == i).sum() for row, i in enumerate(wanted)])
    return {name: {"recall@10": metrics.interval(range(len(found)), partial(_mean_of, found))}}


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
