"""Measure how often a query finds its own photo, names find their things, and one photo is in too many first tens."""

from functools import partial

import numpy as np

from reranker.evaluation import baselines
from reranker.evaluation.evaluation import Evaluation, described_photos
from reranker.evaluation.gallery_ranking import rank_gallery
from reranker.evaluation.results import Results
from reranker.judgments.aggregate import majority
from reranker.judgments.tables import TableReader, refuse_row
from reranker.metrics.bootstrap import Measured, bootstrap_interval
from reranker.metrics.hubs import has_most_shown
from reranker.metrics.recall import hits_at, ranks_of_own
from reranker.training.train import MIN_PHOTOS

KS = (1, 5, 10)


def course(evaluation: Evaluation) -> Results | None:
    """Measure rankers trained on the judged photos alone: the course's queries against its test photos."""
    if not evaluation.data.has_course or described_photos(evaluation) < MIN_PHOTOS:
        return None
    ranks, before = [], []
    for seed in range(evaluation.seeds):
        found, own = evaluation.course_trained(seed)
        ranks.append(ranks_of_own(found.ranking_scores, own))
        before.append(ranks_of_own(found.candidate_scores, own))
    return {"course": {**_recalls(np.stack(ranks)), "candidates": _recalls(np.stack(before))}}


def course_default(evaluation: Evaluation) -> Results | None:
    """Measure the given ranker on the course's test."""
    if not evaluation.data.has_course:
        return None
    found, own = evaluation.course_default()
    return {"course_default": _recalls(ranks_of_own(found.ranking_scores, own)[None])}


def official(evaluation: Evaluation) -> Results | None:
    """Measure every caption of the judged photos against those photos: candidates, reranked, and without regions."""
    if not evaluation.data.has_judged:
        return None
    found, own = evaluation.official()
    _, embedded = evaluation.data.judged
    results = _recalls(ranks_of_own(found.ranking_scores, own)[None])
    results["candidates"] = _recalls(ranks_of_own(found.candidate_scores, own)[None])
    if embedded.regions is not None:
        plain = ranks_of_own(evaluation.without_regions().ranking_scores, own)
        results["without_regions"] = _recalls(plain[None])
    return {"official": results}


def hubs(evaluation: Evaluation) -> Results | None:
    """Measure the largest share of the course's queries that have one and the same photo in their top 10."""
    if not evaluation.data.has_course:
        return None
    found, _ = evaluation.course_default()
    return {"hubs": {"largest_share": _largest_share(found.ranking_scores)}}


def breadth(evaluation: Evaluation) -> Results | None:
    """Measure names of things: the share of a name's photos that are in its top 10."""
    return _breadth(evaluation, "breadth", outside=False)


def breadth_outside(evaluation: Evaluation) -> Results | None:
    """Measure names that are none of ImageNet's 1,000 classes, as `breadth` does."""
    return _breadth(evaluation, "breadth_outside", outside=True)


def baseline(evaluation: Evaluation) -> Results | None:
    """Measure the baselines on the course's test: chance, cosines, Ridge and a plain net on the concatenated vector."""
    # One photo spans no map.
    if not evaluation.data.has_course or described_photos(evaluation) < 2:
        return None
    own = evaluation.data.course.own
    results: Results = {}
    for name, values in baseline_scores(evaluation).items():
        ranks = ranks_of_own(values, own)
        results[name] = {**_recalls(ranks[None]), "largest_share": _largest_share(values)}
    return {"baseline": results}


def baseline_scores(evaluation: Evaluation) -> dict[str, np.ndarray]:
    """Return the scores of each baseline for the course's test, (queries, photos) each, by name.

    Baselines that learn from judgments are left out where no pair has a score.
    """

    def compute() -> dict[str, np.ndarray]:
        judgments, embedded = evaluation.data.judged
        course = evaluation.data.course
        photos, queries, own = course.photos, course.queries, course.own
        scores = {
            "chance": baselines.chance(len(own), len(photos.x)),
            "cosine": baselines.cosine(embedded, photos.x, queries.t),
            "ridge_map": baselines.ridge_map(embedded, photos.x, queries.t),
        }
        if majority(judgments.expert, judgments.crowd):
            scores["ridge_concatenated"] = baselines.ridge_concatenated(embedded, judgments, photos.x, queries.t)
            scores["plain_net"] = baselines.plain_net(embedded, judgments, photos.x, queries.t)
        return scores

    return evaluation.once("baselines", compute)


def _recalls(ranks: np.ndarray) -> Results:
    """Compute recall@1, 5 and 10 of ranks (seeds, queries): mean over seeds, interval over queries."""
    results: Results = {}
    for k in KS:
        found = hits_at(ranks, k).mean(axis=0)
        results[f"recall@{k}"] = bootstrap_interval(range(len(found)), partial(_mean_of, found))
    return results


def _largest_share(scores: np.ndarray) -> Measured:
    """Compute the share of queries with the most shown photo in their top 10 by scores (queries, photos)."""
    has = has_most_shown(np.argsort(-scores, axis=1)[:, :10])
    return bootstrap_interval(range(len(has)), partial(_mean_of, has))


def _breadth(evaluation: Evaluation, name: str, *, outside: bool) -> Results | None:
    data = evaluation.data
    named = data.named_photos
    if not len(named.photos.x):
        return None
    wanted = np.arange(len(named.synsets))
    if outside:
        path = data.breadth_folder.parent / "imagenet_classes.tsv"
        if not path.is_file():
            return None
        known = {row["wnid"] for _, row in TableReader(path, on_bad=refuse_row).rows("\t", ("wnid",))}
        wanted = np.array([i for i, synset in enumerate(named.synsets) if synset not in known])
    queries = data.queries([f"a photo of a {named.words[i]}" for i in wanted])
    top = np.argsort(-rank_gallery(evaluation.ranker, named.photos, queries).ranking_scores, axis=1)[:, :10]
    label = named.synset_of
    found = np.array([(label[top[row]] == i).sum() / (label == i).sum() for row, i in enumerate(wanted)])
    return {name: {"recall@10": bootstrap_interval(range(len(found)), partial(_mean_of, found))}}


def _mean_of(values: np.ndarray, rows: np.ndarray) -> float:
    return float(values[rows].mean())
