"""Measure how often a query finds its own photo, names find their things, and one photo is in too many first tens."""

from collections.abc import Sequence

import numpy as np

from reranker.evaluation import baselines
from reranker.evaluation.evaluation import Evaluation, described_photos
from reranker.evaluation.own_photo import ece_of_own
from reranker.evaluation.results import Result, Results
from reranker.gallery_ranking import GalleryRanking, rank_gallery
from reranker.judgments.aggregate import majority
from reranker.judgments.tables import TableReader, refuse_row
from reranker.metrics.bootstrap import Measured, bootstrap_interval, mean_interval, mean_of_parts
from reranker.metrics.hubs import has_most_shown
from reranker.metrics.recall import CUTOFFS, hits_at, hits_at_cutoffs, ranks_of_own
from reranker.training.train import MIN_PHOTOS

# An everyday query is measured on this many first hits: what a person sees at a glance.
FIRST = 5
# A right photo that is shown with less relevance than this looks wrong to the person who searches.
LOW_RELEVANCE = 0.15


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
    results: Results = _recalls(ranks_of_own(found.ranking_scores, own)[None])
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
    return {"hubs": {"largest_share": _most_shown_share(found.ranking_scores[None])}}


def breadth(evaluation: Evaluation) -> Results | None:
    """Measure names of things: the share of a name's photos that are in its top 10."""
    return _breadth(evaluation, "breadth", outside=False)


def breadth_outside(evaluation: Evaluation) -> Results | None:
    """Measure names that are none of ImageNet's 1,000 classes, as `breadth` does."""
    return _breadth(evaluation, "breadth_outside", outside=True)


def elsewhere(evaluation: Evaluation) -> Results | None:
    """Measure the captions of other sets against the test photos of their set, and the mean over sets."""
    tests = evaluation.data.elsewhere_sets
    if not tests:
        return None
    results: Results = {}
    reranked, candidates = [], []
    for name, test in tests.items():
        found = evaluation.elsewhere(name)
        ranks, before = (ranks_of_own(scores, test.own) for scores in (found.ranking_scores, found.candidate_scores))
        reranked.append(_recalls(ranks[None]))
        candidates.append(_recalls(before[None]))
        results[name] = {
            **reranked[-1],
            "candidates": candidates[-1],
            "reranked_minus_candidates": mean_interval(hits_at_cutoffs(ranks) - hits_at_cutoffs(before)),
            "ece": ece_of_own(found.relevance, ranks),
            "right_refused": _right_refused(found, ranks == 0),
            "largest_share": _most_shown_share(found.ranking_scores[None]),
        }
    results["mean"] = {**_mean_of_sets(reranked), "candidates": _mean_of_sets(candidates)}
    return {"elsewhere": results}


def everyday(evaluation: Evaluation) -> Results | None:
    """Measure short queries, as people type them, against the photos of all other sets, each marked right or wrong."""
    test = evaluation.data.everyday
    if test is None:
        return None
    found = evaluation.everyday(test)
    hits, shown = found.first_hits(FIRST)
    right = np.take_along_axis(test.right, hits, axis=1)
    return {
        "everyday": {
            f"precision@{FIRST}": mean_interval(right.sum(axis=1) / np.minimum(test.right.sum(axis=1), FIRST)),
            "first_right": mean_interval(right[:, 0]),
            f"right_under_{LOW_RELEVANCE}": _share_under(shown, right),
            "first_five_tie": mean_interval((shown.round(4) == shown[:, :1].round(4)).all(axis=1)),
            "right_refused": _right_refused(found, right[:, 0]),
        }
    }


def baseline(evaluation: Evaluation) -> Results | None:
    """Measure the baselines on the course's test: chance, cosines, Ridge and a plain net on the concatenated vector."""
    # One photo spans no map.
    if not evaluation.data.has_course or described_photos(evaluation) < 2:
        return None
    own = evaluation.data.course.own
    results: Results = {}
    for name, values in baseline_scores(evaluation).items():
        ranks = np.stack([ranks_of_own(of_run, own) for of_run in values])
        results[name] = {**_recalls(ranks), "largest_share": _most_shown_share(values)}
    return {"baseline": results}


def baseline_scores(evaluation: Evaluation) -> dict[str, np.ndarray]:
    """Return the scores of each baseline for the course's test, (runs, queries, photos) each, by name.

    Baselines that learn from judgments are left out where no pair has a score. The plain net is trained once per seed
    of `PLAIN_NET_SEEDS`, because its results depend much on the seed; all others have one run.
    """

    def compute() -> dict[str, np.ndarray]:
        judgments, embedded = evaluation.data.judged
        course = evaluation.data.course
        photos, queries, own = course.photos, course.queries, course.own
        scores = {
            "chance": [baselines.chance(len(own), len(photos.x))],
            "cosine": [baselines.cosine(embedded, photos.x, queries.t)],
            "ridge_map": [baselines.ridge_map(embedded, photos.x, queries.t)],
        }
        if majority(judgments.expert, judgments.crowd):
            test = embedded, judgments, photos.x, queries.t
            scores["ridge_concatenated"] = [baselines.ridge_concatenated(*test)]
            scores["plain_net"] = [baselines.plain_net(*test, seed) for seed in baselines.PLAIN_NET_SEEDS]
        return {name: np.stack(runs) for name, runs in scores.items()}

    return evaluation.once("baselines", compute)


def _recalls(ranks: np.ndarray) -> Results:
    """Compute recall@1, 5 and 10 of ranks (runs, queries): mean over runs, interval over queries."""
    return {f"recall@{k}": mean_interval(hits_at(ranks, k).mean(axis=0)) for k in CUTOFFS}


def _most_shown_share(scores: np.ndarray) -> Measured:
    """Compute the share of queries with the most shown photo in their top 10 by scores (runs, queries, photos)."""
    has = [has_most_shown(np.argsort(-of_run, axis=1)[:, :10]) for of_run in scores]
    return mean_interval(np.mean(has, axis=0))


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
    return {name: {"recall@10": mean_interval(found)}}


def _right_refused(found: GalleryRanking, right: np.ndarray) -> Result:
    """Measure the share of queries with the answer "no good match" among those whose first hit is right (queries,)."""
    chances = found.match_probability(np.ones(found.ranking_scores.shape, bool))[right]
    return mean_interval(chances < found.ranker.no_match.threshold) if len(chances) else float("nan")


def _share_under(shown: np.ndarray, right: np.ndarray) -> Result:
    """Measure the share of low relevance (queries, hits) among right hits (queries, hits), queries drawn whole."""
    low, (query, _) = shown[right] < LOW_RELEVANCE, np.nonzero(right)
    return bootstrap_interval(query, lambda rows: float(low[rows].mean())) if len(low) else float("nan")


def _mean_of_sets(recalls: Sequence[Results]) -> Results:
    """Average the recalls of sets, as of `_recalls`; each set counts alike."""
    parts = {
        name: [result for of_set in recalls if isinstance(result := of_set[name], Measured)] for name in recalls[0]
    }
    return {name: mean_of_parts(of_name) for name, of_name in parts.items()}
