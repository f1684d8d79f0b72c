"""Fit the no-match decision to validation queries with and without a photo that fits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.mlp import MLP
from reranker.models.no_match import NoMatchClassifier, no_match_features
from reranker.training.examples.galleries import BLOCK, Gallery
from reranker.training.examples.scored_queries import ScoredQueries, score_captions, score_words
from reranker.training.examples.word_examples import WordQueries


@dataclass(frozen=True, slots=True)
class NoMatchSettings:
    """Which queries the no-match decision learns from, and how often it may be wrong.

    Attributes:
        missed: Share of the queries with a photo to find that may get the answer "no good match".
        other_subjects: Share of a gallery's photos that are of other subjects for a query: those whose captions are
            least like it. None of them fits.
        words_share: All words together count as this share of the captions, so that the decision holds for names too.
        gallery_shares: Shares of a gallery that are asked, so that the decision holds in small ones as in large ones.
        min_photos: Parts of fewer photos than this are not asked; they say too little.
    """

    missed: float = 0.05
    other_subjects: float = 0.5
    words_share: float = 0.3
    gallery_shares: tuple[float, ...] = (1.0, 1 / 3, 0.1)
    min_photos: int = 20


def fit_no_match(
    embedded: EmbeddedJudgments,
    words: WordQueries,
    galleries: Sequence[Gallery],
    ranking_mlp: MLP,
    settings: NoMatchSettings | None = None,
) -> NoMatchClassifier:
    """Fit the no-match decision to validation captions and words.

    They are asked with a photo that fits, without all that fit, and among photos of other subjects; among all photos of
    a gallery and among some.

    Args:
        embedded: The judged data.
        words: Frequent words of its captions.
        galleries: Validation photos.
        ranking_mlp: What ranks them.
        settings: See `NoMatchSettings`.

    Returns:
        The decision, with its operating point.
    """
    settings = settings or NoMatchSettings()
    generator = np.random.default_rng(0)
    present: list[np.ndarray] = []
    absent: list[np.ndarray] = []
    for gallery in galleries:
        of_captions = score_captions(embedded, gallery, ranking_mlp)
        scored = [(of_captions, 1)]
        if len(words.texts):
            times = max(1, round(settings.words_share * len(of_captions.fits) / len(words.texts)))
            scored.append((score_words(embedded, words, gallery, ranking_mlp), times))
        for share in settings.gallery_shares:
            if share < 1 and share * len(gallery.photos) < settings.min_photos:
                continue
            for queries, times in scored:
                there, gone = _with_and_without(queries, share, settings.other_subjects, generator)
                present.append(np.tile(there, (times, 1)))
                absent.append(np.tile(gone, (times, 1)))
    return fit_no_match_classifier(np.concatenate(present), np.concatenate(absent), settings.missed)


def fit_no_match_classifier(present: np.ndarray, absent: np.ndarray, missed: float) -> NoMatchClassifier:
    """Fit logistic regression of whether a fitting photo is there.

    Args:
        present: (n, FEATURES) float32, `no_match_features` of queries with a fitting photo.
        absent: (m, FEATURES) float32, of queries without one.
        missed: Share of the queries with a photo that may get the answer "no good match"; it sets the threshold.

    Returns:
        The decision, with its operating point.
    """
    from sklearn.linear_model import LogisticRegression

    inputs = np.concatenate([present, absent]).astype(np.float64)
    spread = np.maximum(inputs.std(axis=0), 1e-6)
    outcome = np.repeat([1, 0], [len(present), len(absent)])
    model = LogisticRegression(C=1.0, max_iter=1000, class_weight="balanced").fit(inputs / spread, outcome)
    fitted = NoMatchClassifier(tuple(float(w) for w in model.coef_[0] / spread), float(model.intercept_[0]), 0.0)
    threshold = float(np.quantile(fitted.probability(present), missed))
    return NoMatchClassifier(fitted.weights, fitted.bias, threshold)


def _with_and_without(
    scored: ScoredQueries, share: float, other_subjects: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Find the features of queries that have a photo that fits, and of all without any, among a share of the photos.

    Other subjects are photos by what their captions say, not by their scores: a query's scores there are as high as
    chance has them. The decision sees how many photos were asked, so there are as many of them as of the others.
    """
    scores = np.where(_drawn(scored.fits, share, generator), scored.ranking_scores, -np.inf)
    has_any = np.asarray(scored.fits.any(axis=1))
    present = _first_hits(scored, scores, has_any)
    scores[scored.fits] = -np.inf
    absent = [_first_hits(scored, scores)]
    if share <= other_subjects:
        others = scored.likeness < np.quantile(scored.likeness, other_subjects, axis=1, keepdims=True)
        others &= ~scored.fits & (generator.random(others.shape) < share / other_subjects)
        absent.append(_first_hits(scored, np.where(others, scored.ranking_scores, -np.inf)))
    return present, np.concatenate(absent)


def _drawn(fits: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Draw a share of the photos per query, and of those that fit at least one: (q, n) bool -> (q, n) bool."""
    drawn = generator.random(fits.shape) < share
    queries = np.flatnonzero(fits.any(axis=1))
    drawn[queries, fits[queries].argmax(axis=1)] = True
    return drawn


def _first_hits(scored: ScoredQueries, scores: np.ndarray, chosen: np.ndarray | None = None) -> np.ndarray:
    """Find the features of each query's best photo by `scores` (q, n), -inf for a photo that is gone.

    chosen: (q,) bool, which queries are asked; by default those with a photo left. Returns (asked, FEATURES) float32.
    """
    best = scores.argmax(axis=1)
    found = np.take_along_axis(scored.ranking_scores, best[:, None], axis=1)[:, 0]
    pair_features = []
    for begin in range(0, len(best), BLOCK):
        rows = slice(begin, min(begin + BLOCK, len(best)))
        features = scored.gallery.pair_features(scored.queries, rows)
        pair_features.append(np.take_along_axis(features, best[rows][:, None, None], axis=1)[:, 0])
    left = np.isfinite(scores).sum(axis=1)
    rows_of_hits = no_match_features(found, np.concatenate(pair_features), scored.queries.query_hubness, left)
    return rows_of_hits[left > 0 if chosen is None else chosen]
