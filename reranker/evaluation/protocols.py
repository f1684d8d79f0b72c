"""Evaluation: every figure by its protocol, with 95 % bootstrap intervals. `README.md` says what each one means."""

import csv
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from indexer.errors import PhotoseekError
from reranker.evaluation import baselines
from reranker.evaluation.evaluation import FOLDS, JUDGED_SET, Evaluation, search
from reranker.evaluation.results import Results, defined, take_resampled
from reranker.judgments.aggregate import majority
from reranker.judgments.judged_folder import photo_of
from reranker.metrics import metrics
from reranker.models.joint_space import PAIR_FEATURES
from reranker.training.train import LEAST

TAU_RESAMPLES = 200
KS = (1, 5, 10)
# Below this a rank correlation says nothing.
FEWEST_PAIRS = 30


def evaluate(evaluation: Evaluation, protocols: Sequence[str]) -> Results:
    """The figures of the protocols that the data allows, by name. Raises PhotoseekError if it allows none."""
    figures: Results = {}
    for number, name in enumerate(protocols):
        if evaluation.on_stage is not None:
            evaluation.on_stage("protocols", number, len(protocols))
        figures |= PROTOCOLS[name](evaluation) or {}
    evaluation.resampled |= take_resampled(figures)
    figures = defined(figures)
    if not figures:
        raise PhotoseekError(
            f"judged data {evaluation.judgments.folder} allows none of: {', '.join(protocols)} (it needs {JUDGED_SET}/ "
            "with judgments, test_queries.csv, or a folder of named photos)"
        )
    return figures


def course(evaluation: Evaluation) -> Results | None:
    """Trained on the course's photos alone; its queries against its test photos."""
    if not evaluation.has_course() or _described(evaluation) < LEAST:
        return None
    ranks, before = [], []
    for seed in range(evaluation.seeds):
        found, own = evaluation.course_trained(seed)
        ranks.append(metrics.ranks_of_own(found.ranking_scores, own))
        before.append(metrics.ranks_of_own(found.candidates, own))
    return {"course": {**_recalls(np.stack(ranks)), "candidates": _recalls(np.stack(before))}}


def course_default(evaluation: Evaluation) -> Results | None:
    """The given ranker on the course's test."""
    if not evaluation.has_course():
        return None
    found, own = evaluation.course_default()
    return {"course_default": _recalls(metrics.ranks_of_own(found.ranking_scores, own)[None])}


def official(evaluation: Evaluation) -> Results | None:
    """Every caption of the judged photos against those photos: candidates, reranked, and reranked without regions."""
    if not evaluation.has_judged():
        return None
    found, own = evaluation.official()
    _, features = evaluation.judged()
    figures = _recalls(metrics.ranks_of_own(found.ranking_scores, own)[None])
    figures["candidates"] = _recalls(metrics.ranks_of_own(found.candidates, own)[None])
    if features.regions is not None:
        plain = metrics.ranks_of_own(evaluation.without_regions().ranking_scores, own)
        figures["without_regions"] = _recalls(plain[None])
    return {"official": figures}


def expert(evaluation: Evaluation) -> Results | None:
    """Kendall tau-c against the experts' grades, rankers trained on other photos' judgments."""
    return _over_folds(evaluation, "expert", "expert")


def expert_strict(evaluation: Evaluation) -> Results | None:
    """The same where photo and caption are both unseen."""
    return _over_folds(evaluation, "expert_strict", "strict")


def crowd(evaluation: Evaluation) -> Results | None:
    """Kendall tau-b against the crowd's share of yes, rankers trained on other photos' judgments."""
    return _over_folds(evaluation, "crowd", "crowd")


def expert_meaning(evaluation: Evaluation) -> Results | None:
    """The cosine of the given ranker's meaning map alone, which has learned from no judgment, and the experts."""
    if not evaluation.has_judged() or len(evaluation.judged()[0].expert) < FEWEST_PAIRS:
        return None
    return {"expert_meaning": {"tau_c": _expert_tau(evaluation, [_meaning_of_pairs(evaluation, "expert")])}}


