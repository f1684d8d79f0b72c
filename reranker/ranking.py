"""Rank the candidates of a query: the one ranking path of searches, evaluation, ablation and the benchmark.

candidates -> pair scores -> small-gallery correction -> exclusion -> sorted, with the chance that anything fits
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indexer.views.view import EncodedPhotos
from reranker.models.joint_space import PAIR_FEATURES, EncodedQueries
from reranker.models.likeness import Likeness
from reranker.models.pair_scores import PairScores
from reranker.models.ranking_settings import SmallGallerySettings
from reranker.ranker import Ranker

# Means of pools that are nearer than this are taken for equal: they differ by rounding.
_ALIKE = 1e-6
# Ranking scores that are nearer than this, in logits, are taken for equal: those of copies differ by rounding.
_TIED = 1e-5


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates of one query.

    Attributes:
        rows: (c,) int64, their rows in the gallery; ties are ranked by row.
        photos: What the ranker computed of them, in the same order.
        gallery_size: How many photos were searched.
    """

    rows: np.ndarray
    photos: EncodedPhotos
    gallery_size: int


@dataclass(frozen=True, slots=True)
class RankedCandidates:
    """The candidates of one query, ranked.

    Attributes:
        places: (c,) int64, places among the candidates, best first.
        ranking_scores: (c,) float32, what they are sorted by, in that order; on no scale.
        relevance: (c,) float32 in 0..1, in that order; it may rise down the hits, see `isotonic_relevance`.
        match_probability: The chance that anything in the gallery fits the query; 0 without candidates.
        pairs: Scores of the candidates before any correction, in the order that they were given in.
    """

    places: np.ndarray
    ranking_scores: np.ndarray
    relevance: np.ndarray
    match_probability: float
    pairs: PairScores


@dataclass(frozen=True, slots=True)
class OtherParts:
    """Parts of a query beside its text.

    Attributes:
        text_weight: How much the ranking score of the text counts.
        excluded: Rows of encoded queries that hits should not fit, each with its weight, see `exclude`.
        likeness: How far the candidates are like the photos of the query; None without photos.
    """

    text_weight: float = 1.0
    excluded: Sequence[tuple[int, float]] = ()
    likeness: Likeness | None = None


def rank_candidates(
    ranker: Ranker,
    candidates: Candidates,
    queries: EncodedQueries,
    row: int | None,
    others: OtherParts = OtherParts(),
) -> RankedCandidates:
    """Rank the candidates of one query.

    Args:
        ranker: The ranker that made `candidates.photos` and `queries`.
        candidates: The candidates, in any order.
        queries: Encoded queries.
        row: Which of them is asked; None asks for whatever fits the other parts.
        others: The other parts. Photos that are asked for add to the ranking score; the relevance stays that of the
            text, and is the likeness only where there is no text. Of several exclusions, the one that a photo fits
            most counts; photos of which less than half is left (`exclusion.threshold`) come last.

    Returns:
        The ranked candidates. If `row` is None, the chance of a match is the relevance of the first; else it is that
        of the first, and beside photos the best of all candidates, because photos move others up than fit the text
        best.
    """
    pairs = _scores_of_anything(len(candidates.rows)) if row is None else ranker.scores(candidates.photos, queries, row)
    scores, relevance = pairs.ranking_scores, pairs.relevance
    settings = ranker.settings
    if row is not None and candidates.gallery_size < settings.small_gallery.many:
        caption_scores = mean_caption_scores(ranker, candidates.photos)
        gate = queries.gate[row]
        scores = correct_small_gallery(scores, caption_scores, gate, candidates.gallery_size, settings.small_gallery)
    scores = others.text_weight * scores
    lefts = [_weighted(exclude(ranker, candidates, queries, other), weight) for other, weight in others.excluded]
    if others.likeness is not None:
        scores = scores + others.likeness.scores
        relevance = others.likeness.relevance if row is None else relevance
        lefts += [_weighted((left, unfit), weight) for left, unfit, weight in others.likeness.excluded]
    if lefts:
        left, unfit = np.min(lefts, axis=0)
        last = left < settings.exclusion.threshold
        relevance = relevance * np.where(last, np.minimum(left, unfit), unfit)
        # The ranking score is a log-probability up to a constant, so what is left multiplies the probability.
        scores = scores + np.log(np.maximum(left, 1e-6)) - settings.exclusion.penalty * last
    places = np.lexsort((candidates.rows, -scores))
    chance = 0.0
    if row is None:
        chance = relevance[places[:1]].max(initial=0.0)
    elif len(places):
        first = places if others.likeness is not None and others.likeness.is_asked else places[:1]
        one = np.full(len(first), row)
        of_query = queries.query_hubness[one], queries.query_words[one]
        chance = ranker.match_probability(pairs.take(first), *of_query, candidates.gallery_size).max()
    return RankedCandidates(places, scores[places], relevance[places], float(chance), pairs)


