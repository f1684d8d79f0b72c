"""Score captions and other texts as queries among the photos of a gallery, by both stages of a search.

Every photo is scored as a search scores its candidates, but none is cut off and no score is corrected: what is learned
from these scores must hold in a gallery of any size.
"""

from dataclasses import dataclass, field

import numpy as np

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.calibration import Calibration
from reranker.models.joint_space import EncodedQueries, candidate_scores
from reranker.models.linear_map import unit
from reranker.models.mlp import MLP
from reranker.ranker import gated_scores
from reranker.training.examples.encoded_texts import EncodedTexts
from reranker.training.examples.galleries import BLOCK, Gallery


@dataclass(frozen=True, slots=True)
class Scorer:
    """Networks that score the pairs of a query and a photo.

    Attributes:
        ranking_mlp: Ranks the photos.
        relevance_mlp: Gives their relevance; None where only the ranking is scored.
        calibration: Calibrates it.
    """

    ranking_mlp: MLP
    relevance_mlp: MLP | None = None
    calibration: Calibration = field(default_factory=Calibration)


@dataclass(frozen=True, slots=True)
class ScoredQueries:
    """q queries with the scores of the n photos of a gallery.

    Attributes:
        gallery: The photos.
        queries: The queries, encoded by the gallery's space.
        t: (q, e) float32 text vectors, unit rows.
        candidate_scores: (q, n) float32 scores of the candidate stage.
        ranking_scores: (q, n) float32, what the ranking MLP sorts by.
        relevance: (q, n) float32 in 0..1; zeros where only the ranking is scored.
        fits: (q, n) bool, which photos are right.
        likeness: (q, n) float32, cosine of a query with the mean of a photo's captions.
    """

    gallery: Gallery
    queries: EncodedQueries
    t: np.ndarray
    candidate_scores: np.ndarray
    ranking_scores: np.ndarray
    relevance: np.ndarray
    fits: np.ndarray
    likeness: np.ndarray


def score_captions(embedded: EmbeddedJudgments, gallery: Gallery, scorer: Scorer) -> ScoredQueries:
    """Score every caption of a gallery's photos; its own photo is the one that fits.

    Args:
        embedded: The judged data.
        gallery: The photos.
        scorer: What scores them.

    Returns:
        The scored captions.
    """
    rows, own = gallery.captions(embedded)
    fits = np.zeros((len(rows), len(gallery.photos)), bool)
    fits[np.arange(len(rows)), own] = True
    queries = gallery.encode_captions(embedded, rows)
    return _scored(embedded, gallery, queries, unit(embedded.t[rows]), fits, scorer)


def score_texts(
    embedded: EmbeddedJudgments, texts: EncodedTexts, fits: np.ndarray, gallery: Gallery, scorer: Scorer
) -> ScoredQueries:
    """Score texts that are no captions.

    Args:
        embedded: The judged data.
        texts: The q texts.
        fits: (q, photos) bool, which of all embedded photos fit each of them.
        gallery: The photos.
        scorer: What scores them.

    Returns:
        The scored texts.
    """
    queries = texts.encode(gallery.joint_space)
    return _scored(embedded, gallery, queries, unit(texts.t), fits[:, gallery.photos], scorer)


def _scored(
    embedded: EmbeddedJudgments,
    gallery: Gallery,
    queries: EncodedQueries,
    t: np.ndarray,
    fits: np.ndarray,
    scorer: Scorer,
) -> ScoredQueries:
    """Score queries of unit text vectors t (q, e) by both stages; fits: (q, n) bool."""
    x, ranking, judge = embedded.x[gallery.photos], scorer.ranking_mlp, scorer.relevance_mlp
    photo_part, text_part = ranking.photo_part(x), ranking.text_part(t)
    judged_parts = None if judge is None else (judge.photo_part(x), judge.text_part(t))
    scores, relevance = np.empty(fits.shape, np.float32), np.zeros(fits.shape, np.float32)
    for begin in range(0, len(t), BLOCK):
        rows = slice(begin, min(begin + BLOCK, len(t)))
        for row, pair_features in enumerate(gallery.pair_features(queries, rows), begin):
            learned = ranking.logits(photo_part, text_part[row], pair_features)
            scores[row] = gated_scores(learned, pair_features, gallery.joint_space)
            if judge is not None and judged_parts is not None:
                logits = judge.logits(judged_parts[0], judged_parts[1][row], pair_features)
                relevance[row] = scorer.calibration.apply(logits)
    likeness = t @ _mean_captions(embedded, gallery).T
    candidates = candidate_scores(gallery.encoded_photos, queries)
    return ScoredQueries(gallery, queries, t, candidates, scores, relevance, fits, likeness)


def _mean_captions(embedded: EmbeddedJudgments, gallery: Gallery) -> np.ndarray:
    """Find the direction of the mean text vector of each photo's captions: (n, e) float32, unit rows."""
    rows, own = gallery.captions(embedded)
    sums = np.zeros((len(gallery.photos), embedded.t.shape[1]), np.float32)
    np.add.at(sums, own, unit(embedded.t[rows]))
    return unit(sums)