def crowd_meaning(evaluation: Evaluation) -> Results | None:
    """The same and the crowd."""
    if not evaluation.has_judged() or len(evaluation.judged()[0].crowd) < FEWEST_PAIRS:
        return None
    return {"crowd_meaning": {"tau_b": _crowd_tau(evaluation, [_meaning_of_pairs(evaluation, "crowd")])}}


def calibration(evaluation: Evaluation) -> Results | None:
    """Whether relevance is the share of people who say yes, on held-out folds of the crowd's pairs."""
    if not _folds_train(evaluation) or not evaluation.judged()[0].crowd:
        return None
    judgments, _ = evaluation.judged()
    share = np.array([row.share for row in judgments.crowd])
    figures: Results = {}
    for name, measure in (("ece", metrics.calibration_error), ("brier_skill", metrics.brier_skill)):
        shown = [evaluation.folds(seed)["crowd"] for seed in range(evaluation.seeds)]
        figures[name] = metrics.drawn_interval(
            [row.caption for row in judgments.crowd],
            partial(_mean_measure, measure, shown, share),
        )
    return {"calibration": figures}


def no_match(evaluation: Evaluation) -> Results | None:
    """Does the decision tell whether a query's photo is there: against it removed, and a gallery of other subjects?"""
    if not evaluation.has_judged():
        return None
    chances = match_chances(evaluation)
    threshold = evaluation.ranker.no_match.threshold
    rows = range(len(chances["present"]))
    figures: Results = {}
    for there, gone in (("present", "removed"), ("present_of_100", "removed_of_100"), ("present", "foreign")):
        if gone in chances:
            pair = chances[there], chances[gone]
            figures[f"auroc_{gone}"] = metrics.drawn_interval(rows, partial(_auroc_of, *pair))
    for name in ("present", "removed", "present_of_100", "foreign"):
        if name in chances:
            figures[f"refused_{name}"] = metrics.drawn_interval(rows, partial(_mean_of, chances[name] < threshold))
    return {"no_match": figures}


def match_chances(evaluation: Evaluation) -> dict[str, np.ndarray]:
    """The chance that anything fits, (queries,) each, where a query's photo is there, `present`, or `removed`; the same
    `_of_100`, in a tenth of the gallery; and where the gallery is of other subjects, `foreign`, if there is one."""

    def compute() -> dict[str, np.ndarray]:
        found, own = evaluation.official()
        # A tenth of the gallery, with and without the photo: the decision must not drift with its size.
        galleries = {"": found.ranking_scores, "_of_100": _tenths(found.ranking_scores, own)}
        chances: dict[str, np.ndarray] = {}
        for size, order in galleries.items():
            gone = order.copy()
            gone[np.arange(len(own)), own] = -np.inf
            chances |= {f"present{size}": found.match(order), f"removed{size}": found.match(gone)}
        elsewhere = evaluation.elsewhere()
        return chances if elsewhere is None else {**chances, "foreign": elsewhere.match(elsewhere.ranking_scores)}

    return evaluation.once("match chances", compute)


def hubs(evaluation: Evaluation) -> Results | None:
    """The largest share of the course's queries that have one photo in their top 10."""
    if not evaluation.has_course():
        return None
    found, _ = evaluation.course_default()
    return {"hubs": {"largest_share": _largest_share(found.ranking_scores)}}


def breadth(evaluation: Evaluation) -> Results | None:
    """Names of things: the share of a name's photos that are in its top 10."""
    return _breadth(evaluation, "breadth", outside=False)


def breadth_outside(evaluation: Evaluation) -> Results | None:
    """The same for names that are none of ImageNet's 1,000 classes."""
    return _breadth(evaluation, "breadth_outside", outside=True)


def baseline(evaluation: Evaluation) -> Results | None:
    """What the course's test gives to chance, cosines, Ridge on the concatenated vector and a plain net on it."""
    # One photo spans no map.
    if not evaluation.has_course() or _described(evaluation) < 2:
        return None
    _, _, own = evaluation.course()
    figures: Results = {}
    for name, values in baseline_scores(evaluation).items():
        ranks = metrics.ranks_of_own(values, own)
        figures[name] = {**_recalls(ranks[None]), "largest_share": _largest_share(values)}
    return {"baseline": figures}