def exclude(ranker: Ranker, candidates: Candidates, queries: EncodedQueries, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Say how little photos fit an excluded query, for ranking and for people.

    A ranking cannot go by the relevance: people seldom say that "people" describes a photo of a man, so it hardly ever
    reaches a half. It goes by the no-match decision, which reads a score beside what its query scores at large:

        left = 1 / (1 + odds),  odds = p / (1 - p) x (1 - t) / t

    with p the chance of a match if the photo were the first hit of the excluded query, and t the decision's threshold.
    So less than half is left of what would be a good match.

    Args:
        ranker: The ranker that made `candidates.photos` and `queries`.
        candidates: The candidates.
        queries: Encoded queries.
        row: Which of them is excluded.

    Returns:
        (c,) float64 in 0..1, what is left; and (c,) float32, the probability that a person does not say "this fits".
    """
    pairs = ranker.scores(candidates.photos, queries, row)
    one = np.full(len(candidates.rows), row)
    of_query = queries.query_hubness[one], queries.query_words[one]
    chance = ranker.match_probability(pairs, *of_query, candidates.gallery_size).astype(np.float64)
    # A decision that calls everything a match, or nothing, still tells photos apart.
    threshold = np.clip(ranker.no_match.threshold, 0.01, 0.99)
    # Multiplied out, so that a chance of 1 divides nothing by 0.
    fits, fits_not = chance * (1 - threshold), (1 - chance) * threshold
    return fits_not / (fits + fits_not), 1 - pairs.relevance


def _weighted(excluded: tuple[np.ndarray, np.ndarray], weight: float) -> tuple[np.ndarray, np.ndarray]:
    """Weigh what is left of photos beside an exclusion; the probability that they do not fit it stays."""
    left, unfit = excluded
    return left**weight, unfit


def _scores_of_anything(count: int) -> PairScores:
    """Return the scores of a query that every photo fits equally."""
    zeros = np.zeros(count, np.float32)
    return PairScores(zeros, zeros + 1, np.zeros((count, len(PAIR_FEATURES)), np.float32))


def mean_caption_scores(ranker: Ranker, photos: EncodedPhotos) -> np.ndarray:
    """Return what photos score for captions at large, on the scale of the ranking MLP's logits: (n,) float32."""
    direction = ranker.mean_caption
    scores: np.ndarray = photos.z @ direction[:-1] + photos.hubness * direction[-1]
    return scores


def correct_small_gallery(
    scores: np.ndarray, caption_scores: np.ndarray, gate: float, gallery_size: int, settings: SmallGallerySettings
) -> np.ndarray:
    """Keep a few photos of a small gallery from being among the first hits of too many queries.

    Among thousands of photos, a photo is among the first ten of the few captions that fit it best, and hubness is taken
    over those. Among a hundred, it is among the first ten of every tenth caption, so photos that score high for most
    captions are found too often. What they score for captions at large is taken off, but not off likely hits: the first
    hit keeps its place, and photos close behind it nearly theirs.

    Args:
        scores: (c,) float32 ranking scores of one query's candidates, in logits.
        caption_scores: (c,) float32, what they score for captions at large, by `mean_caption_scores`.
        gate: The query's name gate, 0..1; a name is not corrected.
        gallery_size: How many photos were searched.
        settings: See `SmallGallerySettings`.

    Returns:
        (c,) float32, the corrected scores; `scores` itself where there is nothing to correct.
    """
    if gallery_size >= settings.many or not len(scores):
        return scores
    growth = np.log(settings.many / max(gallery_size, 1)) / np.log(settings.many / settings.few)
    weight = settings.strength * (1 - gate) * min(growth, 1)
    behind = np.minimum((scores.max() - scores) / settings.likely, 1)
    # No more than half of what a photo is behind, so that none comes before the first hit.
    taken = np.clip(weight * (caption_scores - caption_scores.mean()), -settings.likely / 2, settings.likely / 2)
    return np.asarray(scores - behind * taken, np.float32)


def isotonic_relevance(relevance: np.ndarray, ranking_scores: np.ndarray, count: int) -> np.ndarray:
    """Return a relevance that falls down the hits and is near what was given, of the first `count` hits.

    Hits whose relevance rises are pooled, so that the means of pools fall: the nearest sequence by least squares that
    never rises (pool-adjacent-violators; Barlow, Bartholomew, Bremner and Brunk 1972). scikit-learn has it, but
    importing it would double the time of a fresh search. Inside a pool the values are put in falling order
    (Chernozhukov, Fernandez-Val and Galichon 2009, "Improving point and interval estimators of monotone functions by
    rearrangement") and drawn towards the pool's mean until they keep clear of other pools. The mean stays, and hits of
    one pool do not tie, but for those of equal ranking scores (copies of a photo), which have their mean.

    Args:
        relevance: (c,) float in 0..1, in the order of the hits.
        ranking_scores: (c,) float, what the hits are sorted by, in that order.
        count: How many hits are shown.

    Returns:
        (min(count, c),) float32.
    """
    if not min(count, len(relevance)):
        return np.zeros(0, np.float32)
    tie_of = np.cumsum(-np.diff(ranking_scores, prepend=ranking_scores[:1]) > _TIED)
    values = _means_of_ties(relevance.astype(np.float64), tie_of)
    means, sizes, following = _falling_pools(values, count)
    shown = np.repeat(means, sizes)
    above = np.concatenate([[np.inf], means[:-1]])
    below = np.append(means[1:], following)
    begin = 0
    for mean, size, higher, lower in zip(means, sizes, above, below, strict=True):
        pool = slice(begin, begin + size)
        own = _means_of_ties(np.sort(values[pool])[::-1], tie_of[pool]) - mean
        if own[0] > 0 > own[-1]:
            # A third of the way to each neighbour, so that pools stay apart.
            room = min((higher - mean) / 3 / own[0], (mean - lower) / 3 / -own[-1], 1)
            shown[pool] += room * own
        begin += size
    return shown[:count].astype(np.float32)


def _means_of_ties(values: np.ndarray, tie_of: np.ndarray) -> np.ndarray:
    """Return values (n,) float64 with the mean of its tie for each; tie_of: (n,) int, rising by 0 or 1."""
    ties = tie_of - tie_of[0]
    return (np.bincount(ties, values) / np.bincount(ties))[ties]


def _falling_pools(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Pool values (c,) so that means fall, as far as the first `count` of them need it.

    Returns the means and the sizes of the pools, (p,) each, and the mean of the pool that follows, -inf without one.
    """
    pools: list[tuple[float, int]] = []
    done, needed, following = 0, min(count, len(values)), -np.inf
    while done < needed:
        for value in values[done:needed].tolist():
            total, size = value, 1
            while pools and pools[-1][0] / pools[-1][1] <= total / size + _ALIKE:
                before, more = pools.pop()
                total, size = total + before, size + more
            pools.append((total, size))
        done = needed
        next_means = np.cumsum(values[done:]) / np.arange(1, len(values) - done + 1)
        following = float(next_means.max()) if len(next_means) else -np.inf
        if following + _ALIKE >= pools[-1][0] / pools[-1][1]:
            needed = done + 1 + int(np.flatnonzero(next_means >= following - _ALIKE)[-1])
    return np.array([total / size for total, size in pools]), np.array([size for _, size in pools], int), following
