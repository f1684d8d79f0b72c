"""Score captions and words as queries among the photos of a gallery, by both stages of a search.

Every photo is scored as a search scores its candidates, but none is cut off and no score is corrected: what is learned
from these scores must hold in a gallery of any size.
"""

from dataclasses import dataclass

import numpy as np

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.joint_space import EncodedQueries, candidate_scores
from reranker.models.linear_map import unit
from reranker.models.mlp import MLP
from reranker.ranker import gated_scores
from reranker.training.examples.galleries import BLOCK, Gallery
from reranker.training.examples.word_examples import WordQueries


@dataclass(frozen=True, slots=True)
class ScoredQueries:
    """q queries with the scores of the n photos of a gallery.

    Attributes:
        gallery: The photos.
        queries: The queries, encoded by the gallery's space.
        t: (q, e) float32 text vectors, unit rows.
        candidate_scores: (q, n) float32 scores of the candidate stage.
        ranking_scores: (q, n) float32, what the ranking MLP sorts by.
        fits: (q, n) bool, which photos are right.
        likeness: (q, n) float32, cosine of a query with the mean of a photo's captions.
    """

    gallery: Gallery
    queries: EncodedQueries
    t: np.ndarray
    candidate_scores: np.ndarray
    ranking_scores: np.ndarray
    fits: np.ndarray
    likeness: np.ndarray


def score_captions(embedded: EmbeddedJudgments, gallery: Gallery, ranking_mlp: MLP) -> ScoredQueries:
    """Score every caption of a gallery's photos; its own photo is the one that fits.

    Args:
        embedded: The judged data.
        gallery: The photos.
        ranking_mlp: What ranks them.

    Returns:
        The scored captions.
    """
    rows, own = gallery.captions(embedded)
    fits = np.zeros((len(rows), len(gallery.photos)), bool)
    fits[np.arange(len(rows)), own] = True
    queries = gallery.encode_captions(embedded, rows)
    return _scored(embedded, gallery, queries, unit(embedded.t[rows]), fits, ranking_mlp)


def score_words(embedded: EmbeddedJudgments, words: WordQueries, gallery: Gallery, ranking_mlp: MLP) -> ScoredQueries:
    """Score frequent words of the captions; photos whose captions say a word fit.

    Args:
        embedded: The judged data.
        words: The words.
        gallery: The photos.
        ranking_mlp: What ranks them.

    Returns:
        The scored words.
    """
    queries = words.encode(gallery.joint_space)
    return _scored(embedded, gallery, queries, unit(words.t), words.fits[:, gallery.photos] > 0, ranking_mlp)


def _scored(
    embedded: EmbeddedJudgments,
    gallery: Gallery,
    queries: EncodedQueries,
    t: np.ndarray,
    fits: np.ndarray,
    ranking_mlp: MLP,
) -> ScoredQueries:
    """Score queries of unit text vectors t (q, e) by both stages; fits: (q, n) bool."""
    photo_part, text_part = ranking_mlp.photo_part(embedded.x[gallery.photos]), ranking_mlp.text_part(t)
    scores = np.empty(fits.shape, np.float32)
    for begin in range(0, len(t), BLOCK):
        rows = slice(begin, min(begin + BLOCK, len(t)))
        for row, pair_features in enumerate(gallery.pair_features(queries, rows), begin):
            learned = ranking_mlp.logits(photo_part, text_part[row], pair_features)
            scores[row] = gated_scores(learned, pair_features, gallery.joint_space)
    likeness = t @ _mean_captions(embedded, gallery).T
    candidates = candidate_scores(gallery.encoded_photos, queries)
    return ScoredQueries(gallery, queries, t, candidates, scores, fits, likeness)


def _mean_captions(embedded: EmbeddedJudgments, gallery: Gallery) -> np.ndarray:
    """Find the direction of the mean text vector of each photo's captions: (n, e) float32, unit rows."""
    rows, own = gallery.captions(embedded)
    sums = np.zeros((len(gallery.photos), embedded.t.shape[1]), np.float32)
    np.add.at(sums, own, unit(embedded.t[rows]))
    return unit(sums)
