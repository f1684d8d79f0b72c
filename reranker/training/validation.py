"""What validation photos decide: whether a learned order is kept, and how a missing match is told."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.metrics.metrics import ranks_of_own, recall_at
from reranker.models.joint_space import EncodedQueries
from reranker.models.linear_map import unit
from reranker.models.mlp import MLP
from reranker.models.no_match import NoMatchClassifier, fit_no_match, no_match_features
from reranker.ranker import ranking_scores
from reranker.training.examples import BLOCK, Gallery, WordQueries, candidate_scores
from reranker.training.fit_joint_space import captions_of_photos

# Share of queries with a photo to find that may be told "no good match".
MISSED = 0.05
# Photos whose captions are least like a query, none of which fits: what a gallery of other subjects is like.
OTHER_SUBJECTS = 0.5
# All words together count as this many captions do, so that the decision holds for names as well.
WORDS_SHARE = 0.3
# Shares of a gallery that are asked, so that the decision holds in small ones as in large ones; parts of fewer photos
# than `FEWEST` say too little.
SHARES = (1.0, 1 / 3, 0.1)
FEWEST = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """Queries put to a gallery. `candidates` and `order`: (queries, photos) scores of both stages; `fits`: (queries,
    photos) bool, which photos are right; `likeness`: (queries, photos), cosine of a query to what is said of a photo;
    `side` and the unit text vectors `t` (queries, e) of the queries."""

    gallery: Gallery
    side: EncodedQueries
    t: np.ndarray
    candidates: np.ndarray
    ranking_scores: np.ndarray
    fits: np.ndarray
    likeness: np.ndarray


def gate(
    features: EmbeddedJudgments, held: Sequence[Gallery], base: MLP | None, learned: MLP
) -> tuple[MLP | None, str, dict[str, float]]:
    """The learned order, unless it finds fewer photos on validation than the one it would replace: that of a base, or,
    as None, the candidates' own.

    Returns the order to keep, a verdict in words, and recall of the candidates and of that order.
    """
    ranks: dict[str, list[np.ndarray]] = {"candidates": [], "before": [], "reranked": []}
    for gallery in held:
        asked = ask_captions(features, gallery, learned)
        own = asked.fits.argmax(axis=1)
        ranks["candidates"].append(ranks_of_own(asked.candidates, own))
        ranks["reranked"].append(ranks_of_own(asked.ranking_scores, own))
        before = asked.candidates if base is None else ask_captions(features, gallery, base).ranking_scores
        ranks["before"].append(ranks_of_own(before, own))
    total = {name: sum(recall_at(np.concatenate(found), k) for k in (1, 5, 10)) for name, found in ranks.items()}
    better = total["reranked"] >= total["before"]
    figures = {
        f"{name}_recall@{k}": round(recall_at(np.concatenate(ranks[kept]), k), 4)
        for name, kept in (("candidates", "candidates"), ("reranked", "reranked" if better else "before"))
        for k in (1, 5, 10)
    }
    if better:
        return learned, "learned", figures
    verdict = (
        f"refused: on validation the learned one finds less (recall@1 + 5 + 10 {total['reranked']:.3f}) than "
        f"{'the candidates' if base is None else 'the base'} ({total['before']:.3f})"
    )
    return base, verdict, figures


def learn_no_match(
    features: EmbeddedJudgments, words: WordQueries, held: Sequence[Gallery], order: MLP
) -> NoMatchClassifier:
    """The no-match decision, from validation captions and words with a photo that fits, with all that fit taken away,
    and put to photos of other subjects; among all photos of a gallery and among some."""
    generator = np.random.default_rng(0)
    present: list[np.ndarray] = []
    absent: list[np.ndarray] = []
    for gallery in held:
        of_captions = ask_captions(features, gallery, order)
        asked = [(of_captions, 1)]
        if len(words.texts):
            times = max(1, round(WORDS_SHARE * len(of_captions.fits) / len(words.texts)))
            asked.append((ask_words(features, words, gallery, order), times))
        for share in SHARES:
            if share < 1 and share * len(gallery.photos) < FEWEST:
                continue
            for queries, times in asked:
                there, gone = _with_and_without(queries, share, generator)
                present.append(np.tile(there, (times, 1)))
                absent.append(np.tile(gone, (times, 1)))
    return fit_no_match(np.concatenate(present), np.concatenate(absent), MISSED)


def ask_captions(features: EmbeddedJudgments, gallery: Gallery, order: MLP) -> Asked:
    """Every caption of a gallery's photos."""
    rows, own = captions_of_photos(features, gallery.photos)
    fits = np.zeros((len(rows), len(gallery.photos)), bool)
    fits[np.arange(len(rows)), own] = True
    return _asked(features, gallery, gallery.queries(features, rows), unit(features.t[rows]), fits, order)


