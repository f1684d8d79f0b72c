"""Rank the candidates of a query: the one ranking path of searches, evaluation, ablation and the benchmark.

candidates -> pair scores -> small-gallery correction -> exclusion -> sorted, with the chance that anything fits
"""

from dataclasses import dataclass

import numpy as np

from indexer.views.view import EncodedPhotos
from reranker.models.joint_space import EncodedQueries
from reranker.models.ranking_settings import SmallGallerySettings
from reranker.ranker import PairScores, Ranker


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


def rank_candidates(
    ranker: Ranker,
    candidates: Candidates,
    queries: EncodedQueries,
    row: int,
    excluded: EncodedQueries | None = None,
) -> RankedCandidates:
    """Rank the candidates of one query.

    Args:
        ranker: The ranker that made `candidates.photos` and `queries`.
        candidates: The candidates, in any order.
        queries: Encoded queries.
        row: Which of them is asked.
        excluded: One encoded query that hits should not fit; relevance is multiplied by one minus the relevance for
            it, and photos of which that leaves less than half (`exclusion.threshold`) come last.

    Returns:
        The ranked candidates.
    """
    pairs = ranker.scores(candidates.photos, queries, row)
    scores, relevance = pairs.ranking_scores, pairs.relevance
    settings = ranker.settings
    if candidates.gallery_size < settings.small_gallery.many:
        caption_scores = mean_caption_scores(ranker, candidates.photos)
        gate = queries.gate[row]
        scores = correct_small_gallery(scores, caption_scores, gate, candidates.gallery_size, settings.small_gallery)
    if excluded is not None:
        left = 1 - ranker.scores(candidates.photos, excluded, 0).relevance
        relevance = relevance * left
        # The ranking score is a log-probability up to a constant, so what is left multiplies the probability.
        penalty = settings.exclusion.penalty * (left < settings.exclusion.threshold)
        scores = scores + np.log(np.maximum(left, 1e-6)) - penalty
    places = np.lexsort((candidates.rows, -scores))
    chance = 0.0
    size = candidates.gallery_size
    if len(places):
        first = places[:1]
        chance = ranker.match_probability(
            pairs.ranking_scores[first], pairs.pair_features[first], queries.query_hubness[row : row + 1], size
        )[0]
    return RankedCandidates(places, scores[places], relevance[places], float(chance), pairs)


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


def isotonic_relevance(relevance: np.ndarray, count: int) -> np.ndarray:
    """Return the nearest relevance, by least squares, that never rises down the hits, of the first `count` hits.

    Pool-adjacent-violators (Barlow, Bartholomew, Bremner and Brunk 1972). scikit-learn has it, but importing it would
    double the time of a fresh search. Of the hits behind the first `count`, those are looked at that share a pool with
    them: none, where no mean of the next few is above the last pool's.

    Args:
        relevance: (c,) float in 0..1, in the order of the hits.
        count: How many hits are shown.

    Returns:
        (min(count, c),) float32.
    """
    values = relevance.astype(np.float64)
    pools: list[tuple[float, int]] = []
    done, needed = 0, min(count, len(values))
    while done < needed:
        for value in values[done:needed].tolist():
            total, size = value, 1
            while pools and pools[-1][0] * size <= total * pools[-1][1]:
                before, more = pools.pop()
                total, size = total + before, size + more
            pools.append((total, size))
        done = needed
        means = np.cumsum(values[done:]) / np.arange(1, len(values) - done + 1)
        if len(means) and means.max() * pools[-1][1] > pools[-1][0]:
            needed = done + 1 + int(means.argmax())
    shown = np.repeat([total / size for total, size in pools], [size for _, size in pools])
    return shown[:count].astype(np.float32)