def baseline_scores(evaluation: Evaluation) -> dict[str, np.ndarray]:
    """What each baseline gives to the course's queries and test photos, (queries, photos); those that learn from
    judgments are left out where no pair has a score."""

    def compute() -> dict[str, np.ndarray]:
        judgments, features = evaluation.judged()
        photos, queries, own = evaluation.course()
        scores = {
            "chance": baselines.chance(len(own), len(photos.x)),
            "cosine": baselines.cosine(features, photos.x, queries.t),
            "ridge_map": baselines.ridge_map(features, photos.x, queries.t),
        }
        if majority(judgments.expert, judgments.crowd):
            scores["ridge_concatenated"] = baselines.ridge_concatenated(features, judgments, photos.x, queries.t)
            scores["plain_net"] = baselines.plain_net(features, judgments, photos.x, queries.t)
        return scores

    return evaluation.once("baselines", compute)


PROTOCOLS: dict[str, Callable[[Evaluation], Results | None]] = {
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


def _tenths(order: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The same scores where every query has a tenth of the photos left, drawn at random, its own among them."""
    shown = order.copy()
    part = np.random.default_rng(0).permutation(order.shape[1]) % 10
    shown[part[None] != part[own][:, None]] = -np.inf
    return shown


def _recalls(ranks: np.ndarray) -> Results:
    """recall@1, 5 and 10 of ranks (seeds, queries): mean over seeds, interval over queries."""
    figures = {}
    for k in KS:
        found = (ranks < k).mean(axis=0)
        figures[f"recall@{k}"] = metrics.drawn_interval(range(len(found)), partial(_mean_of, found))
    return figures


def _largest_share(scores: np.ndarray) -> Results:
    """The share of queries that have the most shown photo in their top 10 by scores (queries, photos)."""
    has = metrics.has_most_shown(np.argsort(-scores, axis=1)[:, :10])
    return metrics.drawn_interval(range(len(has)), partial(_mean_of, has))


def _described(evaluation: Evaluation) -> int:
    """How many judged photos have captions of their own."""
    if not evaluation.has_judged():
        return 0
    owner = evaluation.judged()[1].owner
    return len(np.unique(owner[owner >= 0]))


def _folds_train(evaluation: Evaluation) -> bool:
    """Whether the photos outside a fold are enough to train on."""
    described = _described(evaluation)
    return described > 0 and described - -(-len(evaluation.judged()[1].photos) // FOLDS) >= LEAST


def _over_folds(evaluation: Evaluation, name: str, kind: str) -> Results | None:
    if not _folds_train(evaluation):
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
    _, pair_features = evaluation.pair_scores(evaluation.ranker, photo, [row.caption for row in rows])
    return pair_features[:, PAIR_FEATURES.index("meaning")]


def _expert_tau(evaluation: Evaluation, scores: Sequence[np.ndarray]) -> Results:
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
    return metrics.drawn_interval(captions[kept], lambda rows: statistic(kept[rows]), TAU_RESAMPLES)


def _crowd_tau(evaluation: Evaluation, scores: Sequence[np.ndarray]) -> Results:
    judgments, _ = evaluation.judged()
    share = np.array([row.share for row in judgments.crowd])

    def statistic(rows: np.ndarray) -> float:
        return float(np.mean([metrics.kendall_tau_b(shown[rows], share[rows]) for shown in scores]))

    return metrics.drawn_interval([row.caption for row in judgments.crowd], statistic, TAU_RESAMPLES)


def _breadth(evaluation: Evaluation, name: str, *, outside: bool) -> Results | None:
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
    top = np.argsort(-search(evaluation.ranker, photos, queries).ranking_scores, axis=1)[:, :10]
    found = np.array([(label[top[row]] == i).sum() / (label == i).sum() for row, i in enumerate(wanted)])
    return {name: {"recall@10": metrics.drawn_interval(range(len(found)), partial(_mean_of, found))}}


def _auroc_of(positive: np.ndarray, negative: np.ndarray, rows: np.ndarray) -> float:
    return metrics.auroc(positive[rows], negative[rows])


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