def ask_words(features: EmbeddedJudgments, words: WordQueries, gallery: Gallery, order: MLP) -> Asked:
    """Usual words of the captions."""
    side = gallery.joint_space.encode_queries(words.t, words.texts, words.tokens)
    return _asked(features, gallery, side, unit(words.t), words.fits[:, gallery.photos] > 0, order)


def _asked(
    features: EmbeddedJudgments, gallery: Gallery, side: EncodedQueries, t: np.ndarray, fits: np.ndarray, order: MLP
) -> Asked:
    photo_part, text_part = order.photo_part(features.x[gallery.photos]), order.text_part(t)
    scores = np.empty(fits.shape, np.float32)
    for begin in range(0, len(t), BLOCK):
        rows = slice(begin, min(begin + BLOCK, len(t)))
        for row, pair_features in enumerate(gallery.joint_space.matrix(gallery.side, side, rows), begin):
            scores[row] = ranking_scores(order, photo_part, text_part[row], pair_features)
    likeness = t @ _said_of(features, gallery).T
    return Asked(gallery, side, t, candidate_scores(gallery.side, side), scores, fits, likeness)


def _said_of(features: EmbeddedJudgments, gallery: Gallery) -> np.ndarray:
    """(photos, e) float32, unit rows: the direction of the mean text vector of each photo's captions."""
    rows, own = captions_of_photos(features, gallery.photos)
    sums = np.zeros((len(gallery.photos), features.t.shape[1]), np.float32)
    np.add.at(sums, own, unit(features.t[rows]))
    return unit(sums)


def _drawn(fits: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """(queries, photos) bool: a share of the photos, and of those that fit a query at least one."""
    drawn = generator.random(fits.shape) < share
    queries = np.flatnonzero(fits.any(axis=1))
    drawn[queries, fits[queries].argmax(axis=1)] = True
    return drawn


def _with_and_without(asked: Asked, share: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What the decision looks at, of queries that have a photo that fits, and of all without any; among a share of the
    photos.

    Other subjects are photos by what their captions say, not by their scores: a query's scores there are as high as
    chance has them. The decision sees how many photos were asked, so there are as many of them as of the others.
    """
    scores = np.where(_drawn(asked.fits, share, generator), asked.ranking_scores, -np.inf)
    has_any = np.asarray(asked.fits.any(axis=1))
    present = _first_hits(asked, scores, has_any)
    scores[asked.fits] = -np.inf
    absent = [_first_hits(asked, scores)]
    if share <= OTHER_SUBJECTS:
        others = asked.likeness < np.quantile(asked.likeness, OTHER_SUBJECTS, axis=1, keepdims=True)
        others &= ~asked.fits & (generator.random(others.shape) < share / OTHER_SUBJECTS)
        absent.append(_first_hits(asked, np.where(others, asked.ranking_scores, -np.inf)))
    return present, np.concatenate(absent)


def _first_hits(asked: Asked, scores: np.ndarray, of: np.ndarray | None = None) -> np.ndarray:
    """`no_match_features` of the best photo a query, by `scores` (queries, photos); none where every photo is gone."""
    best = scores.argmax(axis=1)
    found = np.take_along_axis(asked.ranking_scores, best[:, None], axis=1)[:, 0]
    pair_features = []
    for begin in range(0, len(best), BLOCK):
        rows = slice(begin, min(begin + BLOCK, len(best)))
        matrix = asked.gallery.joint_space.matrix(asked.gallery.side, asked.side, rows)
        pair_features.append(np.take_along_axis(matrix, best[rows][:, None, None], axis=1)[:, 0])
    left = np.isfinite(scores).sum(axis=1)
    return no_match_features(found, np.concatenate(pair_features), asked.side.query_hubness, left)[
        left > 0 if of is None else of
    ]
