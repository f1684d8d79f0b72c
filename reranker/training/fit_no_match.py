"""Fit the no-match decision to validation queries with and without a photo that fits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.no_match import NoMatchClassifier, no_match_features
from reranker.models.pair_scores import PairScores
from reranker.training.examples.encoded_texts import EncodedTexts
from reranker.training.examples.galleries import Gallery
from reranker.training.examples.phrase_examples import Phrases
from reranker.training.examples.scored_queries import ScoredQueries, Scorer, score_captions, score_texts


@dataclass(frozen=True, slots=True)
class NoMatchSettings:
    """Settings of the queries that the no-match decision learns from, and of how often it may be wrong.

    Attributes:
        missed_captions: Share of the captions whose first hit is right that may get the answer "no good match".
        missed_phrases: Share of such words and phrases.
        other_subjects: Share of a gallery's photos that are of other subjects for a query: those whose captions are
            least like it. None of them fits.
        gallery_shares: Shares of a gallery that are asked, so that the decision holds in small ones as in large ones.
        min_photos: Parts of fewer photos than this are not asked; they say too little.
        few_photos: So many photos are asked as well, as a gallery of a few.
    """

    missed_captions: float = 0.05
    missed_phrases: float = 0.04
    other_subjects: float = 0.5
    gallery_shares: tuple[float, ...] = (1.0, 1 / 3, 0.1)
    min_photos: int = 20
    few_photos: int = 8


@dataclass(frozen=True, slots=True)
class NoMatchExamples:
    """First hits of queries of one kind.

    Attributes:
        kind: What was asked: "captions", "phrases", or a kind of texts that nothing fits.
        features: (n, FEATURES) float32, `no_match_features`.
        fits: Whether something in the gallery fits.
        right: (n,) bool, whether the first hit fits.
    """

    kind: str
    features: np.ndarray
    fits: bool
    right: np.ndarray


def fit_no_match(
    embedded: EmbeddedJudgments,
    phrases: Phrases,
    unanswerable: Mapping[str, EncodedTexts],
    galleries: Sequence[Gallery],
    scorer: Scorer,
    settings: NoMatchSettings | None = None,
) -> NoMatchClassifier:
    """Fit the no-match decision to validation queries.

    Captions and phrases are asked with a photo that fits, without all that fit, and among photos of other subjects;
    texts that nothing fits are asked as well. All are asked among all photos of a gallery and among some.

    Args:
        embedded: The judged data.
        phrases: Words and phrases of its captions.
        unanswerable: Texts that nothing fits, by kind.
        galleries: Validation photos.
        scorer: What ranks them and gives their relevance.
        settings: See `NoMatchSettings`.

    Returns:
        The decision, with its operating point.
    """
    settings = settings or NoMatchSettings()
    generator = np.random.default_rng(0)
    examples: list[NoMatchExamples] = []
    for gallery in galleries:
        asked = {"captions": score_captions(embedded, gallery, scorer)}
        if len(phrases):
            asked["phrases"] = score_texts(embedded, phrases.texts, phrases.said > 0, gallery, scorer)
        for kind, texts in unanswerable.items():
            none = np.zeros((len(texts), len(embedded.photos)), bool)
            asked[kind] = score_texts(embedded, texts, none, gallery, scorer)
        photos = len(gallery.photos)
        shares = [share for share in settings.gallery_shares if share == 1 or share * photos >= settings.min_photos]
        if settings.few_photos < min(shares) * photos:
            shares.append(settings.few_photos / photos)
        for share in shares:
            for kind, scored in asked.items():
                examples += _with_and_without(kind, scored, share, settings.other_subjects, generator)
    return fit_no_match_classifier(examples, {"captions": settings.missed_captions, "phrases": settings.missed_phrases})


def fit_no_match_classifier(examples: Sequence[NoMatchExamples], missed: Mapping[str, float]) -> NoMatchClassifier:
    """Fit logistic regression of whether a fitting photo is there.

    Args:
        examples: First hits of queries. All kinds count alike on their side, however many queries each has.
        missed: Kind of query -> share of those with a right first hit that may get the answer "no good match". The
            threshold is the highest one that keeps to all of them.

    Returns:
        The decision, with its operating point.
    """
    from sklearn.linear_model import LogisticRegression

    inputs = np.concatenate([one.features for one in examples]).astype(np.float64)
    # Centred, so that the fit converges: a feature that hardly changes is a large constant otherwise.
    middle, spread = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-6)
    outcome = np.concatenate([np.full(len(one.features), one.fits) for one in examples])
    counts: Counter[tuple[str, bool]] = Counter()
    for one in examples:
        counts[one.kind, one.fits] += len(one.features)
    weight = np.concatenate([np.full(len(one.features), 1 / max(counts[one.kind, one.fits], 1)) for one in examples])
    for side in (True, False):
        weight[outcome == side] *= len(outcome) / 2 / weight[outcome == side].sum()
    model = LogisticRegression(C=1.0, max_iter=10_000).fit((inputs - middle) / spread, outcome, sample_weight=weight)
    weights = model.coef_[0] / spread
    fitted = NoMatchClassifier(tuple(weights.tolist()), float(model.intercept_[0] - weights @ middle), 0.0)
    threshold = 1.0
    for kind, share in missed.items():
        right = [fitted.probability(one.features[one.right]) for one in examples if one.fits and one.kind == kind]
        if sum(map(len, right)):
            threshold = min(threshold, float(np.quantile(np.concatenate(right), share)))
    return NoMatchClassifier(fitted.weights, fitted.bias, threshold)


def _with_and_without(
    kind: str, scored: ScoredQueries, share: float, other_subjects: float, generator: np.random.Generator
) -> list[NoMatchExamples]:
    """Find the first hits of queries that have a photo that fits, and of all without any, among a share of the photos.

    Other subjects are photos by what their captions say, not by their scores: a query's scores there are as high as
    chance has them. The decision sees how many photos were asked, so there are as many of them as of the others.
    """
    scores = np.where(_drawn(scored.fits, share, generator), scored.ranking_scores, -np.inf)
    found = [_first_hits(kind, scored, scores, np.asarray(scored.fits.any(axis=1)), fits=True)]
    scores[scored.fits] = -np.inf
    found.append(_first_hits(kind, scored, scores, np.asarray(np.isfinite(scores).any(axis=1)), fits=False))
    if share <= other_subjects and scored.fits.any():
        others = scored.likeness < np.quantile(scored.likeness, other_subjects, axis=1, keepdims=True)
        others &= ~scored.fits & (generator.random(others.shape) < share / other_subjects)
        scores = np.where(others, scored.ranking_scores, -np.inf)
        found.append(_first_hits(kind, scored, scores, np.asarray(np.isfinite(scores).any(axis=1)), fits=False))
    return [one for one in found if len(one.features)]


def _drawn(fits: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Draw a share of the photos per query, and of those that fit at least one: (q, n) bool -> (q, n) bool."""
    drawn = generator.random(fits.shape) < share
    queries = np.flatnonzero(fits.any(axis=1))
    drawn[queries, fits[queries].argmax(axis=1)] = True
    return drawn


def _first_hits(
    kind: str, scored: ScoredQueries, scores: np.ndarray, chosen: np.ndarray, *, fits: bool
) -> NoMatchExamples:
    """Find the best photo of each chosen query, (q,) bool, by `scores` (q, n), -inf for a photo that is gone."""
    queries = np.flatnonzero(chosen)
    best = scores[queries].argmax(axis=1)
    pair_features = scored.gallery.features_of_pairs(scored.queries, queries, best)
    first_hits = PairScores(scored.ranking_scores[queries, best], scored.relevance[queries, best], pair_features)
    of_queries = scored.queries.query_hubness[queries], scored.queries.query_words[queries]
    left = np.isfinite(scores[queries]).sum(axis=1)
    return NoMatchExamples(kind, no_match_features(first_hits, *of_queries, left), fits, scored.fits[queries, best])
